"""Results for screens and exports: paged in SQL, previews apart from full texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, distinct, exists, func, or_, select

from assay.errors import NotFound
from assay.store.cell_costs import CellCost, Place, summed_costs
from assay.store.tables import CALL, DATASET_ROW, RESULT, RESULT_TEXT, SCORE

Show = Literal["all", "failed", "errors", "disagree"]


class CellRow(NamedTuple):
    """The numbers of one cell that statistics need."""

    cell: int
    row: int
    prompt: int
    contestant: int
    sample: int
    ok: bool
    cached: bool
    value: float | None
    passed: bool | None
    cost_pico: int | None
    first_token_ms: float | None
    total_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cut: bool = False


def cell_rows(connection: Connection, run_id: str) -> list[CellRow]:
    """The numbers of every cell of a run that has a result, in cell order."""
    found = connection.execute(
        select(
            RESULT.c.cell,
            RESULT.c.row,
            RESULT.c.prompt,
            RESULT.c.contestant,
            RESULT.c.sample,
            RESULT.c.status == "ok",
            RESULT.c.cached,
            RESULT.c.value,
            RESULT.c.passed,
            RESULT.c.cost_pico,
            RESULT.c.first_token_ms,
            RESULT.c.total_ms,
            RESULT.c.prompt_tokens,
            RESULT.c.completion_tokens,
            RESULT.c.cut,
        )
        .where(RESULT.c.run_id == run_id)
        .order_by(RESULT.c.cell)
    )
    return list(map(CellRow._make, found))


CellScore: TypeAlias = tuple[int, int, int, float | None, bool | int | None, float | None]
"""Prompt, contestant, row, value, passed, and the ms of an answer that was asked for."""


def cell_scores(connection: Connection, run_id: str) -> Sequence[CellScore]:
    """What decides about every cell of a run that has a result, in cell order.

    The driver's own tuples: there are hundreds of thousands, and a row object for each takes longer than the reading.
    """
    asked = and_(RESULT.c.status == "ok", RESULT.c.cached.is_(False))
    found = connection.execute(
        select(
            RESULT.c.prompt,
            RESULT.c.contestant,
            RESULT.c.row,
            RESULT.c.value,
            RESULT.c.passed,
            case((asked, RESULT.c.total_ms)),
        )
        .where(RESULT.c.run_id == run_id)
        .order_by(RESULT.c.cell)
    )
    return cast("Sequence[CellScore]", found.cursor.fetchall() if found.cursor is not None else ())


class PlaceSums(NamedTuple):
    """Sums over the cells of a contestant with one prompt version that have a result."""

    results: int
    answered: int
    scored: int
    correct: int
    cut: int
    unknown_cells: int
    """Cells with a call of unknown cost."""
    prompt_tokens: int
    completion_tokens: int


def row_costs(connection: Connection, run_id: str) -> dict[tuple[int, int], dict[int, int | None]]:
    """(prompt, contestant) -> row -> cost of its own calls in all samples; None: unknown in part."""
    unknown = func.sum(case((RESULT.c.cost_pico.is_(None), 1), else_=0))
    rows = connection.execute(
        select(RESULT.c.prompt, RESULT.c.contestant, RESULT.c.row, func.sum(RESULT.c.cost_pico), unknown)
        .where(RESULT.c.run_id == run_id)
        .group_by(RESULT.c.prompt, RESULT.c.contestant, RESULT.c.row)
    )
    found: dict[tuple[int, int], dict[int, int | None]] = {}
    for prompt, contestant, row, cost, unknown_cells in rows.all():
        found.setdefault((prompt, contestant), {})[row] = None if unknown_cells else int(cost)
    return found


NO_SUMS = PlaceSums(0, 0, 0, 0, 0, 0, 0, 0)


def place_sums(connection: Connection, run_id: str) -> dict[Place, tuple[PlaceSums, CellCost]]:
    """The sums of each contestant with each prompt version of a run, and what its cells with a result cost; one without
    a result is left out."""

    def count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    rows = connection.execute(
        select(
            RESULT.c.prompt,
            RESULT.c.contestant,
            func.count(),
            count(RESULT.c.status == "ok"),
            func.count(RESULT.c.value),
            count(RESULT.c.passed.is_(True)),
            count(RESULT.c.cut.is_(True)),
            count(RESULT.c.cost_pico.is_(None)),
            func.coalesce(func.sum(RESULT.c.prompt_tokens), 0),
            func.coalesce(func.sum(RESULT.c.completion_tokens), 0),
            *summed_costs(),
        )
        .where(RESULT.c.run_id == run_id)
        .group_by(RESULT.c.prompt, RESULT.c.contestant)
    )
    found: dict[Place, tuple[PlaceSums, CellCost]] = {}
    for prompt, contestant, *sums in rows:
        whole, fields = [int(value) for value in sums], len(PlaceSums._fields)
        found[Place(prompt, contestant)] = PlaceSums(*whole[:fields]), CellCost(*whole[fields:])
    return found


def grader_means(connection: Connection, run_id: str) -> dict[tuple[int, int, int], tuple[float, int]]:
    """(prompt, contestant, grader) -> mean of what the grader gave, and on how many cells; nowhere: left out."""
    rows = connection.execute(
        select(RESULT.c.prompt, RESULT.c.contestant, SCORE.c.grader, func.avg(SCORE.c.value), func.count(SCORE.c.value))
        .join(SCORE, and_(SCORE.c.run_id == RESULT.c.run_id, SCORE.c.cell == RESULT.c.cell))
        .where(RESULT.c.run_id == run_id, SCORE.c.value.is_not(None))
        .group_by(RESULT.c.prompt, RESULT.c.contestant, SCORE.c.grader)
    )
    return {(row[0], row[1], row[2]): (float(row[3]), int(row[4])) for row in rows}


def first_reasons(connection: Connection, run_id: str, *, limit: int = 3) -> list[str]:
    """The first reasons that graders gave, each once."""
    rows = connection.execute(
        select(SCORE.c.reason)
        .where(SCORE.c.run_id == run_id, SCORE.c.value.is_not(None), SCORE.c.reason != "")
        .order_by(SCORE.c.cell, SCORE.c.grader)
        .limit(20)
    )
    return list(dict.fromkeys(rows.scalars()))[:limit]


def first_failed_cell(connection: Connection, run_id: str) -> int | None:
    """The first cell without an answer; None when there is none."""
    query = select(func.min(RESULT.c.cell)).where(RESULT.c.run_id == run_id, RESULT.c.status == "failed")
    return connection.execute(query).scalar()


@dataclass(frozen=True, slots=True)
class CellPreview:
    """One cell in the grid of rows x contestants."""

    cell: int
    prompt: int
    contestant: int
    sample: int
    status: str
    preview: str
    value: float | None
    passed: bool | None


@dataclass(frozen=True, slots=True)
class GridRow:
    """A dataset row with the cells that answered it."""

    row: int
    key: str
    values: tuple[str, ...]
    cells: tuple[CellPreview, ...]


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of the grid; total counts all rows that the filters let through."""

    total: int
    rows: tuple[GridRow, ...]


