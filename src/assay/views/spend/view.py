"""The spend page: tiles, filters, charts with their tables, the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import streamlit as st

from assay.domain.colours import colours_of
from assay.domain.contestant import Contestant
from assay.money import format_usd, from_pico, to_pico
from assay.openrouter import fees
from assay.views import components, words
from assay.views.charts import bars
from assay.views.charts import spend as charts_spend
from assay.views.results.view import ledger_table
from assay.views.spend.money_table import dollars, exact, money_table
from assay.views.spend.unknown_costs import unknown_costs
from assay.views.state import go_to
from assay.workbench.session import Session
from assay.workbench.spending import spend
from assay.workbench.spending.days import Zone, zone_of
from assay.workbench.spending.spend import BudgetMonth, Dimension, SpendFilter, SpendLine, SpendReport

RANKED: tuple[Dimension, ...] = ("model", "purpose", "run", "provider")
PERIODS = {"Today": 1, "7 days": 7, "30 days": 30, "All": None}
DAILY = {"cost": "Cost", "added": "Added up", "tokens": "Tokens"}


def page(session: Session) -> None:
    """The whole page: one reading of the ledger's sums, and one more where filters are set."""
    zone = zone_of(st.context.timezone)
    whole = spend.report(session, SpendFilter(), zone=zone)
    if not whole.sum.calls and not whole.in_flight.calls:
        st.info("Nothing is spent yet.", icon=":material/payments:")
        if st.button("Open the playground", type="primary", key="spend.first"):
            go_to("playground")
        return
    _tiles(session, whole, zone)
    chosen = _filters(whole, zone)
    picked = whole if chosen == SpendFilter() else spend.report(session, chosen, zone=zone)
    said = f"Chosen: {words.counted(picked.sum.calls, 'call')}, {spend.in_words(picked.sum)}."
    st.caption(said.replace("$", "\\$"))
    _tabs(session, chosen, picked)
    _fees()


@st.fragment
def _tabs(session: Session, chosen: SpendFilter, picked: SpendReport) -> None:
    """What is looked through: another chart, a table or a page of the ledger renews this part alone."""
    charts, ledger = st.tabs(["Charts", "Ledger"], key="spend.tab", on_change="rerun")
    with components.errors_in_words():
        if charts.open:
            with charts:
                _charts(picked)
        if ledger.open:
            with ledger:
                ledger_table(session, chosen, key="spend.ledger")
                st.download_button(
                    "Ledger as CSV",
                    data=lambda: spend.ledger_csv(session, chosen),
                    mime="text/csv",
                    file_name="assay-ledger.csv",
                    key="spend.ledger.csv",
                    on_click="ignore",
                )


def _tiles(session: Session, whole: SpendReport, zone: Zone) -> None:
    today = whole.since(spend.today_start_ms(zone), zone=zone)
    month = whole.since(spend.month_start_ms(zone), zone=zone)
    forecast = spend.forecast_pico(month.known_pico, zone=zone)
    tiles = st.grid(4, min_column_width=150)
    tiles.metric("Total", format_usd(whole.sum.known_pico), border=True)
    tiles.metric("Today", format_usd(today.known_pico), border=True)
    tiles.metric("This month", format_usd(month.known_pico), border=True)
    tiles.metric(
        "Month's end, forecast",
        "too early" if forecast is None else format_usd(forecast),
        border=True,
        help="This month's spend so far, at the same pace to its last day.",
    )
    st.caption(words.label(f"Days and months of {zone.name}. {_budget_words(spend.budget_month(session))}", 400))
    flying, ended = whole.in_flight, whole.sum
    if ended.upstream_pico:
        st.caption(f"\\{format_usd(ended.upstream_pico)} of the total was paid to providers with your own key (BYOK).")
    if flying.calls:
        st.caption(
            f"{words.counted(flying.calls, 'call')} in flight, at most \\{format_usd(flying.bound_pico)} together."
        )
    unknown_costs(session, ended)


