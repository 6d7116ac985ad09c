"""The versions of a dataset side by side, and the runs over one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from assay.errors import AssayError
from assay.views import components, words
from assay.views.datasets.catalogue import open_version
from assay.views.spend.money_table import dollars, money_table
from assay.views.state import go_to
from assay.workbench.datasets import versions
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.session import Session


def tab(session: Session, kept: list[StoredDataset], dataset: StoredDataset) -> None:
    """The list of versions, what lies between two, and the deletion of one."""
    import pandas as pd

    used = versions.runs_by_version(session, dataset.name)
    frame = pd.DataFrame(
        {
            "Version": [d.version for d in kept],
            "Rows": [d.row_count for d in kept],
            "Columns": [len(d.columns) for d in kept],
            "From": [words.plain(d.source) for d in kept],
            "Created": [words.moment(d.created_ms) for d in kept],
            "Runs": [used.get(d.id, 0) for d in kept],
            "Content": [d.id for d in kept],
        }
    )
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        key="datasets.versions",
        on_select="rerun",
        selection_mode="single-row",
        height="auto",
        column_config={"Rows": st.column_config.NumberColumn(format="localized")},
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(kept) and kept[chosen[0]].id != dataset.id:
        open_version(kept[chosen[0]])
        st.rerun()
    if len(kept) > 1:
        _difference(session, kept, dataset)
    _delete(session, dataset, used.get(dataset.id, 0))


def _difference(session: Session, kept: list[StoredDataset], dataset: StoredDataset) -> None:
    others = [d for d in kept if d.id != dataset.id]
    before = next((n for n, d in enumerate(others) if d.version < dataset.version), 0)
    other = st.selectbox(
        f"Version {dataset.version} against",
        others,
        index=before,
        format_func=lambda d: f"version {d.version}",
        key=f"datasets.against.{dataset.id}",
        width=240,
    )
    found = versions.diff(session, other.id, dataset.id)
    st.markdown(
        f"**{found.added:,}** added · **{found.removed:,}** removed · **{found.changed:,}** changed · "
        f"{found.same:,} the same"
    )
    if found.changes:
        _changes(found.changes)


def _changes(changes: tuple[versions.RowChange, ...]) -> None:
    import pandas as pd

    lines = [
        (
            change.key,
            words.plain(column),
            words.plain(change.before.get(column, ""))[:200],
            words.plain(change.after.get(column, ""))[:200],
        )
        for change in changes
        for column in dict.fromkeys((*change.before, *change.after))
        if change.before.get(column) != change.after.get(column)
    ]
    frame = pd.DataFrame(lines, columns=["Row key", "Column", "Before", "After"], dtype=str)
    st.dataframe(frame, hide_index=True, key="datasets.changes", height="auto")


def _delete(session: Session, dataset: StoredDataset, runs: int) -> None:
    with st.popover(f"Delete version {dataset.version}", icon=":material/delete:", key="datasets.delete"):
        st.caption(
            "Runs use it: their results need its rows." if runs else "The rows are gone for good; no run uses them."
        )
        if st.button("Delete for good", key="datasets.delete_go", disabled=bool(runs)):
            try:
                versions.delete_version(session, dataset.id)
            except AssayError as error:
                components.show_error(error)
            else:
                left = versions.list_versions(session, dataset.name, limit=1)
                st.query_params.from_dict({"dataset": dataset.name} if left else {})
                st.rerun()


def runs_table(session: Session, dataset: StoredDataset) -> None:
    """The runs over a version; a selected one opens."""
    found = versions.runs_of(session, dataset.id)
    if not found:
        st.caption(f"No run uses version {dataset.version} yet.")
        return
    columns = {
        "Run": [words.plain(r.name) for r in found],
        "State": [r.state for r in found],
        "Started": [words.moment(r.created_ms) for r in found],
        "Cells": [f"{r.done:,} of {r.cells:,}" for r in found],
        "Spent": dollars(r.spent_pico for r in found),
    }
    said = {(n, "Spent"): r.spent_words for n, r in enumerate(found) if r.unknown_calls}
    event: Any = st.dataframe(
        money_table(columns, ("Spent",), said=said),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="datasets.runs",
        height="auto",
    )
    st.caption("Select a run to open it.")
    if event.selection.rows:
        go_to("results", run=found[event.selection.rows[0]].id)
