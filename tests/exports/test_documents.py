"""JSONL, promptfoo, JUnit, Markdown and the evidence pack; leaving out columns; one door for all."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest
from export_records import cell_fact, record_of, written

from assay.cli.scoreboard import report
from assay.domain.score import Score
from assay.errors import DataError, NotFound
from assay.exports import jsonl
from assay.exports.record import CellFact, GateFact
from assay.exports.redact import redacted
from assay.money import from_pico
from assay.store import spend as sums
from assay.workbench.results import exports, standing
from assay.workbench.running.runs import progress
from assay.workbench.session import Session
from assay.workbench.spending import spend

KEY = "sk-or-v1-" + "0123456789abcdef" * 4
HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x.png onerror=alert(1)>\u2028"


class Page(HTMLParser):
    """What a page would load, and the scripts it holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found.get("content") or ""

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.scripts.append(data)


def page_data(text: str) -> dict[str, object]:
    """The rows within an evidence pack."""
    found = re.search(r'<script type="application/json" id="cells">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_jsonl_reads_back_to_the_same_cells(session: Session, run_id: str) -> None:
    """Write, read, equal: texts, scores, calls and money."""
    record = exports.run_record(session, run_id)
    read = list(jsonl.read(written(record, "jsonl").splitlines()))

    assert read == list(record.cells())
    known = spend.spent(session, sums.SpendFilter(run_id=run_id)).known_pico
    lines = [json.loads(line) for line in written(record, "jsonl").splitlines()]
    assert sum(Decimal(line[name]) for line in lines for name in ("cost_usd", "judging_usd")) == from_pico(known)
    assert sum(Decimal(call["cost_usd"]) for line in lines for call in line["calls"]) == from_pico(known)


def test_jsonl_keeps_odd_text_on_one_line() -> None:
    """Line breaks of all kinds and a lone surrogate come back as they were."""
    cell = cell_fact(0, output="a\nb\r\u2028\x85\x00\ud800")

    data = written(record_of(lambda: iter((cell,)), rows=1), "jsonl")

    assert data.count(b"\n") == 1
    assert list(jsonl.read([data])) == [cell]


def test_promptfoo_layout_holds_the_run(session: Session, run_id: str) -> None:
    """The keys that promptfoo's import and view read, with counts that agree with the scoreboard."""
    found = json.loads(written(exports.run_record(session, run_id), "promptfoo"))
    inner = found["results"]

    assert {"evalId", "results", "config", "shareableUrl", "metadata", "vars", "runtimeOptions"} == set(found)
    assert {"version", "timestamp", "prompts", "results", "stats"} == set(inner)
    assert inner["version"] == 3
    assert len(inner["results"]) == 24
    board = {line.label: line for line in standing.scoreboard(session, run_id)}
    for prompt in inner["prompts"]:
        assert {"id", "raw", "label", "provider", "metrics"} == set(prompt)
        assert prompt["metrics"]["testPassCount"] == board[prompt["provider"]].correct
    first = inner["results"][0]
    assert {
        "id",
        "testIdx",
        "promptIdx",
        "vars",
        "provider",
        "response",
        "gradingResult",
        "latencyMs",
        "namedScores",
        "failureReason",
        "success",
        "score",
    } <= set(first)
    assert {"pass", "score", "reason", "componentResults"} <= set(first["gradingResult"])
    assert {(r["testIdx"], r["promptIdx"]) for r in inner["results"]} == {(t, p) for t in range(12) for p in range(2)}
    stats = inner["stats"]
    assert stats["successes"] + stats["failures"] + stats["errors"] == 24
    known = spend.spent(session, sums.SpendFilter(run_id=run_id)).known_pico
    costs = [(Decimal(str(r["cost"])), Decimal(r["metadata"]["judgingUsd"])) for r in inner["results"]]
    assert sum(own + judging for own, judging in costs) == from_pico(known)


def test_promptfoo_leaves_out_an_unknown_cost() -> None:
    """promptfoo would show 0 as free."""
    record = record_of(lambda: iter((cell_fact(0, cost_pico=None),)), rows=1)

    (result,) = json.loads(written(record, "promptfoo"))["results"]["results"]

    assert "cost" not in result
    assert "cost" not in result["response"]


def test_junit_parses_with_a_case_per_cell(session: Session, run_id: str) -> None:
    """A suite per contestant; failures are what did not pass, with the grader's reason."""
    root = ET.fromstring(written(exports.run_record(session, run_id), "junit"))

    board = {line.label: line for line in standing.scoreboard(session, run_id)}
    suites = root.findall("testsuite")
    assert {suite.get("name") for suite in suites} == set(board)
    for suite in suites:
        line = board[str(suite.get("name"))]
        failures = suite.findall("testcase/failure")
        assert len(suite.findall("testcase")) == int(suite.get("tests", 0)) == 12
        assert len(failures) == int(suite.get("failures", 0)) == 12 - line.correct - line.failed
        assert all("contains" in (f.get("message") or "") or "judge" in (f.get("message") or "") for f in failures)


def test_junit_tells_errors_from_failures_and_drops_forbidden_characters() -> None:
    """A failed call is an error; control characters do not break the file."""
    cells = (
        cell_fact(
            0, status="failed", error="Refused \x00\x1b]]> <&\"'", error_kind="moderation", passed=None, value=None
        ),
        cell_fact(
            1, passed=False, output="bad \x0b\ufffe\ud800", scores=(Score("contains", 0.0, False, "No \x01'x'."),)
        ),
    )
    root = ET.fromstring(written(record_of(lambda: iter(cells), rows=2, name="\x07 <run>"), "junit"))

    error, failure = root.find("testsuite/testcase/error"), root.find("testsuite/testcase/failure")
    assert error is not None
    assert failure is not None
    assert (error.get("type"), error.get("message")) == ("moderation", "Refused ]]> <&\"'")
    assert failure.get("message") == "contains: No 'x'."
    assert (root.get("errors"), root.get("failures"), root.get("tests")) == ("1", "1", "2")


def test_markdown_says_verdict_and_spend(session: Session, run_id: str) -> None:
    """The verdict, a line per contestant, the comparison and the exact spend."""
    record = exports.run_record(session, run_id)
    text = written(record, "markdown").decode()

    assert record.verdict in text.replace("\\", "")
    known = spend.spent(session, sums.SpendFilter(run_id=run_id)).known_pico
    assert "| atlas-large |" in text
    assert "p, adjusted" in text
    assert f"${from_pico(known):f}".rstrip("0") in text
    assert "Sandbox" in text


def test_markdown_names_reach_nobody_and_break_no_table() -> None:
    """Pipes, mentions, images and tags in a name stay text."""
    name = "a|b @team ![x](http://evil.example/x.png) <img src=x> `c`\nd"

    text = written(record_of(lambda: iter(()), rows=1, name=name), "markdown").decode()

    assert "@team" not in text
    assert "![" not in text
    assert "<img" not in text
    assert "http://" not in text


@pytest.mark.parametrize("kind", ["markdown", "evidence"])
def test_name_turns_no_text_around(kind: str) -> None:
    """Control characters, and those that turn the direction of what follows, are shown as a mark."""
    name = "safe\u202efdp.exe\u2067\x1b[31m\x07"
    record = record_of(lambda: iter([cell_fact(0)]), rows=1, name=name)
    record = replace(record, board=tuple(replace(line, label=name) for line in record.board), columns=(name, "b"))

    text = written(record, kind).decode()

    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", text)
    assert "\ufffd" in text


def test_hostile_run_is_sound_in_every_machine_format() -> None:
    """Names and texts of all kinds: XML and JSON parse, and hold as many cells as the run."""
    texts = ("]]>", "\x00\x1b", "\ud800", "</script>", "a\r\nb\u2028", "\u202e", "&lt;", "x" * 100_000, "\ufffe", "`|`")
    cells = [
        cell_fact(
            n,
            output=t,
            error=t,
            row_key=t,
            values=(t, t),
            passed=False,
            status="ok" if n % 2 else "failed",
            scores=(Score("contains", 0.0, False, t),),
        )
        for n, t in enumerate(texts)
    ]
    for name in texts[:7]:
        record = record_of(lambda: iter(cells), rows=len(cells), name=name)
        record = replace(record, columns=(name, "b"), dataset=name, tags=(name,))

        root = ET.fromstring(written(record, "junit"))
        found = json.loads(written(record, "promptfoo"))
        lines = [json.loads(line) for line in written(record, "jsonl").decode().split("\n") if line]

        assert len(root.findall("testsuite/testcase")) == len(found["results"]["results"]) == len(lines) == len(cells)
        assert list(jsonl.read(written(record, "jsonl").splitlines(keepends=True))) == cells


def test_evidence_loads_nothing_and_runs_no_text(session: Session, run_id: str) -> None:
    """Hostile text in every place: no element, no load, the data still whole."""
    cells = (cell_fact(0, output=HOSTILE, values=(HOSTILE, HOSTILE), row_key=HOSTILE),)
    text = written(record_of(lambda: iter(cells), rows=1, name=HOSTILE), "evidence").decode()

    page = Page(text)
    assert page.loads == []
    assert not {"img", "link", "iframe", "object", "base", "a"} & set(page.tags)
    assert page.tags.count("script") == 2
    assert page.policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
    assert page_data(text)["rows"][0][2][0][4] == HOSTILE  # type: ignore[index]
    markup = " ".join(re.findall(r"<style.*?</style>|<[a-z][^>]*>", text, re.DOTALL))
    assert not re.search(r"""(src|href)\s*=\s*["']?https?://|url\(|@import""", markup)


def test_evidence_of_a_real_run_holds_no_key_and_no_path(session: Session, run_id: str, folder: Path) -> None:
    """Verdict, statistics, charts, method, versions and spend are there; key, address and folder are not."""
    text = written(exports.run_record(session, run_id), "evidence").decode()

    for word in (
        standing.verdict(session, run_id),
        "<svg",
        "Wilson",
        "Known from",
        "billed",
        "Assay",
        "judging",
        "support_tickets",
    ):
        assert word in text
    assert str(folder) not in text
    assert "canary-folder" not in text
    assert session.gateway.base_url not in text
    assert "http://" not in text
    assert "https://" not in text
    assert Page(text).loads == []


def test_keys_are_taken_out_of_every_text(session: Session, run_id: str) -> None:
    """What looks like a gateway's key, or is the one in use, leaves no export."""
    from assay.exports.redact import without_keys

    assert KEY not in without_keys(f"You sent {KEY}.")
    assert without_keys("You sent my-own-secret-key.", ["my-own-secret-key"]) == "You sent [key removed]."
    assert without_keys("In the sandbox, ask-me", ["sandbox"]) == "In the sandbox, ask-me"


def big(rows: int, length: int) -> Iterator[CellFact]:
    """Three contestants with long answers that hold many characters to escape."""
    text = "<b>Ünïcode &amp; words</b> " * (length // 24)
    for row in range(rows):
        for contestant in range(3):
            yield cell_fact(
                row * 3 + contestant,
                row=row,
                row_key=f"k{row}",
                contestant=contestant,
                output=text,
                values=(f"Question {row}: {text}", "yes"),
            )


@pytest.mark.parametrize("length", [60, 2_000])
def test_evidence_stays_small_for_5000_rows(length: int) -> None:
    """5,000 rows of three contestants are there, in less than ten million bytes; a cut is said."""
    data = written(record_of(lambda: big(5_000, length), rows=5_000, contestants=3), "evidence")

    assert len(data) < 10_000_000
    assert len(page_data(data.decode())["rows"]) == 5_000  # type: ignore[arg-type]
    assert ("Texts are cut after" in data.decode()) == (length > 60)


@pytest.mark.parametrize("kind", sorted(name for name, kind in exports.KINDS.items() if not kind.whole))
def test_redacted_column_is_nowhere(session: Session, run_id: str, kind: str) -> None:
    """Neither the tickets' text nor the expected category, alone or quoted, is in any export."""
    record = exports.run_record(session, run_id)
    secret = "Zephyrine Quill"
    cells = [
        replace(
            cell,
            values=tuple(
                secret if name == "ticket" else value for name, value in zip(record.columns, cell.values, strict=True)
            ),
            output=f"{cell.output} said zephyrine  quill.",
            row_key=secret,
            scores=tuple(replace(s, reason=f"Expected {secret!r}.") for s in cell.scores),
        )
        for cell in record.cells()
    ]
    hidden = redacted(replace(record, cells=lambda: iter(cells)), ["ticket", "category"])
    data = written(hidden, kind)
    if kind == "xlsx":
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            data = b"".join(file.read(name) for name in file.namelist())

    assert "ticket" not in hidden.columns
    assert b"zephyrine" not in data.lower()
    assert b"quill" not in data.lower()


@pytest.mark.parametrize("kind", ["csv", "tidy", "jsonl", "evidence", "promptfoo"])
def test_note_of_an_answer_is_exported(kind: str) -> None:
    """That an answer was cut, or that its stream broke, stands beside it."""
    cells = (cell_fact(0, note="It was cut at its limit of tokens."), cell_fact(1))

    assert written(record_of(lambda: iter(cells), rows=2), kind).count(b"It was cut at its limit of tokens.") == 1


@pytest.mark.parametrize("kind", ["csv", "tidy", "wide", "xlsx", "jsonl", "junit", "evidence", "promptfoo"])
def test_redacted_answers_are_nowhere(kind: str) -> None:
    """Without answers there are no reasons and notes either: they quote them."""
    said = {"output": "A SECRET", "note": "The model refused: SECRET"}
    cells = (cell_fact(0, **said, passed=False, scores=(Score("contains", 0.0, False, "In 'A SECRET'."),)),)
    record = redacted(record_of(lambda: iter(cells), rows=1), ["output"])
    data = written(record, kind)
    if kind == "xlsx":
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            data = b"".join(file.read(name) for name in file.namelist())

    assert b"SECRET" not in data


def test_export_to_a_file_is_whole_or_absent(session: Session, run_id: str, tmp_path: Path) -> None:
    """Every kind writes its file and leaves nothing else; wrong names are refused in words and leave no file."""
    for kind in exports.KINDS.values():
        exports.export_run(session, run_id, kind.name, tmp_path / exports.file_name(run_id, kind))
        assert exports.kind_for(Path(exports.file_name(run_id, kind))) is kind
    assert len(list(tmp_path.iterdir())) == len(exports.KINDS)

    with pytest.raises(DataError, match="no column 'nope'"):
        exports.export_run(session, run_id, "csv", tmp_path / "x.csv", redact=["nope"])
    with pytest.raises(DataError, match="no export format 'pdf'"):
        exports.export_run(session, run_id, "pdf", tmp_path / "x.pdf")
    with pytest.raises(DataError, match="cannot be written"):
        exports.export_run(session, run_id, "csv", tmp_path / "none" / "x.csv")
    with pytest.raises(NotFound):
        exports.export_run(session, "nothing", "csv", tmp_path / "x.csv")
    assert len(list(tmp_path.iterdir())) == len(exports.KINDS)


def test_verdict_is_one_value_in_every_export(
    session: Session, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page and `assay show` say stands in each file that has a verdict, word for word."""
    found = standing.standing(session, run_id)
    record = exports.run_record(session, run_id)

    assert record.decision == found.decision
    assert record.verdict == found.verdict
    assert f'<p class="verdict">{found.verdict}</p>' in written(record, "evidence").decode()
    assert f"**{found.verdict}**" in written(record, "markdown").decode().replace("\\", "")
    told = json.loads(written(record, "promptfoo"))["metadata"]
    assert told["assayVerdict"] == found.verdict
    book = openpyxl.load_workbook(io.BytesIO(written(record, "xlsx")))
    assert ("verdict", found.verdict) in [row[:2] for row in book["Summary"].values]
    for suite in ET.fromstring(written(record, "junit")).findall("testsuite"):
        values = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
        assert (values["verdict"], values["claim"]) == (found.verdict, found.decision.claim)
    report(session, run_id, progress(session, run_id), as_json=False)
    assert set(found.verdict_lines) <= set(capsys.readouterr().out.splitlines())
    report(session, run_id, progress(session, run_id), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["verdict"], shown["decision"]["claim"]) == (found.verdict, found.decision.claim)
    assert {"method", "n", "unit", "difference", "p", "p_adjusted", "family", "margin"} <= set(shown["decision"])


@pytest.mark.parametrize("kind", ["markdown", "evidence"])
def test_estimate_growth_and_gates_are_told(kind: str) -> None:
    """What was estimated and billed, what was added later, and the gates; names stay text."""
    record = replace(
        record_of(lambda: iter([cell_fact(0)]), rows=1),
        estimate="Estimated $2, billed $1 (-50 %).",
        changes=("2026-11-24T12:00:00Z: added <b>swift</b>",),
        gates=(GateFact("swift", False, "p95 20 ms, at most 10 ms"),),
    )

    text = written(record, kind).decode().replace("\\", "")

    assert "Estimated $2, billed $1 (-50 %)." in text
    assert "added &lt;b&gt;swift&lt;/b&gt;" in text
    assert "p95 20 ms, at most 10 ms" in text
    assert re.search(r"swift\W.{0,20}fail", text)


def test_estimate_of_a_real_run_is_in_its_record(session: Session, run_id: str) -> None:
    """Estimate and bill in words; a run without gates or growth has none."""
    record = exports.run_record(session, run_id)

    assert re.match(r"Estimated \$\S+ \(.* billed \$\S+ \([+-]?\d+ %\); about .* expected, .* taken\.", record.estimate)
    assert (record.changes, record.gates) == ((), ())
