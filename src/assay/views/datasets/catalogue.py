"""All datasets: the list, and the import of a file."""

from __future__ import annotations

from typing import Any

import streamlit as st

from assay.datasets.table import ReadOptions
from assay.errors import AssayError
from assay.views import components, words
from assay.views.batch.source import TYPES
from assay.views.state import go_to
from assay.workbench.datasets import importing, versions
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.running import policies
from assay.workbench.session import Session

PAGE = 50


def importer(session: Session) -> None:
    """The import: a file under a name; an existing name gets a new version."""
    with st.popover("Import a file", icon=":material/upload_file:", key="datasets.import"):
        upload = st.file_uploader(
            "File",
            type=TYPES,
            key="datasets.file",
            max_upload_size=session.settings.upload_limit_mb,
            help="The first row names the columns. A column called id gives the rows their keys.",
        )
        known = [record.name for record in versions.list_records(session)]
        name = st.text_input(
            "Name",
            key="datasets.import_name",
            placeholder="the file's name",
            help="The name of a dataset that exists makes a new version of it.",
        )
        if name and name.strip() in known:
            st.caption(f"A new version of {words.label(name)}, under its data policy.")
        if st.button("Import", type="primary", key="datasets.import_go", disabled=upload is None) and upload:
            try:
                said = f"Reading {words.label(upload.name)}"
                bar = st.progress(0.0, text=said)

                def show(share: float) -> None:
                    bar.progress(share, text=said)

                kept = importing.import_upload(
                    session,
                    upload,
                    filename=upload.name,
                    name=(name or "").strip(),
                    options=ReadOptions(),
                    on_share=show,
                ).dataset
            except AssayError as error:
                components.show_error(error)
            else:
                open_version(kept)
                st.rerun()


def open_version(dataset: StoredDataset) -> None:
    """Opens a version on this page."""
    st.query_params.from_dict({"dataset": dataset.name, "version": str(dataset.version)})


def table(session: Session) -> None:
    """The list of datasets by name; a selected one opens."""
    import pandas as pd

    total = versions.count_records(session)
    if not total:
        st.info(
            "No dataset yet. Import a file above, or start with an example: what a batch eval uses is kept here.",
            icon=":material/dataset:",
        )
        if st.button("Start with an example", key="datasets.first"):
            go_to("batch")
        return
    search = st.text_input("Search", key="datasets.search_names", placeholder="Name", type="search", width=320) or ""
    found = versions.count_records(session, search=search)
    number = max(1, int(st.session_state.get("datasets.list_page") or 1))
    records = versions.list_records(session, limit=PAGE, offset=(number - 1) * PAGE, search=search)
    if not records:
        st.caption("No dataset has that name.")
        return
    frame = pd.DataFrame(
        {
            "Dataset": [words.plain(r.name) for r in records],
            "Newest": [f"version {r.newest.version}" for r in records],
            "Rows": [r.newest.row_count for r in records],
            "Columns": [len(r.newest.columns) for r in records],
            "Tags": [[words.plain(tag) for tag in r.tags] for r in records],
            "Data policy": [policies.in_words(r.policy) or "none" for r in records],
            "Runs": [r.runs for r in records],
            "Created": [words.moment(r.newest.created_ms) for r in records],
        }
    )
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="datasets.list",
        column_config={
            "Dataset": st.column_config.TextColumn(pinned=True, width="medium"),
            "Rows": st.column_config.NumberColumn(format="localized"),
            "Tags": st.column_config.ListColumn(),
            "Data policy": st.column_config.TextColumn(width="medium"),
        },
    )
    if found > PAGE:
        st.pagination(-(-found // PAGE), key="datasets.list_page")
    rows = event.selection.rows
    if rows and rows[0] < len(records):
        open_version(records[rows[0]].newest)
        st.rerun()
    st.caption("Select a dataset to open it.")
