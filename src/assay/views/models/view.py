"""The models page's parts: the catalogue as a table, a model's providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from assay.openrouter.catalogue import Model
from assay.views import components, words
from assay.views.charts.models import price_against_context
from assay.workbench.gateway import catalogue
from assay.workbench.gateway.doctor import LINKS
from assay.workbench.gateway.endpoint_words import status_words
from assay.workbench.session import Session

ONLY = ("Free", "Reasoning", "Images", "Tools", "JSON schema", "Not moderated")
CONFIG = {"displaylogo": False}


def toolbar(session: Session) -> tuple[str, list[str]]:
    """Search and filters, with how fresh the catalogue is and Refresh."""
    state = catalogue.catalogue_state(session)
    left, right = st.columns(2)
    search = left.text_input("Search", key="models.search", placeholder="Name, author or description", type="search")
    only = right.pills("Only", ONLY, selection_mode="multi", key="models.only")
    as_of = f"As of {words.moment(state.fetched_ms)}." if state.fetched_ms else "Never fetched."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{as_of} Prices in USD per million tokens.", width="content")
        refresh = st.button("Refresh", key="models.refresh", icon=":material/refresh:", type="tertiary")
    if refresh:
        with st.spinner("Fetching the catalogue"):
            catalogue.refresh_models(session)
        st.rerun()
    if state.error:
        components.show_error(f"The catalogue could not be refreshed: {state.error}")
    return search or "", list(only or [])


def chosen(models: Sequence[Model], search: str, only: Sequence[str]) -> list[Model]:
    """The models that search and filters let through."""
    tests: dict[str, Callable[[Model], bool]] = {
        "Free": lambda m: m.is_free,
        "Reasoning": lambda m: m.reasons,
        "Images": lambda m: "image" in m.input_modalities,
        "Tools": lambda m: "tools" in m.supported_parameters,
        "JSON schema": lambda m: "structured_outputs" in m.supported_parameters,
        "Not moderated": lambda m: m.is_moderated is False,
    }
    text = search.lower()
    return [m for m in models if text in f"{m.id} {m.name} {m.description}".lower() and all(tests[o](m) for o in only)]


def table(models: Sequence[Model]) -> str | None:
    """The table; the id of the selected model."""
    import pandas as pd

    now = datetime.now(UTC).timestamp()
    frame = pd.DataFrame(
        {
            "Model": [m.id for m in models],
            "Input": [None if m.prompt_usd_per_million is None else float(m.prompt_usd_per_million) for m in models],
            "Output": [
                None if m.completion_usd_per_million is None else float(m.completion_usd_per_million) for m in models
            ],
            "Context": [m.context_length for m in models],
            "Longest answer": [m.max_completion_tokens for m in models],
            "Reads": [", ".join(m.input_modalities) for m in models],
            "Moderated": [{True: "yes", False: "no", None: ""}[m.is_moderated] for m in models],
            "Parameters": [", ".join(sorted(m.supported_parameters)) for m in models],
            "Age, days": [round((now - m.created) / 86_400) if m.created else None for m in models],
            "Expires": [m.expiration_date or "" for m in models],
        }
    )
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="models.table",
        height=420,
        column_config={
            "Model": st.column_config.TextColumn(pinned=True, width="medium"),
            "Input": st.column_config.NumberColumn(format="$%.4g"),
            "Output": st.column_config.NumberColumn(format="$%.4g"),
            "Context": st.column_config.NumberColumn(format="localized"),
            "Longest answer": st.column_config.NumberColumn(format="localized"),
        },
    )
    rows = event.selection.rows
    return models[rows[0]].id if rows and rows[0] < len(models) else None


def chart(models: Sequence[Model]) -> None:
    """Price against context."""
    st.subheader("Price against context", anchor=False)
    st.plotly_chart(
        price_against_context(models),
        config=CONFIG,
        key="models.chart",
        alt="Scatter of completion price against context length",
    )


def providers(session: Session, model_id: str) -> None:
    """The providers of a model."""
    import pandas as pd

    st.subheader(words.label(model_id), anchor=False)
    model = catalogue.get_model(session, model_id)
    if model is not None and model.description:
        st.text(words.plain(model.description))
    if model is not None and model.is_moderated:
        st.caption(":material/shield: Moderated: a prompt may be refused before it reaches the model.")
    rows = catalogue.model_endpoints(session, model_id)
    if not rows:
        st.caption("This endpoint names no providers.")
        price_changes(session, model_id)
        return
    zdr = catalogue.zdr_endpoints(session)
    frame = pd.DataFrame(
        [
            {
                "Provider": r.get("provider_name"),
                "Endpoint": r.get("tag"),
                "Status": status_words(r.get("status")),
                "Input": _per_million(r, "prompt"),
                "Output": _per_million(r, "completion"),
                "Quantization": r.get("quantization"),
                "Uptime, 30 min": r.get("uptime_last_30m"),
                "First token p50": _p50(r, "latency_last_30m"),
                "Speed p50": _p50(r, "throughput_last_30m"),
                "Context": r.get("context_length"),
                "Zero retention": (r.get("model_id"), r.get("tag")) in zdr,
            }
            for r in rows
        ]
    )
    config = {
        "Input": st.column_config.NumberColumn(format="$%.4g"),
        "Output": st.column_config.NumberColumn(format="$%.4g"),
        "Uptime, 30 min": st.column_config.NumberColumn(format="%.1f %%"),
        "First token p50": st.column_config.NumberColumn(format="%.0f ms"),
        "Speed p50": st.column_config.NumberColumn(format="%.0f tok/s"),
        "Context": st.column_config.NumberColumn(format="localized"),
    }
    st.dataframe(frame, hide_index=True, key="models.providers", column_config=config, placeholder="–")
    if down := [
        words.label(str(r.get("provider_name"))) for r in rows if status_words(r.get("status")) in ("down", "off")
    ]:
        st.warning(f"Down now: {', '.join(down)}.", icon=":material/cloud_off:")
    st.caption(f"[Status of the gateway]({LINKS['Status']}) · [Pricing]({LINKS['Pricing']})")
    price_changes(session, model_id)


def price_changes(session: Session, model_id: str) -> None:
    """Every price that this workbench has seen for a model, newest first."""
    import pandas as pd

    found = catalogue.price_history(session, model_id)
    st.markdown("**Price history**")
    if not found:
        st.caption("No price was seen yet.")
        return
    frame = pd.DataFrame(
        [
            {
                "Since": datetime.fromtimestamp(seen / 1000, UTC),
                "Input": None if price.prompt is None else float(price.prompt) * 1_000_000,
                "Output": None if price.completion is None else float(price.completion) * 1_000_000,
                "Per request": None if price.request is None else float(price.request),
            }
            for seen, price in reversed(found)
        ]
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="models.history",
        width="content",
        placeholder="–",
        column_config={
            "Since": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Input": st.column_config.NumberColumn(format="$%.4g"),
            "Output": st.column_config.NumberColumn(format="$%.4g"),
            "Per request": st.column_config.NumberColumn(format="$%.4g"),
        },
    )


def _per_million(row: Any, name: str) -> float | None:
    listed = row.get("pricing")
    try:
        return float(str(listed.get(name))) * 1_000_000 if isinstance(listed, Mapping) else None
    except ValueError:
        return None


def _p50(row: Any, name: str) -> float | None:
    told = row.get(name)
    value = told.get("p50") if isinstance(told, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
