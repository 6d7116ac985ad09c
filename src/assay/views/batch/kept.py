"""A stored dataset as the batch's data, chosen by its id in the URL; and the data policy of whatever is chosen."""

from __future__ import annotations

import streamlit as st

from assay.errors import AssayError
from assay.views import components, words
from assay.workbench.datasets import kept as datasets
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.running import policies
from assay.workbench.session import Session


def kept_dataset(session: Session) -> StoredDataset | None:
    """The stored dataset that the URL names; None: a file or an example is to be chosen."""
    chosen = st.query_params.get("dataset")
    if not chosen:
        return None
    try:
        dataset = datasets.get_dataset(session, chosen)
    except AssayError as error:
        components.show_error(error)
        dataset = None
    with st.container(horizontal=True, vertical_alignment="center"):
        if dataset is not None:
            st.markdown(
                f"**{words.label(dataset.name)}** version {dataset.version} · {dataset.row_count:,} rows · "
                f"{len(dataset.columns)} columns"
            )
        st.button("Take other data", key="batch.other_data", icon=":material/close:", on_click=_let_go)
    return dataset


def _let_go() -> None:
    st.query_params.pop("dataset", None)


def kept_picker(session: Session) -> None:
    """The datasets that are kept; a chosen one goes into the URL."""
    kept = {d.id: d for d in datasets.list_datasets(session, limit=100)}
    if kept:
        st.selectbox(
            "or one that is kept",
            list(kept),
            index=None,
            key="batch.kept",
            placeholder="Search datasets",
            width=420,
            format_func=lambda n: f"{words.plain(kept[n].name)} version {kept[n].version}, {kept[n].row_count:,} rows",
            on_change=_take,
        )


def _take() -> None:
    if chosen := st.session_state.get("batch.kept"):
        st.query_params["dataset"] = chosen


def policy_line(session: Session, dataset: StoredDataset) -> None:
    """What the data policy of a dataset asks of every call."""
    if said := policies.in_words(policies.get_policy(session, dataset.id)):
        st.caption(
            f":material/shield_lock: Data policy: {words.label(said, 300)}. Every call carries it, judges included."
        )
