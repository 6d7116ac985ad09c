"""What became of a run's estimate, what was added to it, and whether it meets its gates."""

from __future__ import annotations

import streamlit as st

from assay.views import words
from assay.workbench.results import outcome
from assay.workbench.results.cells import RunRecord
from assay.workbench.running import growth
from assay.workbench.session import Session

MARKS = {True: ":green[:material/check_circle: pass]", False: ":red[:material/cancel: fail]"}


def estimate_caption(session: Session, run: RunRecord) -> None:
    """Estimate and bill in a line; nothing for a run without an estimate."""
    found = outcome.estimate_outcome(session, run.id)
    if found is not None and run.done:
        st.caption(words.label(found.words, 400))


def changes(session: Session, run: RunRecord) -> None:
    """What was added to the run, oldest first; nothing where it never grew."""
    with st.container(gap="xsmall"):
        for change in growth.history(session, run.id):
            st.caption(f":material/add_circle: {words.moment(change.at_ms)}: {words.label(change.words, 400)}")


def gates(session: Session, run: RunRecord) -> None:
    """The verdicts of the gates that the run keeps, those not met first; nothing where it keeps none."""
    if not run.plan.gates:
        return
    if run.state != "done":
        st.caption(":material/rule: The gates of its suite are checked when the run is complete.")
        return
    from assay.workbench.gating import gates as workbench

    found = sorted(workbench.check_run(session, run.id) or (), key=lambda gate: gate.passed)
    met = sum(gate.passed for gate in found)
    with (
        st.expander(f"Gates: {met} of {len(found)} met", expanded=met < len(found), icon=":material/rule:"),
        st.container(gap="xsmall"),
    ):
        for gate in found:
            about = words.label(gate.contestant or "the run")
            st.markdown(f"{MARKS[gate.passed]} · {about} · {words.label(gate.words, 300)}")
