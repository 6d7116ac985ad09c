"""Tidy CSV: one line per call and one per score, each with what it belongs to.

The sum of `cost_usd` over the file is what the ledger says: calls that left no answer are there too, without a row. A
cost that is not known is empty, and its provenance says so. An answer without a call of its own (taken from the cache,
or never sent) has a line of kind "call" without a call id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from assay.exports.record import CallFact, CellFact, RunRecord, ms_cell, prompt_name, settings_text, usd_cell, utc_text
from assay.exports.streams import write_table

ANSWER = ("output", "note", "reasoning", "error")
CALL = (
    "call",
    "purpose",
    "attempt",
    "answered_by",
    "provider",
    "generation_id",
    "sent_at",
    "outcome",
    "error_kind",
    "http_status",
    "finish_reason",
    "cost_usd",
    "provenance",
    "is_byok",
    "upstream_usd",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "first_token_ms",
    "total_ms",
)
SCORE = ("grader", "score", "passed", "reason")
CELL = ("prompt", "model", "settings", "contestant", "sample", "cell", "status", "cached")


def columns(record: RunRecord) -> list[str]:
    """Names of the columns."""
    before, after = _names(record)
    return [*before, *record.shown_columns, *after]


def _names(record: RunRecord) -> tuple[list[str], list[str]]:
    """The table's own names before and after the row's values."""
    return record.visible(("run", "kind", "row_key")), record.visible((*CELL, *ANSWER, *CALL, *SCORE))


def lines(record: RunRecord) -> Iterator[list[object]]:
    """Every line of the table, in the order of the columns."""
    before, after = _names(record)
    for cell in record.cells():
        shared = _shared(record, cell)
        for kind, values in (*_calls(cell), *_scores(cell)):
            found = {**shared, "kind": kind, **values}
            yield [*(found[name] for name in before), *cell.values, *(found.get(name) for name in after)]
    empty = [None] * len(record.columns)
    for found in _without_answer(record):
        yield [*(found[name] for name in before), *empty, *(found.get(name) for name in after)]


def _shared(record: RunRecord, cell: CellFact) -> dict[str, object]:
    place = _place(record, cell.prompt, cell.contestant, cell.sample)
    return {
        "run": record.id,
        "row_key": cell.row_key,
        **place,
        "cell": cell.cell,
        "status": cell.status,
        "cached": cell.cached,
    }


def _place(record: RunRecord, prompt: int, contestant: int, sample: int) -> dict[str, object]:
    chosen = record.plan.contestants[contestant]
    return {
        "prompt": prompt_name(record.plan, prompt),
        "model": chosen.model_id,
        "settings": settings_text(chosen),
        "contestant": record.line_of[prompt, contestant].label,
        "sample": sample + 1,
    }


def _without_answer(record: RunRecord) -> Iterator[dict[str, object]]:
    for number, call in record.other_calls():
        found: dict[str, object] = {"run": record.id, "kind": "call", "row_key": None}
        if number is not None and 0 <= number < record.plan.cell_count:
            cell = record.plan.cell(number)
            found |= {**_place(record, cell.prompt, cell.contestant, cell.sample), "cell": number}
        yield {**found, **_call(call)}


def _calls(cell: CellFact) -> Iterator[tuple[str, dict[str, object]]]:
    answer = {"output": cell.output, "reasoning": cell.reasoning, "error": cell.error, "note": cell.note}
    of_run = [call for call in cell.calls if call.purpose == "run"]
    teller = cell.answer_call or (of_run[-1] if of_run and not cell.cached else None)
    if teller is None:
        cost = {"cost_usd": "0", "provenance": "cached"} if cell.cached else {}
        yield "call", {**answer, **cost}
    for call in cell.calls:
        yield "call", {**_call(call), **(answer if call is teller else {})}


def _call(call: CallFact) -> dict[str, object]:
    found: dict[str, object] = {name: getattr(call, name, None) for name in CALL}
    return {
        **found,
        "call": call.id,
        "sent_at": utc_text(call.created_ms),
        "cost_usd": usd_cell(call.cost_pico),
        "upstream_usd": usd_cell(call.upstream_pico),
        "model": call.model,
        "first_token_ms": ms_cell(call.first_token_ms),
        "total_ms": ms_cell(call.total_ms),
    }


def _scores(cell: CellFact) -> Iterator[tuple[str, dict[str, object]]]:
    for score in cell.scores:
        yield (
            "score",
            {"grader": score.grader, "score": score.value, "passed": score.passed, "reason": score.reason},
        )


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the table as CSV."""
    write_table(target, columns(record), lines(record))
