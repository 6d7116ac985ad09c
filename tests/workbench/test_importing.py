"""Files of any size become datasets: the same as read in memory, in little memory, or not at all."""

from __future__ import annotations

import csv
import io
import json
import time
import tracemalloc
from pathlib import Path

import openpyxl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from assay.datasets.reader import open_table
from assay.datasets.table import ReadOptions
from assay.errors import ImportRefused, NotFound
from assay.store import datasets as stored
from assay.store.tables import DATASET, DATASET_ROW
from assay.workbench.datasets import importing
from assay.workbench.datasets import kept as datasets
from assay.workbench.session import Session

AWKWARD = 'id,text\n1," padded "\n2,"two\nlines"\n\n3\n4,a,b\n5,zero\u200bwidth\n6,nul\x00here\n7,=1+1\n'


def test_streamed_file_is_the_same_dataset_as_one_read_in_memory(session: Session, tmp_path: Path) -> None:
    """Content hash, rows, keys and findings are equal, so neither way makes a second version."""
    path = tmp_path / "awkward.csv"
    path.write_text(AWKWARD, "utf-8", newline="")
    table = datasets.read_upload(session, path)

    streamed = importing.import_file(session, path)
    kept = datasets.save_table(session, table, name="awkward")
    assert kept.id == streamed.dataset.id
    assert streamed.findings == table.findings
    assert streamed.bad_rows == table.bad_rows
    rows = datasets.dataset_rows(session, kept.id, count=100)
    assert rows == [dict(row) for row in table]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "shift_jis"])
def test_encoding_is_found_in_a_streamed_file(session: Session, tmp_path: Path, encoding: str) -> None:
    """The rows are as typed, whatever the file was written in; the first sign may come late."""
    text = "日本語のテキストです" if encoding == "shift_jis" else "Çà et là: naïve café"
    rows = [["id", "text"], *([str(n), "plain"] for n in range(3_000)), ["x", text], ["y", text]]
    path = tmp_path / "text.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(rows)

    found = importing.import_file(
        session, path, options=ReadOptions(encoding="shift_jis" if "jis" in encoding else None)
    )
    assert datasets.dataset_rows(session, found.dataset.id, start=3_000, count=2) == [
        {"id": "x", "text": text},
        {"id": "y", "text": text},
    ]


def test_bad_rows_are_cured_or_left_out_and_can_be_downloaded(session: Session, tmp_path: Path) -> None:
    """Ragged and too large rows follow the choice; the list names line and reason, and holds no formula."""
    path = tmp_path / "bad.csv"
    path.write_text(f"a,b\n1,2\n=9\n3,4,5\n6,{'x' * 50}\n", "utf-8")

    padded = importing.import_file(session, path, options=ReadOptions(max_cell=20))
    skipped = importing.import_file(session, path, options=ReadOptions(max_cell=20, bad_rows="skip"))
    assert (padded.dataset.row_count, skipped.dataset.row_count) == (4, 1)
    assert [row["b"] for row in datasets.dataset_rows(session, padded.dataset.id)] == ["2", "", "4", "x" * 20]
    listed = list(csv.reader(io.StringIO(importing.bad_rows_csv(skipped.bad_rows))))
    assert {(row[0], row[1]) for row in listed[1:]} == {
        ("3", "fewer cells than the header"),
        ("4", "more cells than the header"),
        ("5", "a cell too large"),
    }
    assert "'=9" in listed[2] or "'=9" in listed[1] or "'=9" in listed[3]