def _fees() -> None:
    """What is charged beside inference; none of it is in the sums above."""
    with st.expander("Fees beside inference", key="spend.fees"):
        bought = st.number_input("Credits to buy, USD", min_value=0.0, value=100.0, key="spend.fees.amount", width=200)
        amount = Decimal(str(bought))
        card, crypto = (format_usd(to_pico(fees.purchase_fee_usd(amount, crypto=c))) for c in (False, True))
        said = (
            f"By card {card} ({fees.CREDIT_PURCHASE_FEE:.1%}, at least ${fees.CREDIT_PURCHASE_MINIMUM_USD}); in "
            f"cryptocurrency {crypto} ({fees.CRYPTO_PURCHASE_FEE:.0%}). With your own provider key (BYOK): "
            f"{fees.BYOK_FEE:.0%} of the list price past ${fees.BYOK_ALLOWANCE_USD:,} of list price a month; by the "
            f"former rule past {fees.OLD_BYOK_ALLOWANCE_REQUESTS:,} requests a month. {fees.SOURCE}."
        )
        st.caption(said.replace("$", "\\$"))


def _budget_words(month: BudgetMonth) -> str:
    if month.budget_pico is None:
        return "There is no monthly budget."
    held = f", {format_usd(month.held_pico)} held by calls in flight or without a bill" if month.held_pico else ""
    return f"Budget of {month.name}: {format_usd(month.known_pico)} of {format_usd(month.budget_pico)} spent{held}."


def _filters(whole: SpendReport, zone: Zone) -> SpendFilter:
    with st.container(horizontal=True):
        period = st.segmented_control("Period", list(PERIODS), default="All", key="spend.period", bind="query-params")
        chosen = spend.since_days(PERIODS[period or "All"], zone=zone)
        named: dict[str, str] = {}
        dimensions: tuple[Dimension, ...] = ("model", "provider", "purpose")
        for name in dimensions:
            values = [line.sum.key for line in whole.by[name] if line.sum.key]
            value = st.selectbox(
                name.capitalize(),
                values,
                index=None,
                key=f"spend.{name}",
                placeholder="all",
                width=220,
                bind="query-params",
            )
            if value:
                named[name] = value
    return replace(chosen, **named)  # type: ignore[arg-type]


def _charts(picked: SpendReport) -> None:
    days = picked.by["day"]
    if not days:
        st.caption("No call that has ended fits. Choose another period, or wait for those in flight.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("##### By day")
        st.space("stretch")
        show = st.segmented_control(
            "By day",
            list(DAILY),
            default="cost",
            format_func=DAILY.__getitem__,
            key="spend.daily",
            label_visibility="collapsed",
        )
    figure = {
        "added": lambda: charts_spend.cumulative(days),
        "tokens": lambda: charts_spend.tokens(days),
    }.get(show or "cost", lambda: charts_spend.stacked_days(picked.days_by_model))()
    st.plotly_chart(figure, key="spend.chart.day", config={"displaylogo": False}, alt="Spend by day")
    _table_below(days, "day")
    places = st.columns(2) * 2
    for place, dimension in zip(places, RANKED, strict=True):
        with place:
            _ranked(picked.by[dimension], dimension)


def _ranked(lines: Sequence[SpendLine], dimension: Dimension) -> None:
    st.markdown(f"##### By {dimension}")
    shown = [bars.Bar(line.label, float(from_pico(line.sum.known_pico)), spend.in_short(line.sum)) for line in lines]
    models = [Contestant(line.sum.key) for line in lines[: bars.MOST]] if dimension == "model" else []
    colours = {c.model: colour for c, colour in zip(models, colours_of(models).values(), strict=True)}
    bars.ranked(shown, colours=colours, label=f"Spend by {dimension}")
    _table_below(lines, dimension)


def _table_below(lines: Sequence[SpendLine], key: str) -> None:
    """The table behind a chart, made when it is opened."""
    table = st.expander("Table", key=f"spend.open.{key}", on_change="rerun")
    if table.open:
        with table:
            _table(lines, key)


def _table(lines: Sequence[SpendLine], key: str) -> None:
    columns = {
        key.capitalize(): [words.plain(line.label) for line in lines],
        "Calls": [line.sum.calls for line in lines],
        "Known, USD": dollars(line.sum.known_pico for line in lines),
        "Unknown calls": [line.sum.unknown_calls for line in lines],
        "Unknown, at most USD": dollars(line.sum.unknown_bound_pico for line in lines),
        "Tokens in": [line.sum.prompt_tokens for line in lines],
        "Tokens out": [line.sum.completion_tokens for line in lines],
    }
    table = money_table(columns, ("Known, USD", "Unknown, at most USD"), say=exact)
    st.dataframe(table, hide_index=True, key=f"spend.table.{key}")
    st.download_button(
        "CSV",
        data=spend.spend_csv(lines, key=key),
        file_name=f"assay-spend-{key}.csv",
        mime="text/csv",
        key=f"spend.csv.{key}",
        on_click="ignore",
    )
