"""Block 1: a file or an example becomes a dataset, with what the doctor found and the columns' roles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import streamlit as st

from assay.datasets.encoding import CHOICES
from assay.datasets.roles import guess_roles
from assay.datasets.table import ReadOptions, Table
from assay.errors import AssayError
from assay.views import components, words
from assay.views.batch.kept import kept_dataset, kept_picker, policy_line
from assay.workbench import datasets
from assay.workbench.datasets import Example, StoredDataset
from assay.workbench.runtime import Runtime

TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods", "json", "jsonl", "ndjson", "parquet"]
DELIMITERS = {"": "Found out", ",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Pipe"}
BAD_ROWS = {"pad": "Fill up or cut", "skip": "Leave out"}
SHAPES = {"auto": "Into plain columns", "none": "As they are"}
PREVIEW = 10


@dataclass(frozen=True, slots=True)
class Source:
    """The chosen dataset."""

    dataset: StoredDataset
    expected: str | None
    example: Example | None


def block(rt: Runtime) -> Source | None:
    """The data block; None until there is a dataset that can be used."""
    if "dataset" in st.query_params:
        chosen = kept_dataset(rt)
        return _ready(rt, chosen, None) if chosen is not None else None
    examples = {example.name: example for example in datasets.examples()}
    upload = st.file_uploader("Drop a file", type=TYPES, key="batch.file", max_upload_size=rt.settings.upload_limit_mb)
    picked = st.pills(
        "or take an example", list(examples), key="batch.example",
        format_func=lambda name: examples[name].title, disabled=upload is not None,
    )  # fmt: skip
    if upload is None and not picked:
        kept_picker(rt)
        st.caption("CSV, TSV, XLSX, JSON, JSONL or Parquet. The first row names the columns.")
        return None
    example = None if upload is not None else examples[picked or ""]
    name = upload.name if upload is not None else examples[picked or ""].path.name
    content = upload.getvalue() if upload is not None else examples[picked or ""].path.read_bytes()
    try:
        table = _table(rt, content, name)
        dataset = _dataset(rt, table, name, content)
    except AssayError as error:
        components.show_error(error)
        return None
    _findings(table)
    return _ready(rt, dataset, example)


def _ready(rt: Runtime, dataset: StoredDataset, example: Example | None) -> Source:
    policy_line(rt, dataset)
    expected = _roles(dataset, example)
    _preview(rt, dataset)
    return Source(dataset, expected, example)


def _table(rt: Runtime, content: bytes, name: str) -> Table:
    with st.expander("How the file is read", icon=":material/plagiarism:"):
        columns = st.columns(5)
        delimiter = columns[0].selectbox("Delimiter", list(DELIMITERS), format_func=DELIMITERS.__getitem__,
                                         key="batch.delimiter")  # fmt: skip
        encoding = columns[1].selectbox("Encoding", ["", *CHOICES], format_func=lambda e: e or "Found out",
                                        key="batch.encoding")  # fmt: skip
        bad_rows = columns[2].selectbox("Ragged rows", list(BAD_ROWS), key="batch.bad_rows",
                                        format_func=BAD_ROWS.__getitem__)  # fmt: skip
        sheets = st.session_state.get("batch.sheets", ())
        sheet = columns[3].selectbox("Sheet", ["", *sheets], format_func=lambda s: s or "First", key="batch.sheet")
        shape = columns[4].selectbox("Rows of other tools", list(SHAPES), format_func=SHAPES.__getitem__,
                                     key="batch.shape")  # fmt: skip
    options = ReadOptions(
        delimiter or None, encoding or None, sheet or None,
        bad_rows=bad_rows or "pad", shape=shape or "auto",  # type: ignore[arg-type]
    )  # fmt: skip
    key = (hashlib.sha256(content).hexdigest(), name, options)
    kept = st.session_state.get("batch.read")
    if kept is None or kept[0] != key:
        with st.spinner(f"Reading {words.label(name)}"):
            kept = (key, datasets.read_upload(rt, content, filename=name, options=options))
        st.session_state["batch.read"] = kept
    table: Table = kept[1]
    st.session_state["batch.sheets"] = table.dialect.sheets
    return table


def _dataset(rt: Runtime, table: Table, name: str, content: bytes) -> StoredDataset:
    key = (id(table), name)
    kept = st.session_state.get("batch.dataset")
    if kept is None or kept[0] != key:
        with st.spinner("Keeping the dataset"):
            found = datasets.save_table(rt, table, name=name.rpartition(".")[0] or name, source=name)
        kept = st.session_state["batch.dataset"] = (key, found)
    dataset: StoredDataset = kept[1]
    rows = f"{dataset.row_count:,} rows" if dataset.row_count != 1 else "1 row"
    st.markdown(
        f"**{words.label(name)}** · {rows} · {len(dataset.columns)} columns · {words.label(table.dialect.describe())}"
    )
    return dataset


def _findings(table: Table) -> None:
    for finding in table.findings[:8]:
        lines = f" Lines {', '.join(map(str, finding.lines[:8]))}." if finding.lines else ""
        icon = ":material/warning:" if finding.severity == "warning" else ":material/info:"
        st.caption(f"{icon} {words.label(finding.message + lines + ' ' + finding.cure, 400)}")


def _roles(dataset: StoredDataset, example: Example | None) -> str | None:
    guessed = example.expected if example else guess_roles(dataset.columns).get("expected")
    options = ["", *dataset.columns]
    found = st.selectbox(
        "Expected answer", options, index=options.index(guessed) if guessed in options else 0,
        format_func=lambda c: words.plain(c) or "none", key=f"batch.expected.{dataset.id}",
        help="The column that graders compare answers with.", width=320,
    )  # fmt: skip
    return found or None


def _preview(rt: Runtime, dataset: StoredDataset) -> None:
    import pandas as pd

    rows = datasets.dataset_rows(rt, dataset.id, count=PREVIEW)
    frame = pd.DataFrame([{words.plain(k): words.plain(v)[:200] for k, v in row.items()} for row in rows], dtype=str)
    st.dataframe(frame, hide_index=True, key="batch.preview", height="auto")
