"""The rows of a version: searched, filtered by chips, paged; edited into a new version; kept as another dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from assay.errors import AssayError
from assay.views import components, words
from assay.views.datasets.catalogue import open_version
from assay.workbench.datasets import versions
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.datasets.versions import ColumnFilter, DatasetRecord, RowChoice, RowEdits, StoredRow
from assay.workbench.session import Session

PAGE = 50
SHOWN = 80
"""Characters of a cell in the grid; a selected row opens in full."""
KINDS = ("is", "is not", "contains")


def tab(session: Session, record: DatasetRecord, dataset: StoredDataset) -> None:
    """The whole tab."""
    choice, editing = _toolbar(session, dataset)
    number = max(1, int(st.session_state.get("datasets.page") or 1))
    page = versions.rows_page(session, dataset.id, choice, page=number, size=PAGE)
    if not page.rows and page.total:
        number = st.session_state["datasets.page"] = 1
        page = versions.rows_page(session, dataset.id, choice, size=PAGE)
    if not page.total:
        st.caption("No row fits. Clear the search and the filters.")
        return
    if editing:
        _editor(session, dataset, page.rows, place=(number, choice))
    else:
        _grid(dataset, page.rows)
        _keep(session, dataset, choice, page.total)
    pages = -(-page.total // PAGE)
    turning = f" Page {number} of {pages}: save before you turn it." if editing and pages > 1 else ""
    st.caption(f"{page.total:,} rows.{turning}")
    if pages > 1:
        st.pagination(pages, key="datasets.page")


# -- which rows ------------------------------------------------------------------------------------------------


def _toolbar(session: Session, dataset: StoredDataset) -> tuple[RowChoice, bool]:
    filters = _filters(dataset)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="datasets.search", placeholder="Text in any column", type="search", width=320
        )
        split = None
        if splits := versions.splits_of(session, dataset):
            counts = {part.name: part.rows for part in splits}
            split = st.segmented_control(
                "Split",
                list(counts),
                key=f"datasets.split.{dataset.name}",
                format_func=lambda name: f"{words.label(name, 30)} {counts[name]:,}",
            )
        with st.popover("Filter", icon=":material/filter_alt:", key="datasets.filter"):
            _new_filter(session, dataset)
        st.space("stretch")
        editing = st.toggle("Edit", key=f"datasets.edit.{dataset.id}", help="Edits become a new version.")
    if filters:
        with st.container(horizontal=True):
            for n, wanted in enumerate(filters):
                said = f"{wanted.column} {wanted.kind} {wanted.value or 'empty'}"
                st.button(
                    words.label(said, 60),
                    key=f"datasets.chip.{n}",
                    icon=":material/close:",
                    on_click=_drop,
                    args=(n,),
                    help="Take this filter away.",
                )
    return RowChoice(search or "", filters, split or ""), editing


def _filters(dataset: StoredDataset) -> tuple[ColumnFilter, ...]:
    """The filters in the URL that this version can be asked for."""
    found = []
    for text in st.query_params.get_all("where"):
        try:
            column, kind, value = json.loads(text)
        except ValueError:
            continue
        if column in dataset.columns and kind in KINDS and isinstance(value, str):
            found.append(ColumnFilter(column, kind, value))
    return tuple(found)


def _new_filter(session: Session, dataset: StoredDataset) -> None:
    column = st.selectbox(
        "Column", dataset.columns, key=f"datasets.filter_column.{dataset.id}", format_func=words.plain
    )
    kind = st.segmented_control("Condition", KINDS, default="is", key="datasets.filter_kind") or "is"
    value: str | None
    if kind == "contains":
        value = st.text_input("Text", key="datasets.filter_text")
    else:
        counts = dict(versions.column_values(session, dataset, column))
        value = st.selectbox(
            "Value",
            list(counts),
            index=None,
            accept_new_options=True,
            key=f"datasets.filter_value.{column}",
            format_func=lambda v: f"{words.plain(v)[:60] or 'empty'} ({counts.get(v, 0):,})",
            placeholder="Choose or type",
        )
    missing = value is None or (kind == "contains" and not value)
    if st.button("Add filter", key="datasets.filter_go", disabled=missing) and value is not None and not missing:
        _add(column, kind, value)
        st.rerun()


def _add(column: str, kind: str, value: str) -> None:
    st.query_params["where"] = [
        *st.query_params.get_all("where"),
        json.dumps([column, kind, value], ensure_ascii=False),
    ]
    st.session_state["datasets.page"] = 1


def _drop(place: int) -> None:
    left = [text for n, text in enumerate(st.query_params.get_all("where")) if n != place]
    if left:
        st.query_params["where"] = left
    else:
        del st.query_params["where"]


# -- reading ---------------------------------------------------------------------------------------------------


def _shown_columns(dataset: StoredDataset) -> list[str]:
    """Names of the grid's columns after the key, in the dataset's order; every name once."""
    shown: list[str] = []
    for column in dataset.columns:
        name = words.plain(column)
        while name in (*shown, "Row key"):
            name += " "
        shown.append(name)
    return shown


def _grid(dataset: StoredDataset, rows: list[StoredRow]) -> None:
    import pandas as pd

    shown = _shown_columns(dataset)
    lines = [[row.key, *(words.plain(v)[:SHOWN] for v in row.values.values())] for row in rows]
    frame = pd.DataFrame(lines, columns=["Row key", *shown], dtype=str)
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        key=f"datasets.rows.{dataset.id}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={"Row key": st.column_config.TextColumn(pinned=True, width="small")},
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(rows):
        with st.container(border=True):
            st.markdown(f"**Row {words.label(rows[chosen[0]].key)}**")
            for column, value in rows[chosen[0]].values.items():
                st.caption(words.label(column))
                st.code(words.plain(value) or " ", language=None, wrap_lines=True)


def _keep(session: Session, dataset: StoredDataset, choice: RowChoice, total: int) -> None:
    with st.popover("Keep as a dataset", icon=":material/content_copy:", key="datasets.keep"):
        st.caption(
            f"{total:,} rows: {words.label(choice.in_words(), 200) or 'all of them'}. Row keys and the data "
            "policy come along."
        )
        name = st.text_input("Name", value=f"{dataset.name} part"[:120], key=f"datasets.keep_name.{dataset.id}")
        first, second = st.columns(2)
        count = first.number_input("Draw", 1, total, value=None, key="datasets.keep_count", placeholder="all rows")
        seed = second.number_input("Seed", 0, value=0, key="datasets.keep_seed", help="The same seed draws the same.")
        if st.button("Keep", type="primary", key="datasets.keep_go"):
            try:
                made = versions.derive(
                    session,
                    dataset.id,
                    name=name or "",
                    choice=choice,
                    sample=int(count) if count else None,
                    seed=int(seed),
                )
            except AssayError as error:
                components.show_error(error)
                return
            there = "" if made.is_new else " Exactly these rows were a dataset already: this is it."
            st.session_state["datasets.said"] = f"{made.dataset.row_count:,} rows kept.{there}"
            open_version(made.dataset)
            st.rerun()


# -- editing ---------------------------------------------------------------------------------------------------


def _editor(session: Session, dataset: StoredDataset, rows: list[StoredRow], *, place: tuple[int, RowChoice]) -> None:
    import pandas as pd

    shown = _shown_columns(dataset)
    lines = [[row.key, *(words.plain(v) for v in row.values.values())] for row in rows]
    frame = pd.DataFrame(lines, columns=["Row key", *shown], dtype=str)
    key = f"datasets.editor.{dataset.id}.{hashlib.sha256(repr(place).encode()).hexdigest()[:8]}"
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        num_rows="dynamic",
        disabled=["Row key"],
        column_config={"Row key": st.column_config.TextColumn(pinned=True, width="small")},
    )
    edits = edits_of(st.session_state[key], rows, dict(zip(shown, dataset.columns, strict=True)))
    counts = len(edits.changed), len(edits.added), len(edits.deleted)
    with st.container(horizontal=True, vertical_alignment="center"):
        saving = st.button(
            "Save as new version", type="primary", key="datasets.save", disabled=not any(counts), icon=":material/save:"
        )
        st.caption(
            f"{counts[0]:,} changed, {counts[1]:,} added, {counts[2]:,} deleted. Version {dataset.version} stays."
        )
    if saving:
        try:
            made = versions.edit(session, dataset.id, edits)
        except AssayError as error:
            components.show_error(error)
            return
        there = f"Version {made.dataset.version} is kept" if made.is_new else f"That is version {made.dataset.version}"
        st.session_state["datasets.said"] = (
            f"{there}: {counts[0]:,} changed, {counts[1]:,} added, {counts[2]:,} deleted."
        )
        open_version(made.dataset)
        st.rerun()


def edits_of(state: Mapping[str, Any], rows: list[StoredRow], columns: Mapping[str, str]) -> RowEdits:
    """What the editor's state changes; columns: shown name -> column. Only touched cells are taken, so that what a
    screen cannot show is not lost from the others."""
    changed: dict[str, dict[str, str]] = {}
    for place, cells in state.get("edited_rows", {}).items():
        row = rows[int(place)]
        new = {columns[name]: _text(value) for name, value in cells.items() if name in columns}
        new = {column: value for column, value in new.items() if value != words.plain(row.values[column])}
        if new:
            changed[row.key] = new
    added = [
        {columns[name]: _text(value) for name, value in cells.items() if name in columns}
        for cells in state.get("added_rows", [])
    ]
    deleted = [rows[place].key for place in state.get("deleted_rows", [])]
    return RowEdits(
        {key: cells for key, cells in changed.items() if key not in deleted},
        [row for row in added if any(row.values())],
        deleted,
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)
