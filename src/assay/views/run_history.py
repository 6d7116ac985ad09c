"""What became of a run's estimate, what was added to it, and whether it meets its gates."""

from __future__ import annotations

import streamlit as st

from assay.views import words
from assay.workbench import growth, outcome
from assay.workbench.results import RunRecord
from assay.workbench.runtime import Runtime

MARKS = {True: ":green[:material/check_circle: pass]", False: ":red[:material/cancel: fail]"}


def estimate_caption(rt: Runtime, run: RunRecord) -> None:
    """Estimate and bill in a line; nothing for a run without an estimate."""
    found = outcome.estimate_outcome(rt, run.id)
    if found is not None and run.done:
        st.caption(words.label(found.words, 400))


def changes(rt: Runtime, run: RunRecord) -> None:
    """What was added to the run, oldest first; nothing where it never grew."""
    for change in growth.history(rt, run.id):
        st.caption(f":material/add_circle: {words.moment(change.at_ms)}: {words.label(change.words, 400)}")


def gates(rt: Runtime, run: RunRecord) -> None:
    """The verdicts of the gates that the run keeps; nothing where it keeps none."""
    if not run.plan.gates:
        return
    from assay.workbench import gates as workbench

    with st.container(border=True, gap="xsmall"):
        st.markdown("**Gates**")
        if run.state != "done":
            st.caption("They are checked when the run is complete.")
            return
        for found in workbench.check_run(rt, run.id) or ():
            about = words.label(found.contestant or "the run")
            st.markdown(f"{MARKS[found.passed]} · {about} · {words.label(found.words, 300)}")