def test_control_characters_are_taken_out_on_request(session: Session, tmp_path: Path) -> None:
    """The finding says which of the two was done."""
    path = tmp_path / "control.csv"
    path.write_text("a\nx\x07y\u200bz\n", "utf-8")

    found = importing.import_file(session, path, options=ReadOptions(control="strip"))
    assert datasets.dataset_rows(session, found.dataset.id) == [{"a": "xyz"}]
    assert all("taken out" in finding.message for finding in found.findings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n" + "x" * 40_000_000, "Line 2 has more than"),
        ('a,b\n1,"' + "never closed\n" * 3_000_000, "line 2 is not closed"),
    ],
)
def test_bomb_is_refused_quickly_with_its_line(session: Session, tmp_path: Path, content: str, words: str) -> None:
    """A line or a quote without an end is no table; nothing is kept of it."""
    path = tmp_path / "bomb.csv"
    path.write_text(content, "utf-8")

    started = time.process_time()
    with pytest.raises(ImportRefused, match=words):
        importing.import_file(session, path)
    assert time.process_time() - started < 10  # the 2 s with room for a loaded machine
    assert datasets.list_datasets(session) == []


def test_half_written_dataset_is_not_seen_and_is_begun_anew(session: Session, tmp_path: Path) -> None:
    """What a dead process left behind neither shows nor stands in the way."""
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(10)), "utf-8")
    finished = importing.import_file(session, path).dataset
    session.store.writer.call(
        lambda c: (
            c.execute(DATASET.update().where(DATASET.c.id == finished.id).values(row_count=stored.UNFINISHED)).rowcount
        )
    )
    session.store.writer.call(lambda c: c.execute(DATASET_ROW.delete().where(DATASET_ROW.c.position > 4)).rowcount)
    with pytest.raises(NotFound):
        datasets.get_dataset(session, finished.id)
    assert datasets.list_datasets(session) == []

    again = importing.import_file(session, path).dataset
    assert (again.id, again.row_count) == (finished.id, 10)
    assert len(datasets.dataset_rows(session, again.id, count=100)) == 10


ROWS = 10_000


def write_rows(path: Path, *, rows: int = ROWS) -> Path:
    """A file with ids and texts in the format of its ending."""
    pairs = [(str(n), f"row number {n}") for n in range(rows)]
    if path.suffix == ".csv":
        path.write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in pairs), "utf-8")
    elif path.suffix in (".json", ".jsonl"):
        lines = [json.dumps({"id": n, "text": text}) for n, text in pairs]
        path.write_text("\n".join(lines) if path.suffix == ".jsonl" else f"[{','.join(lines)}]", "utf-8")
    elif path.suffix == ".parquet":
        ids, texts = zip(*pairs, strict=True)
        parquet.write_table(arrow.table({"id": ids, "text": texts}), path)
    else:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("rows")
        for row in (("id", "text"), *pairs):
            sheet.append(row)
        book.save(path)
    return path


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet", "xlsx"])
def test_every_format_becomes_the_same_dataset_and_tells_its_progress(
    session: Session, tmp_path: Path, ending: str
) -> None:
    """The share grows from reading to writing and ends at 1; content decides, not the format."""
    plain = importing.import_file(session, write_rows(tmp_path / "plain.csv"))
    path = write_rows(tmp_path / f"rows.{ending}")
    shares: list[float] = []

    found = importing.import_file(session, path, on_share=shares.append)

    assert (found.dataset.id, found.dataset.row_count) == (plain.dataset.id, ROWS)
    assert shares == sorted(shares)
    assert len(shares) > 2
    assert shares[-1] == 1.0


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet", "xlsx"])
def test_memory_does_not_grow_with_rows(tmp_path: Path, ending: str) -> None:
    """Twice the rows take no more memory while they are read; as a table they would take 2.4 MB more."""
    peaks = []
    for rows in (12_000, 24_000):
        path = write_rows(tmp_path / f"{rows}.{ending}", rows=rows)
        tracemalloc.start()
        with open_table(path) as file, file.rows() as found:
            count = sum(map(len, found))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == rows

    assert peaks[1] < peaks[0] + 1_200_000


def test_progress_reaches_the_whole(session: Session, tmp_path: Path) -> None:
    """The share grows from reading to writing and ends at 1."""
    path = write_rows(tmp_path / "rows.csv", rows=20_000)
    shares: list[float] = []

    importing.import_file(session, path, on_share=shares.append)
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[-2] <= shares[-1] == 1.0