def rows_page(
    connection: Connection,
    run_id: str,
    dataset_id: str,
    *,
    show: Show = "all",
    search: str = "",
    page: int = 1,
    size: int = 50,
) -> RowsPage:
    """A page of rows (from 1) with their cells.

    show: failed = a verdict of fail, errors = a call that failed, disagree = verdicts differ.
    search: text in the row's values or in an answer, any case.
    """
    rows = _matching(run_id, dataset_id, show, search).order_by("row")
    first = (max(page, 1) - 1) * size
    if search or show != "all":  # one pass over the run: to count and to page apart would be two
        matching = connection.execute(rows).scalars().all()
        total, wanted = len(matching), matching[first : first + size]
    else:
        total = connection.execute(
            select(func.count(distinct(RESULT.c.row))).where(RESULT.c.run_id == run_id)
        ).scalar_one()
        wanted = connection.execute(rows.limit(size).offset(first)).scalars().all()
    if not wanted:
        return RowsPage(total, ())
    keys = {
        r.position: (r.row_key, tuple(json.loads(r.values_json)))
        for r in connection.execute(
            select(DATASET_ROW).where(DATASET_ROW.c.dataset_id == dataset_id, DATASET_ROW.c.position.in_(wanted))
        )
    }
    cells: dict[int, list[CellPreview]] = {row: [] for row in wanted}
    for r in connection.execute(
        select(
            RESULT.c.row,
            RESULT.c.cell,
            RESULT.c.prompt,
            RESULT.c.contestant,
            RESULT.c.sample,
            RESULT.c.status,
            RESULT.c.preview,
            RESULT.c.value,
            RESULT.c.passed,
        )
        .where(RESULT.c.run_id == run_id, RESULT.c.row.in_(wanted))
        .order_by(RESULT.c.cell)
    ):
        cells[r.row].append(CellPreview(*r[1:]))
    return RowsPage(total, tuple(GridRow(row, *keys.get(row, ("", ())), tuple(cells[row])) for row in wanted))


