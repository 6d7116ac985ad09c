"""Block 1: a file or an example becomes a dataset, with what the doctor found and the columns' roles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from assay.datasets.encoding import CHOICES
from assay.datasets.roles import guess_roles
from assay.datasets.table import ReadOptions
from assay.errors import AssayError
from assay.views import components, words
from assay.views.batch.kept import kept_dataset, kept_picker, policy_line
from assay.workbench.datasets import importing
from assay.workbench.datasets import kept as datasets
from assay.workbench.datasets.importing import Imported
from assay.workbench.datasets.kept import Example, StoredDataset
from assay.workbench.session import Session

TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods", "json", "jsonl", "ndjson", "yaml", "yml", "parquet"]
DELIMITERS = {"": "Found out", ",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Pipe"}
BAD_ROWS = {"pad": "Fill up or cut", "skip": "Leave out"}
SHAPES = {"auto": "Into plain columns", "none": "As they are"}
HEADER = {True: "The first row", False: "Not in the file"}
CONTROL = {"keep": "Keep", "strip": "Take out"}
PREVIEW = 10


@dataclass(frozen=True, slots=True)
class Source:
    """The chosen dataset."""

    dataset: StoredDataset
    expected: str | None
    example: Example | None


def block(session: Session) -> Source | None:
    """The data block; None until there is a dataset that can be used."""
    if "dataset" in st.query_params:
        chosen = kept_dataset(session)
        return _ready(session, chosen, None) if chosen is not None else None
    examples = {example.name: example for example in datasets.examples()}
    upload = st.file_uploader(
        "Drop a file", type=TYPES, key="batch.file", max_upload_size=session.settings.upload_limit_mb
    )
    picked = st.pills(
        "or take an example",
        list(examples),
        key="batch.example",
        format_func=lambda name: examples[name].title,
        disabled=upload is not None,
    )
    if upload is None and not picked:
        kept_picker(session)
        st.caption("CSV, TSV, XLSX, JSON, JSONL, YAML or Parquet. The first row names the columns.")
        return None
    example = None if upload is not None else examples[picked or ""]
    try:
        if upload is not None:
            found = _imported(session, upload, upload.name)
        else:
            path = examples[picked or ""].path
            found = _imported(session, path, path.name)
    except AssayError as error:
        components.show_error(error)
        return None
    dataset = found.dataset
    rows = f"{dataset.row_count:,} rows" if dataset.row_count != 1 else "1 row"
    st.markdown(
        f"**{words.label(dataset.source)}** · {rows} · {len(dataset.columns)} columns · "
        f"{words.label(found.dialect.describe())}"
    )
    _findings(found)
    return _ready(session, dataset, example)


def _ready(session: Session, dataset: StoredDataset, example: Example | None) -> Source:
    policy_line(session, dataset)
    expected = _roles(dataset, example)
    _preview(session, dataset)
    return Source(dataset, expected, example)


def _imported(session: Session, source: Path | UploadedFile, name: str) -> Imported:
    """The dataset of a file, kept while file and options stay the same."""
    options = _options()
    told = source.file_id if isinstance(source, UploadedFile) else str(source)
    key = (told, name, options)
    kept = st.session_state.get("batch.imported")
    if kept is None or kept[0] != key:
        bar = st.empty()

        def show(share: float) -> None:
            if share < 1:
                bar.progress(share, text=f"Reading {words.label(name)}")

        with st.spinner(f"Reading {words.label(name)}"):
            kept = (key, importing.import_upload(session, source, filename=name, options=options, on_share=show))
        bar.empty()
        st.session_state["batch.imported"] = kept
        st.session_state["batch.sheets"] = kept[1].dialect.sheets
    found: Imported = kept[1]
    return found


def _options() -> ReadOptions:
    with st.expander("How the file is read", icon=":material/plagiarism:"):
        columns = st.columns(3)
        delimiter = columns[0].selectbox(
            "Delimiter", list(DELIMITERS), format_func=DELIMITERS.__getitem__, key="batch.delimiter"
        )
        encoding = columns[1].selectbox(
            "Encoding", ["", *CHOICES], format_func=lambda e: e or "Found out", key="batch.encoding"
        )
        sheets = st.session_state.get("batch.sheets", ())
        sheet = columns[2].selectbox("Sheet", ["", *sheets], format_func=lambda s: s or "First", key="batch.sheet")
        bad_rows = columns[0].selectbox(
            "Rows that do not fit", list(BAD_ROWS), key="batch.bad_rows", format_func=BAD_ROWS.__getitem__
        )
        control = columns[1].selectbox(
            "Control and invisible characters", list(CONTROL), key="batch.control", format_func=CONTROL.__getitem__
        )
        shape = columns[2].selectbox(
            "Rows of other tools", list(SHAPES), format_func=SHAPES.__getitem__, key="batch.shape"
        )
        header = columns[0].selectbox(
            "Names of the columns", list(HEADER), format_func=HEADER.__getitem__, key="batch.header"
        )
    return ReadOptions(
        delimiter or None,
        encoding or None,
        sheet or None,
        header is not False,
        bad_rows=bad_rows or "pad",  # type: ignore[arg-type]
        control=control or "keep",  # type: ignore[arg-type]
        shape=shape or "auto",  # type: ignore[arg-type]
    )


def _findings(found: Imported) -> None:
    for finding in found.findings[:8]:
        word = "Line" if len(finding.lines) == 1 else "Lines"
        lines = f" {word} {', '.join(map(str, finding.lines[:8]))}." if finding.lines else ""
        icon = ":material/warning:" if finding.severity == "warning" else ":material/info:"
        st.caption(f"{icon} {words.label(finding.message + lines + ' ' + finding.cure, 400)}")
    if found.bad_rows:
        st.download_button(
            "Rows that do not fit, as CSV",
            data=lambda: importing.bad_rows_csv(found.bad_rows).encode("utf-8-sig"),
            file_name="rows-that-do-not-fit.csv",
            mime="text/csv",
            key="batch.bad",
            on_click="ignore",
            icon=":material/download:",
        )


def _roles(dataset: StoredDataset, example: Example | None) -> str | None:
    guessed = example.expected if example else guess_roles(dataset.columns).get("expected")
    options = ["", *dataset.columns]
    found = st.selectbox(
        "Expected answer",
        options,
        index=options.index(guessed) if guessed in options else 0,
        format_func=lambda c: words.plain(c) or "none",
        key=f"batch.expected.{dataset.id}",
        help="The column that graders compare answers with.",
        width=320,
    )
    return found or None


def _preview(session: Session, dataset: StoredDataset) -> None:
    import pandas as pd

    rows = datasets.dataset_rows(session, dataset.id, count=PREVIEW)
    frame = pd.DataFrame([{words.plain(k): words.plain(v)[:200] for k, v in row.items()} for row in rows], dtype=str)
    st.dataframe(frame, hide_index=True, key="batch.preview", height="auto")
