"""Which providers may answer: the routing of a request as people choose it, every part checked before it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import streamlit as st

from assay.openrouter.parameters import checked_settings
from assay.views import components, words
from assay.views.parameters import json_object
from assay.workbench.session import Session

VARIANTS = {"": "Default", "floor": "Cheapest", "nitro": "Fastest"}
SORTS = ("price", "throughput", "latency", "exacto")
QUANTIZATIONS = ("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown")


def routing_popover(
    session: Session, models: Sequence[str], *, key: str, allow_unknown: bool = False
) -> tuple[str, dict[str, Any]]:
    """(variant, provider routing) as the user set them; what was set stands in a line below the button."""
    with st.popover("Routing", icon=":material/alt_route:"):
        variant = st.segmented_control(
            "Prefer",
            list(VARIANTS),
            default="",
            key=f"{key}.variant",
            persist_state="session",
            format_func=lambda v: VARIANTS[v],
            help="Cheapest sends :floor, which admits slower tiers; fastest sends :nitro, which may be dearer.",
        )
        provider = {**_providers(providers_of(session, models), key), **_wishes(key), **_terms(key)}
        typed = st.text_area(
            "Further routing, as JSON",
            key=f"{key}.json",
            height=68,
            persist_state="session",
            placeholder='{"preferred_max_latency": 2}',
            help="Names of the gateway's provider object.",
        )
    if typed and typed.strip():
        provider |= further(typed, allow_unknown=allow_unknown)
    if shared := set(provider.get("only", ())) & set(provider.get("ignore", ())):
        components.show_error(f"Both allowed and left out: {', '.join(sorted(shared))}. Nobody else may answer.")
    return variant or "", provider


def providers_of(session: Session, models: Sequence[str]) -> list[str]:
    """The slugs of the providers of models, as far as their endpoints were read."""
    rows = (row for name in models for row in session.dispatcher.prices.endpoints(name) or ())
    return sorted({str(row.get("tag")).split("/")[0] for row in rows if row.get("tag")})


def further(text: str, *, allow_unknown: bool = False) -> dict[str, Any]:
    """Routing typed as JSON. Raises SettingsError in words for no object, and for a name with the nearest known one."""
    named = json_object(text, "routing settings", "Routing")
    found = checked_settings({"provider": named}, allow_unknown=allow_unknown)
    for note in found.messages:
        st.caption(f":material/info: {words.label(note, 300)}")
    return found.provider


def _providers(known: Sequence[str], key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, label, about in (
        ("order", "Provider order", "Tried in this order."),
        ("only", "Only these providers", "Nobody else may answer."),
        ("ignore", "Never these providers", "Left out."),
    ):
        chosen = st.multiselect(
            label,
            list(known),
            key=f"{key}.{name}",
            accept_new_options=True,
            help=about,
            persist_state="session",
            placeholder="Choose or type a slug",
            format_func=words.label,
        )
        if chosen:
            found[name] = list(chosen)
    fallbacks = st.toggle(
        "Allow other providers",
        value=True,
        key=f"{key}.fallbacks",
        persist_state="session",
        help="Off: only the first provider may answer, and its error is the answer.",
    )
    return found if fallbacks else found | {"allow_fallbacks": False}


def _wishes(key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    sort = st.selectbox(
        "Sort by",
        SORTS,
        index=None,
        key=f"{key}.sort",
        placeholder="not sent",
        persist_state="session",
        help="Instead of the gateway's own balance.",
    )
    if sort:
        found["sort"] = sort
    wanted = st.multiselect(
        "Quantizations", QUANTIZATIONS, key=f"{key}.quantizations", placeholder="any", persist_state="session"
    )
    if wanted:
        found["quantizations"] = list(wanted)
    limits = {}
    for column, (name, label) in zip(st.columns(2), (("prompt", "in"), ("completion", "out")), strict=True):
        limit = column.number_input(
            f"Highest price {label}",
            min_value=0.0,
            value=None,
            step=0.5,
            key=f"{key}.max_{name}",
            persist_state="session",
            placeholder="any",
            help="USD per million tokens; a dearer provider never answers.",
        )
        if limit is not None:
            limits[name] = limit
    return found | ({"max_price": limits} if limits else {})


def _terms(key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if st.toggle("Only providers that know every parameter", key=f"{key}.require", persist_state="session"):
        found["require_parameters"] = True
    if st.toggle("Zero data retention only", key=f"{key}.zdr", persist_state="session"):
        found["zdr"] = True
    if st.toggle("No providers that train on data", key=f"{key}.deny", persist_state="session"):
        found["data_collection"] = "deny"
    return found


def in_words(provider: Mapping[str, Any]) -> str:
    """Routing in a line; empty: none."""
    return " · ".join(_said(provider))


def _said(provider: Mapping[str, Any]) -> Iterator[str]:
    for name, value in provider.items():
        if value is True:
            yield name
        elif value is False:
            yield f"no {name.removeprefix('allow_')}"
        elif isinstance(value, list | tuple):
            yield f"{name} {', '.join(map(str, value))}"
        elif isinstance(value, Mapping):
            yield f"{name} {', '.join(f'{k} {v}' for k, v in value.items())}"
        else:
            yield f"{name} {value}"