def _matching(run_id: str, dataset_id: str, show: Show, search: str) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [RESULT.c.run_id == run_id]
    if search:
        in_row = RESULT.c.row.in_(
            select(DATASET_ROW.c.position).where(
                DATASET_ROW.c.dataset_id == dataset_id,
                DATASET_ROW.c.values_json.icontains(search, autoescape=True),
            )
        )
        in_text = exists().where(
            RESULT_TEXT.c.run_id == RESULT.c.run_id,
            RESULT_TEXT.c.cell == RESULT.c.cell,
            or_(
                RESULT_TEXT.c.output.icontains(search, autoescape=True),
                RESULT_TEXT.c.error.icontains(search, autoescape=True),
            ),
        )
        conditions.append(or_(in_row, in_text))
    if show == "failed":
        conditions.append(RESULT.c.passed.is_(False))
    elif show == "errors":
        conditions.append(RESULT.c.status == "failed")
    query = select(RESULT.c.row.label("row")).where(and_(*conditions)).group_by(RESULT.c.row)
    if show == "disagree":
        query = query.having(func.count(distinct(RESULT.c.passed)) > 1)
    return query


@dataclass(frozen=True, slots=True)
class CellRecord:
    """Everything that is kept about a cell."""

    result: Row[Any]
    output: str
    reasoning: str
    error: str
    row_key: str
    values: Sequence[str]
    scores: Sequence[Row[Any]]
    calls: Sequence[Row[Any]]
    """Attempts and judges' calls, oldest first."""
    note: str = ""
    """What a reader must know beside the output; empty for an ordinary answer."""


def cell_record(connection: Connection, run_id: str, dataset_id: str, cell: int) -> CellRecord:
    """The record of a cell. Raises NotFound when it has no result."""
    key = {"run_id": run_id, "cell": cell}
    result = connection.execute(select(RESULT).filter_by(**key)).one_or_none()
    if result is None:
        raise NotFound(f"Cell {cell} of this run has no result yet.")
    texts = connection.execute(select(RESULT_TEXT).filter_by(**key)).one()
    row = connection.execute(
        select(DATASET_ROW).where(DATASET_ROW.c.dataset_id == dataset_id, DATASET_ROW.c.position == result.row)
    ).one()
    scores = connection.execute(select(SCORE).filter_by(**key).order_by(SCORE.c.grader)).all()
    calls = connection.execute(select(CALL).filter_by(**key).order_by(CALL.c.id)).all()
    return CellRecord(
        result,
        texts.output,
        texts.reasoning,
        texts.error,
        row.row_key,
        json.loads(row.values_json),
        scores,
        calls,
        texts.note,
    )


def calls_without_result(connection: Connection, run_id: str) -> Iterator[Row[Any]]:
    """Calls of a run that left no result, oldest first: of cells that were cut short, or of none."""
    query = (
        select(CALL)
        .where(CALL.c.run_id == run_id, ~exists().where(RESULT.c.run_id == run_id, RESULT.c.cell == CALL.c.cell))
        .order_by(CALL.c.created_ms, CALL.c.id)
    )
    yield from connection.execute(query).yield_per(1000)


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A cell with its texts, scores and calls, for exports."""

    result: Row[Any]
    output: str
    reasoning: str
    error: str
    note: str
    row_key: str
    values: tuple[str, ...]
    scores: Mapping[int, Row[Any]]
    calls: Sequence[Row[Any]]
    """Attempts and judges' calls, oldest first."""


def export_rows(connection: Connection, run_id: str, dataset_id: str) -> Iterator[ExportRow]:
    """Every cell with a result, in cell order, read in pages of 1,000."""
    last = -1
    while True:
        results = connection.execute(
            select(RESULT).where(RESULT.c.run_id == run_id, RESULT.c.cell > last).order_by(RESULT.c.cell).limit(1000)
        ).all()
        if not results:
            return
        cells, rows = [r.cell for r in results], {r.row for r in results}
        texts = {
            t.cell: t
            for t in connection.execute(
                select(RESULT_TEXT).where(RESULT_TEXT.c.run_id == run_id, RESULT_TEXT.c.cell.in_(cells))
            ).all()
        }
        values = {
            r.position: r
            for r in connection.execute(
                select(DATASET_ROW).where(DATASET_ROW.c.dataset_id == dataset_id, DATASET_ROW.c.position.in_(rows))
            ).all()
        }
        scores: dict[int, dict[int, Row[Any]]] = {}
        for score in connection.execute(select(SCORE).where(SCORE.c.run_id == run_id, SCORE.c.cell.in_(cells))).all():
            scores.setdefault(score.cell, {})[score.grader] = score
        calls: dict[int, list[Row[Any]]] = {}
        for call in connection.execute(
            select(CALL).where(CALL.c.run_id == run_id, CALL.c.cell.in_(cells)).order_by(CALL.c.created_ms, CALL.c.id)
        ).all():
            calls.setdefault(call.cell, []).append(call)
        for result in results:
            row = values[result.row]
            text = texts[result.cell]
            yield ExportRow(
                result,
                text.output,
                text.reasoning,
                text.error,
                text.note,
                row.row_key,
                tuple(json.loads(row.values_json)),
                scores.get(result.cell, {}),
                calls.get(result.cell, ()),
            )
        last = cells[-1]
