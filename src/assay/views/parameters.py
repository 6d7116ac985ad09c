"""The parameters of a request as people set them, old and unknown names included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from assay.errors import SettingsError
from assay.openrouter.parameters import PARAMETERS, checked_settings, ignored_parameters
from assay.views import words
from assay.workbench.gateway.catalogue import get_model
from assay.workbench.session import Session

NUMBERS = ("temperature", "max_tokens", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")


class ChosenParameters(NamedTuple):
    """What was set; nothing else is sent."""

    params: dict[str, Any]
    """By wire name."""
    provider: dict[str, Any]
    """Routing that stood among them, as `route` and `provider.zdr` do; empty: none."""
    allow_unknown: bool
    """Whether names that nobody knows are sent, in routing too."""


def parameters_popover(session: Session, models: Sequence[str], *, key: str) -> ChosenParameters:
    """The parameters that the user has set; notes on them stand below the button.

    Raises SettingsError for further ones that are no JSON object, unknown or out of their range.
    """
    with st.popover("Parameters", icon=":material/tune:"):
        st.caption("Only what you set is sent.")
        params = {**_numbers(key), **_others(key)}
        typed = st.text_area(
            "Further parameters, as JSON",
            key=f"{key}.further",
            height=68,
            persist_state="session",
            placeholder='{"min_p": 0.1}',
            help="Names of the gateway; old ones are translated.",
        )
        allow_unknown = st.toggle(
            "Send unknown names too",
            key=f"{key}.unknown",
            persist_state="session",
            help="Off: a name that nobody knows, here or under Routing, is refused with the nearest known one.",
        )
    provider: dict[str, Any] = {}
    if typed and typed.strip():
        named = json_object(typed, "parameters", "Parameters")
        further, provider, notes = checked_settings(named, allow_unknown=allow_unknown)
        params |= further
        for note in notes:
            st.caption(f":material/info: {words.label(note, 300)}")
    _ignored(session, models, params)
    return ChosenParameters(params, provider, allow_unknown)


def json_object(text: str, what: str, place: str) -> dict[str, Any]:
    """An object typed as JSON. Raises SettingsError saying where to mend it."""
    try:
        typed = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"The further {what} are no JSON: {error}.", cure=f"Mend them under {place}.") from error
    if not isinstance(typed, Mapping):
        raise SettingsError(f"The further {what} are no JSON object.", cure=f"Mend them under {place}.")
    return dict(typed)


def _numbers(key: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for name in NUMBERS:
        parameter = PARAMETERS[name]
        whole = parameter.kind == "integer"
        cast = int if whole else float
        value = st.number_input(
            name,
            value=None,
            min_value=None if parameter.low is None else cast(parameter.low),
            max_value=None if parameter.high is None else cast(parameter.high),
            step=cast(1 if whole else 0.1),
            help=parameter.help,
            key=f"{key}.{name}",
            placeholder="not sent",
            persist_state="session",
        )
        if value is not None:
            chosen[name] = value
    return chosen


def _others(key: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    effort = st.selectbox(
        "reasoning_effort",
        PARAMETERS["reasoning_effort"].choices,
        index=None,
        key=f"{key}.effort",
        placeholder="not sent",
        help=PARAMETERS["reasoning_effort"].help,
        persist_state="session",
    )
    if effort:
        chosen["reasoning_effort"] = effort
    stop = st.text_input(
        "stop", key=f"{key}.stop", help=PARAMETERS["stop"].help, placeholder="not sent", persist_state="session"
    )
    if stop:
        chosen["stop"] = [stop]
    if st.toggle("JSON answer", key=f"{key}.json", help="Sends response_format json_object.", persist_state="session"):
        chosen["response_format"] = {"type": "json_object"}
    return chosen


def _ignored(session: Session, models: Sequence[str], params: Mapping[str, Any]) -> None:
    """Says which models take no notice of what was set."""
    for name in models:
        model = get_model(session, name)
        ignored = ignored_parameters(model, params) if model else []
        if ignored:
            st.caption(f":material/info: {words.label(name)} ignores {', '.join(map(words.label, ignored))}.")
