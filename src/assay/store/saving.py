"""Results as they are saved: an answer with its texts, scores and settlement, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from assay.domain.plan import RunPlan
from assay.domain.score import NOT_ASKED, NOT_GRADED, Score, passed_of, value_of
from assay.errors import AssayError, LeaseLost
from assay.store.books import Books
from assay.store.cell_costs import NAMES as COSTS
from assay.store.cell_costs import NOTHING, CellCost, columns_of, costs_of, refresh
from assay.store.ledger import Settlement, now_ms, settle_many
from assay.store.prepared import Prepared, PreparedIn
from assay.store.runs import get_run
from assay.store.tables import RESULT, RESULT_TEXT, RUN, SCORE


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """The result of a cell with its texts and scores, as the engine hands it over."""

    run_id: str
    cell: int
    row: int
    prompt: int
    contestant: int
    sample: int
    status: str
    """ok or failed."""
    output: str = ""
    reasoning: str = ""
    note: str = ""
    error: str = ""
    error_kind: str | None = None
    call_id: str | None = None
    cached: bool = False
    cut: bool = False
    """Whether the answer ended at its `max_tokens`."""
    first_token_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    scores: tuple[Score, ...] = ()
    judge_calls: tuple[str | None, ...] = ()
    """Call id of each score's judge, in the order of scores."""

    @property
    def value(self) -> float | None:
        """The cell's value by its scores; None: unscored."""
        return value_of(self.scores)

    @property
    def passed(self) -> bool | None:
        """The cell's verdict by its scores; None: unscored."""
        return passed_of(self.scores)


PREVIEW = 80
_RESULT_COLUMNS = (
    "run_id",
    "cell",
    "row",
    "prompt",
    "contestant",
    "sample",
    "status",
    "error_kind",
    "call_id",
    "cached",
    "cut",
    "first_token_ms",
    "total_ms",
    "prompt_tokens",
    "completion_tokens",
)


@dataclass(frozen=True, slots=True)
class Saving:
    """A result to be stored with the settlement of its call, under the lease's fencing token."""

    record: ResultRecord
    settlement: Settlement | None
    token: int | None


def save_all(connection: Connection, savings: Sequence[Saving]) -> list[AssayError | None]:
    """Settles the calls and stores the results with what their calls cost, in one transaction.

    For each: None, or LeaseLost when its token is no longer the run's; its call is then settled all the same.
    """
    books = Books()
    settlements = [saving.settlement for saving in savings if saving.settlement is not None]
    if settlements:
        settle_many(connection, settlements, books=books)
    groups: dict[tuple[str, int | None], list[ResultRecord]] = {}
    for saving in savings:
        groups.setdefault((saving.record.run_id, saving.token), []).append(saving.record)
    refused: dict[tuple[str, int | None], AssayError] = {}
    for (run_id, token), records in groups.items():
        try:
            _save(connection, run_id, records, token, books)
        except LeaseLost as error:
            refused[run_id, token] = error
            refresh(connection, [(run_id, record.cell) for record in records])
    books.write(connection)
    return [refused.get((saving.record.run_id, saving.token)) for saving in savings]


_TOKEN = Prepared(select(RUN.c.lease_token).where(RUN.c.id == bindparam("run")))
_BEFORE = PreparedIn(select(RESULT.c.cell, RESULT.c.status).where(RESULT.c.run_id == bindparam("run")), RESULT.c.cell)
_INSERT_RESULT = Prepared(
    insert(RESULT), (*_RESULT_COLUMNS, *COSTS, "cost_pico", "value", "passed", "preview", "finished_ms")
)
_INSERT_TEXT = Prepared(insert(RESULT_TEXT), ("run_id", "cell", "output", "reasoning", "error", "note"))
_INSERT_SCORE = Prepared(insert(SCORE), ("run_id", "cell", "grader", "value", "passed", "reason", "call_id"))


def _save(
    connection: Connection, run_id: str, records: Sequence[ResultRecord], token: int | None, books: Books
) -> None:
    held = _TOKEN.rows(connection, {"run": run_id})
    if not held or (token is not None and held[0][0] != token):
        raise LeaseLost(f"Run {run_id} is worked by another process.")
    before = _BEFORE.rows(connection, [record.cell for record in records], {"run": run_id})
    if before:
        replaced = [cell for cell, _ in before]
        for table in (SCORE, RESULT_TEXT, RESULT):
            connection.execute(delete(table).where(table.c.run_id == run_id, table.c.cell.in_(replaced)))
    costs = costs_of(connection, run_id, [record.cell for record in records])
    _insert(connection, records, costs)
    failed = sum(r.status == "failed" for r in records) - sum(status == "failed" for _, status in before)
    books.count(run_id, done=len(records) - len(before), failed=failed)


def _insert(connection: Connection, records: Iterable[ResultRecord], costs: Mapping[int, CellCost]) -> None:
    finished = now_ms()
    results, texts, scores = [], [], []
    for record in records:
        preview = preview_of(record.output if record.status == "ok" else record.error)
        results.append(
            {name: getattr(record, name) for name in _RESULT_COLUMNS}
            | columns_of(costs.get(record.cell, NOTHING))
            | {"value": record.value, "passed": record.passed, "preview": preview, "finished_ms": finished}
        )
        key = {"run_id": record.run_id, "cell": record.cell}
        said = {"output": record.output, "reasoning": record.reasoning, "error": record.error, "note": record.note}
        texts.append(key | said)
        judges = record.judge_calls or (None,) * len(record.scores)
        scores += [
            key | {"grader": n, "value": s.value, "passed": s.passed, "reason": s.reason, "call_id": judge}
            for n, (s, judge) in enumerate(zip(record.scores, judges, strict=True))
        ]
    _INSERT_RESULT.many(connection, results)
    _INSERT_TEXT.many(connection, texts)
    _INSERT_SCORE.many(connection, scores)


def preview_of(text: str) -> str:
    """The beginning of an answer or error on one line."""
    return " ".join(text[: 4 * PREVIEW].split())[:PREVIEW]


def finished_cells(connection: Connection, run_id: str, *, retry_failed: bool = False) -> bytearray:
    """One byte per cell of the grid, 1 where a result stands; retry_failed leaves failed cells open."""
    run = get_run(connection, run_id)
    cells = bytearray(run.cells)
    query = select(RESULT.c.cell).where(RESULT.c.run_id == run.id)
    if retry_failed:
        query = query.where(RESULT.c.status == "ok")
    for batch in connection.execute(query).yield_per(10_000).partitions():
        for (cell,) in batch:
            cells[cell] = 1
    return cells


def ungraded_cells(connection: Connection, run_id: str, plan: RunPlan) -> set[int]:
    """Cells whose answer stands and that a grader has still to look at, or a judge to be asked about."""
    if not plan.graders:
        return set()
    waits = SCORE.c.reason.startswith(NOT_ASKED) | (SCORE.c.reason == NOT_GRADED)
    query = select(SCORE.c.cell).where(
        SCORE.c.run_id == run_id, SCORE.c.call_id.is_(None), SCORE.c.value.is_(None), waits
    )
    return set(connection.execute(query).scalars())
