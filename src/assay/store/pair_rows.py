"""What two contestants are compared by, row by row: the cells of one line of a run, and what each grader gave."""

from __future__ import annotations

import json
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from assay.store.tables import CALL, DATASET_ROW, RESULT, SCORE


class LineCell(NamedTuple):
    """One cell of a contestant with a prompt version."""

    row: int
    cell: int
    ok: bool
    value: float | None
    cost_pico: int | None
    total_ms: float | None
    """Of an answer that was asked for; None: it came from the run's cache, or there is none."""
    tokens: int | None
    preview: str


def line_cells(connection: Connection, run_id: str, prompt: int, contestant: int) -> list[LineCell]:
    """The cells of a line that have a result, in cell order."""
    query = (
        select(
            RESULT.c.row,
            RESULT.c.cell,
            RESULT.c.status == "ok",
            RESULT.c.value,
            RESULT.c.cost_pico,
            RESULT.c.total_ms,
            RESULT.c.completion_tokens,
            RESULT.c.preview,
            RESULT.c.cached,
        )
        .where(RESULT.c.run_id == run_id, RESULT.c.prompt == prompt, RESULT.c.contestant == contestant)
        .order_by(RESULT.c.cell)
    )
    return [
        LineCell(r[0], r[1], r[2], r[3], r[4], r[5] if r[2] and not r[8] else None, r[6] if r[2] else None, r[7])
        for r in connection.execute(query)
    ]


def line_scores(connection: Connection, run_id: str, prompt: int, contestant: int) -> list[tuple[int, int, float]]:
    """(row, grader, value) of a line, in cell order; what has no value is left out."""
    query = (
        select(RESULT.c.row, SCORE.c.grader, SCORE.c.value)
        .join(SCORE, and_(SCORE.c.run_id == RESULT.c.run_id, SCORE.c.cell == RESULT.c.cell))
        .where(RESULT.c.run_id == run_id, RESULT.c.prompt == prompt, RESULT.c.contestant == contestant)
        .where(SCORE.c.value.is_not(None))
        .order_by(RESULT.c.cell)
    )
    return [(row, grader, float(value)) for row, grader, value in connection.execute(query)]


def providers_of(connection: Connection, run_id: str, contestant_key: str) -> list[tuple[str, int]]:
    """(provider that answered, answers) of a contestant's own calls, the most frequent first."""
    query = (
        select(CALL.c.provider, func.count())
        .where(CALL.c.run_id == run_id, CALL.c.contestant_key == contestant_key, CALL.c.purpose == "run")
        .where(CALL.c.outcome == "ok", CALL.c.provider.is_not(None))
        .group_by(CALL.c.provider)
        .order_by(func.count().desc(), CALL.c.provider)
    )
    return [(str(name), int(count)) for name, count in connection.execute(query)]


def values_by_row(connection: Connection, dataset_id: str) -> dict[int, tuple[str, ...]]:
    """Position -> values of the rows of a dataset."""
    query = select(DATASET_ROW.c.position, DATASET_ROW.c.values_json).where(DATASET_ROW.c.dataset_id == dataset_id)
    return {position: tuple(json.loads(values)) for position, values in connection.execute(query)}
