"""The menu of a run's exports: one download per format, made when its button is clicked."""

from __future__ import annotations

import io

import streamlit as st

from assay.workbench.results import exports
from assay.workbench.results.cells import RunRecord
from assay.workbench.results.exports import Kind
from assay.workbench.session import Session


def export_menu(session: Session, run: RunRecord) -> None:
    """A button that opens the formats, with a choice of columns to leave out."""
    with st.popover("Export", icon=":material/download:", key="results.export"):
        left_out = st.multiselect(
            "Leave out",
            exports.redactable(session, run.id),
            key="results.redact",
            placeholder="Columns and texts",
            help="Answers, errors and reasons that quote a left-out value are masked too.",
        )
        for kind in exports.KINDS.values():
            if kind.whole and (left_out or run.state in ("queued", "running")):
                continue
            _download(session, run.id, kind, tuple(left_out))


def _download(session: Session, run_id: str, kind: Kind, left_out: tuple[str, ...]) -> None:
    def made() -> bytes:
        target = io.BytesIO()
        exports.export_run(session, run_id, kind.name, target, redact=left_out)
        return target.getvalue()

    st.download_button(
        kind.words,
        data=made,
        file_name=exports.file_name(run_id, kind),
        mime=kind.media_type,
        key=f"results.export.{kind.name}",
        on_click="ignore",
        width="stretch",
    )
