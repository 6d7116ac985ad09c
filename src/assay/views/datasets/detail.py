"""One dataset: what its versions share above, then tabs for the chosen version."""

from __future__ import annotations

import streamlit as st

from assay.errors import AssayError, NotFound
from assay.views import components, words
from assay.views.datasets import catalogue, policy, rows, versions
from assay.views.state import go_to
from assay.workbench.datasets import versions as dataset_versions
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.datasets.versions import DatasetRecord
from assay.workbench.running import policies
from assay.workbench.session import Session


def page(session: Session, name: str, *, version: str | None) -> None:
    """The page of a dataset. version: its number as in the URL; absent or unknown: the newest."""
    try:
        record = dataset_versions.get_record(session, name)
    except NotFound as error:
        components.show_error(error)
        st.button("All datasets", key="datasets.back", icon=":material/arrow_back:", on_click=_close)
        return
    kept = dataset_versions.list_versions(session, record.name)
    dataset = next((d for d in kept if str(d.version) == version or d.id == name), record.newest)
    _heading(session, record, kept, dataset)
    if said := st.session_state.pop("datasets.said", None):
        st.success(words.label(said, 300), icon=":material/check:")
    tabs = st.tabs(["Rows", "Versions", "Policy", "Runs"], key="datasets.tab", on_change="rerun")
    if tabs[0].open:
        with tabs[0]:
            rows.tab(session, record, dataset)
    if tabs[1].open:
        with tabs[1]:
            versions.tab(session, kept, dataset)
    if tabs[2].open:
        with tabs[2]:
            policy.tab(session, record)
    if tabs[3].open:
        with tabs[3]:
            versions.runs_table(session, dataset)


def _close() -> None:
    st.query_params.clear()


def _heading(session: Session, record: DatasetRecord, kept: list[StoredDataset], dataset: StoredDataset) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(words.label(record.name, 120), anchor=False, width="content")
        for tag in record.tags:
            st.badge(words.label(tag, 40), color="gray")
        if record.policy:
            st.badge(words.label(policies.in_words(record.policy)), icon=":material/shield_lock:", color="green")
        st.space("stretch")
        st.button("All datasets", key="datasets.back", icon=":material/arrow_back:", on_click=_close)
        if st.button("Use in a batch", key="datasets.use", type="primary", icon=":material/table_rows:"):
            go_to("batch", dataset=dataset.id)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        numbers = [d.version for d in kept]
        chosen = st.selectbox(
            "Version",
            numbers,
            index=numbers.index(dataset.version),
            key=f"datasets.version.{dataset.id}",
            format_func=lambda n: f"{n}, newest" if n == numbers[0] else str(n),
            width=160,
        )
        _shared(session, record, dataset)
    if chosen != dataset.version:
        catalogue.open_version(next(d for d in kept if d.version == chosen))
        st.rerun()
    source = f" · {words.label(dataset.source, 120)}" if dataset.source else ""
    ids = dataset.roles.get("id")
    keys = f"keys from the column {words.label(ids)}" if ids else "keys by hash of the variables"
    st.caption(
        f"{dataset.row_count:,} rows · {len(dataset.columns)} columns · {keys}{source} · "
        f"{words.moment(dataset.created_ms)} · content {dataset.id}"
    )
    for finding in dataset.findings[:8]:
        icon = ":material/warning:" if finding.get("severity") == "warning" else ":material/info:"
        st.caption(f"{icon} {words.label(str(finding.get('message', '')), 300)}")


def _shared(session: Session, record: DatasetRecord, dataset: StoredDataset) -> None:
    with st.popover("Tags", icon=":material/label:"):
        tags = st.multiselect(
            "Tags",
            record.tags,
            default=record.tags,
            accept_new_options=True,
            key=f"datasets.tags.{record.name}",
            placeholder="Type a tag",
        )
        if st.button("Keep tags", key="datasets.tags_go", disabled=list(tags) == list(record.tags)):
            dataset_versions.set_tags(session, record.name, tags)
            st.rerun()
    with st.popover("Splits", icon=":material/call_split:"):
        _splits(session, record, dataset)
    with st.popover("Rename", icon=":material/edit:"):
        name = st.text_input("New name", value=record.name, key=f"datasets.rename.{record.name}")
        if st.button("Rename", key="datasets.rename_go", disabled=not name or name == record.name):
            try:
                dataset_versions.rename(session, record.name, name or "")
            except AssayError as error:
                components.show_error(error)
            else:
                st.query_params.from_dict({"dataset": " ".join((name or "").split()), "version": str(dataset.version)})
                st.rerun()


def _splits(session: Session, record: DatasetRecord, dataset: StoredDataset) -> None:
    if column := dataset_versions.split_column(dataset):
        st.caption(f"The column {words.label(column)} names the splits.")
        return
    st.caption("Made by a hash of each row's key: a row never changes sides, however many rows are added.")
    first = list(record.splits.values())
    test = st.slider("Test, percent", 1, 99, first[1] if len(first) == 2 else 20, key=f"datasets.share.{record.name}")
    if st.button("Split into train and test", key="datasets.split_go"):
        dataset_versions.make_splits(session, record.name, {"train": 100 - test, "test": test})
        st.rerun()
    if record.splits and st.button("Take the splits back", key="datasets.unsplit_go"):
        dataset_versions.make_splits(session, record.name, {})
        st.rerun()
