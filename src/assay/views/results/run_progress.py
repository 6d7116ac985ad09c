"""A run at work: live progress with its controls."""

from __future__ import annotations

from decimal import Decimal

import streamlit as st

from assay.money import format_usd, from_pico
from assay.stats.prediction import Prediction
from assay.views import components, words
from assay.workbench.running import runs
from assay.workbench.running.runs import RunProgress
from assay.workbench.session import Session

EVERY_S = 1.0
EVERY_LARGE_S = 2.0
LARGE = 2_000
"""Cells above which a panel renews itself less often: a second changes little then, and several tabs may be open."""


def panel(session: Session, run_id: str) -> None:
    """Progress of a run; live, it renews itself every second or two, and the whole page when it ends or goes on."""
    now = runs.progress(session, run_id)
    live = now.is_live

    @st.fragment(run_every=(EVERY_S if now.cells <= LARGE else EVERY_LARGE_S) if live else None)
    def watched() -> None:
        with components.errors_in_words():
            state = runs.progress(session, run_id)
            _show(session, state)
            if state.is_live != live:
                st.rerun()

    watched()


def _money(pico: int | None) -> str:
    return format_usd(pico).replace("$", "\\$")


def _show(session: Session, state: RunProgress) -> None:
    share = state.done / state.cells if state.cells else 1.0
    if state.is_live:
        left = f" · {words.duration(state.eta_s)} left" if state.eta_s is not None else ""
        st.progress(
            min(1.0, share), text=f"{state.done:,} of {state.cells:,} cells · {state.rate_per_s:.1f} a second{left}"
        )
    others = state.unknown_calls - state.orphans.calls
    unknown = f" · {others:,} calls of unknown cost" if others > 0 else ""
    reserved = f" · {_money(state.reserved_pico)} reserved" if state.reserved_pico else ""
    budget = f" of {_money(state.budget_pico)}" if state.budget_pico is not None else ""
    waiting = f" · {state.waiting:,} waiting" if state.waiting else ""
    outcome = words.label(state.outcome[:1].upper() + state.outcome[1:], 300)
    st.caption(
        f"{outcome} · spent {_money(state.spent_pico)}{budget}{reserved}{unknown} · "
        f"{state.failed:,} failed{waiting} · {words.duration(state.seconds)}"
    )
    if state.forecast is not None:
        _whole_bill(state.forecast)
    for notice in state.notices:
        st.info(words.label(notice, 400), icon=":material/info:")
    if state.reason:
        box = st.warning if state.state in ("paused", "stopped") or state.waits else st.info
        box(words.label(state.reason, 600), icon=":material/pause_circle:" if state.state == "paused" else None)
    if state.orphans.calls:
        _possibly_paid(session, state)
    if state.batch is not None:
        due = f"; due by {words.moment(state.batch.expires_ms)}" if state.batch.expires_ms else ""
        st.caption(
            f":material/inventory_2: The gateway's batch has answered {state.batch.answered:,} of "
            f"{state.batch.calls:,} requests{due}. The app may be closed meanwhile."
        )
    if state.is_live:
        _contestants(state)
    for failure in state.first_failures if state.is_live or state.state == "paused" else ():
        st.caption(f":material/error: {words.label(failure, 300)}")
    _controls(session, state)


def _whole_bill(bill: Prediction) -> None:
    """What the run will cost in all, with the interval that holds the bill in 95 of 100 runs like it."""
    low, expected, high = (_money(round(amount)) for amount in (bill.low, bill.expected, bill.high))
    heavy = " Rows differ much in cost, so it may be more." if bill.heavy else ""
    st.caption(
        f"The whole run: about {expected} ({low} to {high}), going by {words.counted(bill.count, 'row')}.{heavy}"
    )


def _possibly_paid(session: Session, state: RunProgress) -> None:
    calls, bound, askable = state.orphans
    said = f"{calls:,} calls were" if calls != 1 else "1 call was"
    none = "" if askable else " The gateway had told no id by which it can be asked; compare with its bill."
    st.warning(
        f"{said} in flight when the process ended: possibly paid, at most {_money(bound)}. That much is counted in the "
        f"budget until the cost is known.{none}",
        icon=":material/help:",
    )
    if askable:
        st.button(
            f"Ask for the cost of {askable:,}",
            key="results.recover",
            icon=":material/receipt_long:",
            on_click=_recover,
            args=(session,),
        )


def _recover(session: Session) -> None:
    with components.errors_in_words():
        found = runs.recover_costs(session)
        st.toast(f"{found:,} costs are known now." if found else "The gateway does not tell them.")


def _contestants(state: RunProgress) -> None:
    for line in state.contestants:
        share = line.done / line.cells if line.cells else 1.0
        note = f" · {words.label(line.note, 160)}" if line.note else ""
        failed = f" · {line.failed} failed" if line.failed else ""
        st.progress(
            min(1.0, share),
            text=f"{words.label(line.label)} · {line.done:,} of {line.cells:,}{failed} · {_money(line.spent_pico)} · "
            f"{line.in_flight} of {line.concurrency} in flight{note}",
        )


def _controls(session: Session, state: RunProgress) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if state.is_live:
            st.button(
                "Pause", key="results.pause", icon=":material/pause:", on_click=runs.pause_run, args=(session, state.id)
            )
            st.button(
                "Stop", key="results.stop", icon=":material/stop:", on_click=runs.stop_run, args=(session, state.id)
            )
            return
        if state.state == "paused":
            current = float(from_pico(state.budget_pico)) if state.budget_pico is not None else None
            st.number_input(
                "Budget, USD",
                min_value=0.0,
                value=current,
                key="results.budget",
                width=200,
                format="%.2f" if current is not None and current >= 1 else "%.6f",
            )
        if state.waiting or state.state == "paused":
            st.button(
                "Continue",
                key="results.continue",
                icon=":material/play_arrow:",
                type="primary",
                on_click=_go_on,
                args=(session, state.id, False),
            )
        if state.failed:
            st.button(
                f"Retry {state.failed} failed",
                key="results.retry",
                icon=":material/refresh:",
                on_click=_go_on,
                args=(session, state.id, True),
            )


def _go_on(session: Session, run_id: str, retry: bool) -> None:
    """Goes on with the budget that stands in the box now, typed just before the click included."""
    budget = st.session_state.get("results.budget")
    with components.errors_in_words():
        amount = Decimal(str(budget)) if budget is not None else None
        runs.continue_run(session, run_id, budget_usd=amount, retry_failed=retry)
