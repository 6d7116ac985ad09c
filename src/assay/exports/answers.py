"""One line per answer: the plainest table, for a spreadsheet with filters."""

from __future__ import annotations

from typing import BinaryIO

from assay.exports.record import MONEY, CellFact, RunRecord, known_from, money_cells, ms_cell, prompt_name, unique
from assay.exports.streams import write_table


def columns(record: RunRecord) -> list[str]:
    """Names of the columns."""
    reasons = [] if "reason" in record.hidden else ["reason"]
    graders = [f"{name} {what}" for name in record.graders for what in ("score", *reasons)]
    return list(
        unique(
            record.visible(
                [
                    "run",
                    "row_key",
                    *record.shown_columns,
                    "prompt",
                    "model",
                    "contestant",
                    "sample",
                    "status",
                    "output",
                    "error",
                    "score",
                    "passed",
                    *graders,
                    *MONEY,
                    "provenance",
                    "cut",
                    "note",
                    "first_token_ms",
                    "total_ms",
                    "prompt_tokens",
                    "completion_tokens",
                    "cached",
                ]
            )
        )
    )


def line(record: RunRecord, cell: CellFact) -> list[object]:
    """The values of one answer, in the order of the columns."""
    plan = record.plan
    by_grader = {score.grader: score for score in cell.scores}
    graders: list[object] = []
    for name in record.graders:
        score = by_grader.get(name)
        graders.append(score.value if score else None)
        if "reason" not in record.hidden:
            graders.append(score.reason if score else None)
    hidden = record.hidden
    key = [] if "row_key" in hidden else [cell.row_key]
    texts = [text for name, text in (("output", cell.output), ("error", cell.error)) if name not in hidden]
    contestant = record.line_of[cell.prompt, cell.contestant]
    return [
        record.id,
        *key,
        *cell.values,
        prompt_name(plan, cell.prompt),
        plan.contestants[cell.contestant].model_id,
        contestant.label,
        cell.sample + 1,
        cell.status,
        *texts,
        cell.value,
        cell.passed,
        *graders,
        *money_cells(cell),
        known_from(cell),
        cell.cut,
        cell.note,
        ms_cell(cell.first_token_ms),
        ms_cell(cell.total_ms),
        cell.prompt_tokens,
        cell.completion_tokens,
        cell.cached,
    ]


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes the table as CSV."""
    write_table(target, columns(record), (line(record, cell) for cell in record.cells()))
