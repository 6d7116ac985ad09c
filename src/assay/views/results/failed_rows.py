"""The rows that a run did not get right, kept as a dataset for the next try."""

from __future__ import annotations

import streamlit as st

from assay.errors import AssayError
from assay.views import components, words
from assay.views.state import go_to
from assay.workbench.datasets import versions
from assay.workbench.results.cells import RunRecord
from assay.workbench.session import Session

KINDS = {"either": "Not passed or no answer", "failed": "Not passed", "errors": "No answer"}


def failed_rows_menu(session: Session, run: RunRecord) -> None:
    """A button that keeps the failed rows, of everyone or of one contestant, and opens them."""
    with st.popover("Failed rows", icon=":material/rule:", key="results.failed_rows", disabled=not run.done):
        kind = st.radio("Rows", list(KINDS), format_func=KINDS.__getitem__, key="results.failed_kind")
        whose = st.selectbox(
            "Of",
            [None, *range(len(run.plan.contestants))],
            key="results.failed_whose",
            format_func=lambda n: "anyone" if n is None else words.plain(run.plan.names[n]),
        )
        name = st.text_input("Name", value=f"{run.dataset.name[:70]}, failed rows", key="results.failed_name")
        if st.button("Keep failed rows", type="primary", key="results.failed_go"):
            try:
                made = versions.failed_rows(
                    session,
                    run.id,
                    kind=kind,  # type: ignore[arg-type]
                    contestant=whose,
                    name=name or "",
                )
            except AssayError as error:
                components.show_error(error)
            else:
                there = "" if made.is_new else " Exactly these rows were a dataset already: this is it."
                st.session_state["datasets.said"] = f"{made.dataset.row_count:,} failed rows kept.{there}"
                go_to("datasets", dataset=made.dataset.name, version=str(made.dataset.version))
