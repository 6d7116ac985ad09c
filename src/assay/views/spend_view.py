"""The spend page: tiles, filters, charts with their tables, the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from assay.money import format_usd, from_pico
from assay.views import charts_spend, words
from assay.views.results_view import ledger_table
from assay.views.state import go_to
from assay.workbench import spend
from assay.workbench.runtime import Runtime
from assay.workbench.spend import Dimension, SpendFilter, SpendLine

LEFT: tuple[Dimension, ...] = ("model", "run")
RIGHT: tuple[Dimension, ...] = ("purpose", "provider")
PERIODS = {"Today": 1, "7 days": 7, "30 days": 30, "All": None}


def page(rt: Runtime) -> None:
    """The whole page."""
    offset = spend.local_offset_ms()
    top = spend.overview(rt, SpendFilter(), offset_ms=offset)
    if not top.total.calls:
        st.info("Nothing is spent yet.", icon=":material/payments:")
        if st.button("Open the playground", type="primary", key="spend.first"):
            go_to("playground")
        return
    _tiles(rt, top)
    chosen = _filters(rt, offset)
    picked = spend.overview(rt, chosen, offset_ms=offset).chosen
    st.caption(f"Chosen: {picked.calls:,} calls, {spend.in_words(picked)}.".replace("$", "\\$"))
    charts, ledger = st.tabs(["Charts", "Ledger"], key="spend.tab", on_change="rerun")
    if charts.open:
        with charts:
            _charts(rt, chosen, offset)
    if ledger.open:
        with ledger:
            ledger_table(rt, chosen, key="spend.ledger")
            st.download_button("Ledger as CSV", data=lambda: spend.ledger_csv(rt, chosen), file_name="assay-ledger.csv",
                               mime="text/csv", key="spend.ledger.csv", on_click="ignore")  # fmt: skip


def _tiles(rt: Runtime, top: spend.SpendOverview) -> None:
    first, second, third, fourth = st.columns(4)
    first.metric("Total", format_usd(top.total.known_pico), border=True)
    second.metric("Today", format_usd(top.today.known_pico), border=True)
    budget = f"of {rt.settings.monthly_budget_usd} USD" if rt.settings.monthly_budget_usd else None
    third.metric("This month", format_usd(top.month.known_pico), delta=budget, delta_color="off", border=True)
    forecast = "too early" if top.forecast_pico is None else format_usd(top.forecast_pico)
    fourth.metric("Month's end, forecast", forecast, border=True,
                  help="This month's spend so far, at the same pace to its last day.")  # fmt: skip
    if top.total.unknown_calls:
        st.warning(
            f"{top.total.unknown_calls:,} calls are of unknown cost, together at most "
            f"\\{format_usd(top.total.unknown_bound_pico)}; they are not in the sums.", icon=":material/help:",
        )  # fmt: skip


def _filters(rt: Runtime, offset: int) -> SpendFilter:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        period = st.segmented_control("Period", list(PERIODS), default="All", key="spend.period", bind="query-params")
        chosen = spend.since_days(PERIODS[period or "All"], offset_ms=offset)
        named: dict[str, str] = {}
        dimensions: tuple[Dimension, ...] = ("model", "provider", "purpose")
        for name in dimensions:
            title = name.capitalize()
            values = [v for v in spend.choices(rt, name) if v]
            value = st.selectbox(title, values, index=None, key=f"spend.{name}", placeholder="all", width=220)
            if value:
                named[name] = value
    return replace(chosen, **named)  # type: ignore[arg-type]


def _charts(rt: Runtime, chosen: SpendFilter, offset: int) -> None:
    days = spend.spend_by(rt, "day", chosen, offset_ms=offset)
    if not days:
        st.caption("No calls fit. Choose another period.")
        return
    left, right = st.columns(2)
    with left:
        st.markdown("##### By day")
        _chart(charts_spend.stacked_days(spend.days_by_model(rt, chosen, offset_ms=offset)), days, "day")
        for dimension in LEFT:
            lines = spend.spend_by(rt, dimension, chosen)
            st.markdown(f"##### By {dimension}")
            _chart(charts_spend.ranked(lines), lines, dimension)
    with right:
        st.markdown("##### Added up")
        _chart(charts_spend.cumulative(days), days, "day", name="cumulative")
        for dimension in RIGHT:
            lines = spend.spend_by(rt, dimension, chosen)
            st.markdown(f"##### By {dimension}")
            _chart(charts_spend.ranked(lines), lines, dimension)
        st.markdown("##### Tokens by kind")
        _chart(charts_spend.tokens(days), days, "day", name="tokens")


def _chart(figure: Any, lines: Sequence[SpendLine], key: str, *, name: str = "") -> None:
    """A chart with the table behind it."""
    name = name or key
    st.plotly_chart(figure, key=f"spend.chart.{name}", config={"displaylogo": False}, alt=f"Spend by {key}")
    table = st.expander("Table", key=f"spend.open.{name}", on_change="rerun")
    if table.open:
        with table:
            _table(lines, key, name)


def _table(lines: Sequence[SpendLine], key: str, name: str) -> None:
    import pandas as pd

    frame = pd.DataFrame({
        key.capitalize(): [words.plain(line.label) for line in lines], "Calls": [s.sum.calls for s in lines],
        "Known, USD": [float(from_pico(s.sum.known_pico)) for s in lines],
        "Unknown calls": [s.sum.unknown_calls for s in lines],
        "Unknown, at most USD": [float(from_pico(s.sum.unknown_bound_pico)) for s in lines],
        "Tokens in": [s.sum.prompt_tokens for s in lines], "Tokens out": [s.sum.completion_tokens for s in lines],
    })  # fmt: skip
    money = st.column_config.NumberColumn(format="$%.9f")
    st.dataframe(frame, hide_index=True, key=f"spend.table.{name}",
                 column_config={"Known, USD": money, "Unknown, at most USD": money})  # fmt: skip
    st.download_button("CSV", data=spend.spend_csv(list(lines), key=key), file_name=f"assay-spend-{name}.csv",
                       mime="text/csv", key=f"spend.csv.{name}", on_click="ignore")  # fmt: skip
