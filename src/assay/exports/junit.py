"""JUnit XML: one suite per contestant, one case per cell, so that a build server shows what did not pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO
from xml.sax.saxutils import escape, quoteattr

from assay.exports.record import CellFact, RunRecord, utc_text
from assay.exports.scoreboard import ContestantScore, Number, numbers_of
from assay.exports.streams import write_pieces, xml_text
from assay.money import plain

SPOOLED = 1 << 16
"""Bytes of a contestant's cases that are held in memory."""


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the suites; an error is a call that failed, a failure an answer that did not pass."""
    write_pieces(target, _pieces(record))


def _pieces(record: RunRecord) -> Iterator[str]:
    with ExitStack() as stack:
        suites = {
            (line.prompt, line.contestant): _Suite(stack.enter_context(SpooledTemporaryFile(SPOOLED)))
            for line in record.grid_lines
        }
        line_of = record.line_of
        for cell in record.cells():
            suites[cell.prompt, cell.contestant].add(cell, _case(record, cell, line_of))
        every = sum((suite.marks for suite in suites.values()), Counter[str]())
        yield '<?xml version="1.0" encoding="UTF-8"?>\n'
        seconds = sum(suite.seconds for suite in suites.values())
        yield f"<testsuites name={_quoted(f'Assay: {record.name}')} {_counts(every, seconds)}>\n"
        when = f" timestamp={_quoted(utc_text(record.created_ms).rstrip('Z'))}"
        for line in record.grid_lines:
            suite = suites[line.prompt, line.contestant]
            yield f"<testsuite name={_quoted(line.label)} {_counts(suite.marks, suite.seconds)}{when}>\n"
            yield _properties(record, line)
            yield from suite.texts()
            yield "</testsuite>\n"
        yield "</testsuites>\n"


@dataclass(slots=True)
class _Suite:
    """The cases of one contestant, on the disk once they are many: the file has the counts before them."""

    cases: IO[bytes]
    marks: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, cell: CellFact, case: str) -> None:
        self.cases.write(case.encode("utf-8", "replace"))
        self.marks[cell.mark] += 1
        self.seconds += (cell.total_ms or 0) / 1000

    def texts(self) -> Iterator[str]:
        self.cases.seek(0)
        for line in self.cases:
            yield line.decode()


def _counts(marks: Counter[str], seconds: float) -> str:
    return (
        f'tests="{marks.total()}" failures="{marks["fail"]}" errors="{marks["error"]}" skipped="0" time="{seconds:.3f}"'
    )


def _properties(record: RunRecord, line: ContestantScore) -> str:
    values = {
        "run": record.id,
        "model": record.plan.contestants[line.contestant].model_id,
        "dataset": record.dataset,
        "dataset_hash": record.dataset_hash,
        "gateway": record.gateway,
        "verdict": record.verdict,
        "claim": "none" if record.decision is None else record.decision.claim,
        **{OTHER_NAMES.get(name, name): _number(name, value) for name, value in numbers_of(line).items()},
    }
    items = "".join(f"<property name={_quoted(name)} value={_quoted(value)}/>\n" for name, value in values.items())
    return f"<properties>\n{items}</properties>\n"


OTHER_NAMES = {"low": "score_low", "high": "score_high"}
"""Columns whose names say too little beside those of a run."""


def _number(name: str, value: Number) -> str:
    if value is None:
        return "unknown" if name.endswith("_usd") else "none"
    if isinstance(value, Decimal):
        return plain(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value).lower()


def _case(record: RunRecord, cell: CellFact, line_of: Mapping[tuple[int, int], ContestantScore]) -> str:
    label = line_of[cell.prompt, cell.contestant].label
    sample = f" sample {cell.sample + 1}" if record.plan.samples > 1 else ""
    key = f": {cell.row_key}" if "row_key" not in record.hidden else ""
    name = _quoted(f"row {cell.row + 1}{key}{sample}")
    head = f'<testcase name={name} classname={_quoted(label)} time="{(cell.total_ms or 0) / 1000:.3f}"'
    if cell.mark == "error":
        kind = cell.error_kind or "failed"
        message = cell.error or kind
        return f"{head}><error type={_quoted(kind)} message={_quoted(message)}/></testcase>\n"
    if cell.mark != "fail":
        return f"{head}/>\n"
    reasons = [_reason(s.grader, s.reason) for s in cell.scores if s.passed is False]
    answer = "" if "output" in record.hidden else f"\nAnswer: {cell.output}"
    text = escape(xml_text("\n".join(reasons) + answer))
    message = _quoted("; ".join(reasons)[:500] or "Did not pass.")
    return f'{head}><failure type="assertion" message={message}>{text}</failure></testcase>\n'


def _reason(grader: str, reason: str) -> str:
    return f"{grader}: {reason}" if reason else f"{grader}: did not pass"


def _quoted(text: str) -> str:
    return quoteattr(xml_text(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
