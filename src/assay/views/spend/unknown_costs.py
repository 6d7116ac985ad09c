"""Calls of unknown cost on the spend page: asking the gateway for them, and settling them by one's word."""

from __future__ import annotations

import streamlit as st

from assay.money import format_usd
from assay.store.spend import SpendSum
from assay.views import components, words
from assay.workbench.session import Session
from assay.workbench.spending import spend

CHOICES = {False: "They cost nothing", True: "Each cost its upper bound"}


def unknown_costs(session: Session, ended: SpendSum) -> None:
    """How many there are, at most at what cost, and what can be done; nothing where all costs are known."""
    if not ended.unknown_calls:
        return
    st.warning(f"{_counted(ended)} together, stand outside the sums.", icon=":material/help:")
    with st.container(horizontal=True):
        st.button(
            "Ask for unknown costs",
            key="spend.recover",
            icon=":material/receipt_long:",
            on_click=_ask,
            args=(session,),
            help="The gateway tells costs of the last 30 days by their generation ids.",
        )
        with st.popover("Settle by your word", icon=":material/gavel:"):
            _word(session, ended)


def _counted(ended: SpendSum) -> str:
    most = format_usd(ended.unknown_bound_pico).replace("$", "\\$")
    return f"{words.counted(ended.unknown_calls, 'call')} of unknown cost, at most {most}"


def _ask(session: Session) -> None:
    with components.errors_in_words():
        found = spend.recover(session)
        st.toast(f"{found:,} costs are known now." if found else "The gateway does not tell them.")


def _word(session: Session, ended: SpendSum) -> None:
    st.markdown(f"{_counted(ended)}. Ask the gateway first, and compare with its bill: what is settled stays so.")
    at_bound = st.radio(
        "What they cost", list(CHOICES), index=None, key="spend.settle.at", format_func=CHOICES.__getitem__
    )
    sure = st.checkbox("I have compared with the bill", key="spend.settle.sure")
    st.button(
        "Settle",
        key="spend.settle.now",
        type="primary",
        disabled=at_bound is None or not sure,
        on_click=_settle,
        args=(session,),
    )


def _settle(session: Session) -> None:
    """Settles as chosen; whoever settles again chooses again."""
    at_bound = st.session_state.pop("spend.settle.at", None)
    sure = st.session_state.pop("spend.settle.sure", False)
    if at_bound is None or not sure:
        return
    with components.errors_in_words():
        found = spend.state_costs(session, at_bound=at_bound)
        st.toast(f"{words.counted(found.calls, 'call')} settled at {format_usd(found.known_pico)}.")
