"""JUnit XML: one suite per contestant, one case per cell, so that a build server shows what did not pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

from assay.exports.record import BoardLine, CellFact, RunRecord, exact_usd, utc_text
from assay.exports.streams import write_pieces, xml_text


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the suites; an error is a call that failed, a failure an answer that did not pass."""
    write_pieces(target, _pieces(record))


def _pieces(record: RunRecord) -> Iterator[str]:
    cases: dict[tuple[int, int], list[str]] = defaultdict(list)
    marks: dict[tuple[int, int], list[str]] = defaultdict(list)
    seconds: dict[tuple[int, int], float] = defaultdict(float)
    for cell in record.cells():
        place = (cell.prompt, cell.contestant)
        cases[place].append(_case(record, cell))
        marks[place].append(cell.mark)
        seconds[place] += (cell.total_ms or 0) / 1000
    every = [mark for found in marks.values() for mark in found]
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites name={_quoted(f'Assay: {record.name}')} {_counts(every, sum(seconds.values()))}>\n"
    for line in record.grid_lines:
        place = (line.prompt, line.contestant)
        when = f" timestamp={_quoted(utc_text(record.created_ms).rstrip('Z'))}"
        yield f"<testsuite name={_quoted(line.label)} {_counts(marks[place], seconds[place])}{when}>\n"
        yield _properties(record, line)
        yield from cases[place]
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _counts(marks: list[str], seconds: float) -> str:
    return (
        f'tests="{len(marks)}" failures="{marks.count("fail")}" errors="{marks.count("error")}" skipped="0" '
        f'time="{seconds:.3f}"'
    )


def _properties(record: RunRecord, line: BoardLine) -> str:
    score = line.score
    values = {
        "run": record.id, "model": record.plan.contestants[line.contestant].model_id, "dataset": record.dataset,
        "dataset_hash": record.dataset_hash, "gateway": record.gateway, "cost_usd": exact_usd(line.cost_pico),
        "score": "none" if score is None else f"{score.mean:.6f}",
        "score_low": "none" if score is None else f"{score.low:.6f}",
        "score_high": "none" if score is None else f"{score.high:.6f}", "coverage": f"{line.coverage:.6f}",
        "cells": str(line.cells),
    }  # fmt: skip
    items = "".join(f"<property name={_quoted(name)} value={_quoted(value)}/>\n" for name, value in values.items())
    return f"<properties>\n{items}</properties>\n"


def _case(record: RunRecord, cell: CellFact) -> str:
    label = record.line_of[cell.prompt, cell.contestant].label
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
