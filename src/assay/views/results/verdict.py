"""The verdict of a run: what is decided, the cheaper choice, who is left out, and what would tell more."""

from __future__ import annotations

import streamlit as st

from assay.money import format_usd
from assay.stats.sentences import cheaper_choice, rounded_rows
from assay.stats.values import RowsNeeded
from assay.views import words
from assay.views.results import growth
from assay.workbench.results.cells import RunRecord
from assay.workbench.results.standing import Standing, set_margin
from assay.workbench.session import Session


def verdict_block(session: Session, run: RunRecord, found: Standing, *, live: bool) -> None:
    """The sentences; of a run at rest with its margin, and a button for the rows that would tell."""
    if live or not found.has_graders:
        _sentences(found)
        return
    left, right = st.columns([4, 1], vertical_alignment="top", gap="medium")
    with left:
        _sentences(found)
        needed = rows_that_would_tell(found)
        if needed is not None:
            _grow_button(session, run, needed)
    with right:
        _margin(session, run, found)


def rows_that_would_tell(found: Standing) -> RowsNeeded | None:
    """What the verdict's sentences name: for the leaders, else for the cheaper choice; None: nothing is open."""
    if found.decision.rows_needed is not None:
        return found.decision.rows_needed
    choice = cheaper_choice(found.decision)
    return None if choice is None else choice.check.rows_needed


def _sentences(found: Standing) -> None:
    first, *more = found.verdict_lines
    st.markdown(f"#### {words.label(first, 600)}")
    for line in more:
        st.markdown(words.label(line, 600))
    if found.reasons:
        st.caption("The first reasons of the graders:")
        for reason in found.reasons:
            st.markdown(f"- {words.label(reason, 300)}")


def _grow_button(session: Session, run: RunRecord, needed: RowsNeeded) -> None:
    rows = rounded_rows(needed.rows)
    cost = "" if needed.cost is None else f" (about {format_usd(round(needed.cost))})"
    label = f"Grow to {rows:,} rows{cost}".replace("$", "\\$")
    if st.button(label, key="results.tell", icon=":material/playlist_add:", help="Opens Add rows with this number."):
        growth.rows_dialog(session, run, rows)


def _margin(session: Session, run: RunRecord, found: Standing) -> None:
    key = f"results.margin.{run.id}"

    def keep() -> None:
        set_margin(session, run.id, float(st.session_state[key]) / 100)

    st.number_input(
        "Good enough: within, points",
        min_value=0.5,
        max_value=50.0,
        value=min(50.0, max(0.5, round(found.decision.margin * 100, 1))),
        step=0.5,
        format="%g",
        key=key,
        on_change=keep,
        help="A cheaper contestant is called good enough when it is shown to be at most so many points worse. "
        "Kept with the run.",
    )
