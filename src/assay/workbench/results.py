"""The results of a run: scoreboard, verdict, rows, cells, export."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from assay.datasets.template import mapped, render_prompt
from assay.domain.contestant import Contestant
from assay.domain.messages import Message
from assay.domain.plan import RunPlan
from assay.stats.intervals import Interval, mean_interval, quantile
from assay.stats.paired import PairedComparison, compare_paired
from assay.store import results as stored
from assay.store import runs
from assay.store.datasets import StoredDataset, get_dataset
from assay.store.results import CellRecord, CellRow, GridRow, RowsPage, Show

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime

__all__ = ["GridRow", "RowsPage", "Show"]
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its plan and dataset."""

    id: str
    name: str
    state: str
    reason: str
    created_ms: int
    gateway: str
    plan: RunPlan
    dataset: StoredDataset
    done: int
    failed: int
    estimate: dict[str, Any]
    tags: tuple[str, ...]


def get_run(rt: Runtime, run_id: str) -> RunRecord:
    """A run by id. Raises NotFound."""
    with rt.store.read() as connection:
        row = runs.get_run(connection, run_id)
        dataset = get_dataset(connection, row.dataset_id)
    return RunRecord(
        row.id, row.name, row.state, row.reason, row.created_ms, row.gateway, runs.plan_of(row), dataset, row.done,
        row.failed, json.loads(row.estimate_json), tuple(json.loads(row.tags_json)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContestantScore:
    """One line of the scoreboard: a contestant with one prompt version."""

    prompt: int
    contestant: int
    label: str
    key: str
    """The contestant's key: its colour."""
    score: Interval | None
    """Mean over rows of the mean over samples, scored cells only; None: nothing was scored."""
    passes: Interval | None
    cells: int
    """Cells of the grid."""
    answered: int
    scored: int
    failed: int
    cost_pico: int | None
    """Cost of all its cells, judges included; None when any is unknown."""
    known_pico: int
    unknown_cells: int
    correct: int
    p50_ms: float | None
    p95_ms: float | None
    prompt_tokens: int
    completion_tokens: int

    @property
    def coverage(self) -> float:
        """Share of the grid's cells that have a score."""
        return self.scored / self.cells if self.cells else 0.0

    @property
    def cost_per_correct_pico(self) -> int | None:
        """Cost per passed cell; None when none passed or a cost is unknown."""
        return self.cost_pico // self.correct if self.cost_pico is not None and self.correct else None


def _cells(rt: Runtime, run_id: str) -> list[CellRow]:
    with rt.store.read() as connection:
        return stored.cell_rows(connection, run_id)


def label_of(plan: RunPlan, prompt: int, contestant: int) -> str:
    """A contestant's name, with the prompt version where there are several."""
    name = plan.contestants[contestant].name
    if len(plan.prompts) == 1:
        return name
    return f"{name} · {plan.prompts[prompt].name or f'prompt {prompt + 1}'}"


def scoreboard(rt: Runtime, run_id: str) -> tuple[ContestantScore, ...]:
    """The scoreboard, best score first; errors are missing data, shown as coverage."""
    run = get_run(rt, run_id)
    return tuple(sorted(_scores(run, _cells(rt, run.id)), key=lambda s: (-(s.score.mean if s.score else -1), s.label)))


def _scores(run: RunRecord, cells: Sequence[CellRow]) -> Iterator[ContestantScore]:
    groups: dict[tuple[int, int], list[CellRow]] = defaultdict(list)
    for cell in cells:
        groups[cell.prompt, cell.contestant].append(cell)
    plan = run.plan
    for prompt in range(len(plan.prompts)):
        for contestant, chosen in enumerate(plan.contestants):
            mine = groups[prompt, contestant]
            times = [c.total_ms for c in mine if c.ok and not c.cached and c.total_ms is not None]
            known = [c.cost_pico for c in mine if c.cost_pico is not None]
            yield ContestantScore(
                prompt, contestant, label_of(plan, prompt, contestant), chosen.key,
                score=mean_interval(list(_by_row(mine).values())),
                passes=mean_interval(list(_passes_by_row(mine).values())),
                cells=plan.row_count * plan.samples, answered=sum(c.ok for c in mine),
                scored=sum(c.value is not None for c in mine), failed=sum(not c.ok for c in mine),
                cost_pico=sum(known) if len(known) == len(mine) else None, known_pico=sum(known),
                unknown_cells=len(mine) - len(known), correct=sum(c.passed is True for c in mine),
                p50_ms=quantile(times, 0.5), p95_ms=quantile(times, 0.95),
                prompt_tokens=sum(c.prompt_tokens or 0 for c in mine),
                completion_tokens=sum(c.completion_tokens or 0 for c in mine),
            )  # fmt: skip


def _by_row(cells: Sequence[CellRow]) -> dict[int, float]:
    """Mean value per row over its samples: rows are the independent units."""
    values: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        if cell.value is not None:
            values[cell.row].append(cell.value)
    return {row: fmean(found) for row, found in values.items()}


def _passes_by_row(cells: Sequence[CellRow]) -> dict[int, float]:
    values: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        if cell.passed is not None:
            values[cell.row].append(float(cell.passed))
    return {row: fmean(found) for row, found in values.items()}


def compare(rt: Runtime, run_id: str, first: tuple[int, int], second: tuple[int, int]) -> PairedComparison | None:
    """The second (prompt, contestant) against the first, paired by row; None without common rows."""
    cells = _cells(rt, get_run(rt, run_id).id)
    a = _by_row([c for c in cells if (c.prompt, c.contestant) == first])
    b = _by_row([c for c in cells if (c.prompt, c.contestant) == second])
    return compare_paired(a, b)


def verdict(rt: Runtime, run_id: str) -> str:
    """The decision in words: who is best, by how much, whether that is more than noise, at what price."""
    run = get_run(rt, run_id)
    board = [line for line in scoreboard(rt, run.id) if line.score is not None]
    if not board:
        return "Nothing is scored yet, so nothing can be decided." if run.plan.graders else "This run has no graders."
    best = board[0]
    score = best.score
    assert score is not None  # noqa: S101 - filtered above
    said = f"{best.label} scores best: {score.mean:.2f} ({score.low:.2f} to {score.high:.2f} with 95 % confidence)"
    if len(board) == 1:
        return f"{said}, on {score.n} rows."
    return f"{said}. {_against(rt, run, best, board[1])}"


def _against(rt: Runtime, run: RunRecord, best: ContestantScore, other: ContestantScore) -> str:
    found = compare(rt, run.id, (other.prompt, other.contestant), (best.prompt, best.contestant))
    if found is None:
        return f"It shares no scored row with {other.label}, so the two cannot be compared."
    points = f"{abs(found.delta) * 100:.0f} point{'s' if round(abs(found.delta) * 100) != 1 else ''}"
    price = _price(best, other)
    if found.p >= SIGNIFICANT:
        return (
            f"{other.label} is {points} behind{price}; on {found.n} rows that is not more than noise "
            f"(p = {found.p:.2f})."
        )
    return f"{other.label} is {points} behind{price}; the gap is real (p = {max(found.p, 0.001):.3f}, {found.n} rows)."


def _price(best: ContestantScore, other: ContestantScore) -> str:
    if not best.cost_pico or other.cost_pico is None:
        return ""
    if other.cost_pico == 0:
        return " and free"
    ratio = best.cost_pico / other.cost_pico
    if ratio >= 1.15:
        return f" at 1/{ratio:.0f} of the cost" if ratio >= 2 else f" at {100 / ratio:.0f} % of the cost"
    return f" at {1 / ratio:.1f} times the cost" if ratio <= 0.87 else " at about the same cost"


def rows_page(
    rt: Runtime, run_id: str, *, show: Show = "all", search: str = "", page: int = 1, size: int = 50
) -> RowsPage:
    """A page of rows x contestants."""
    with rt.store.read() as connection:
        run = runs.get_run(connection, run_id)
        return stored.rows_page(
            connection, run.id, run.dataset_id, show=show, search=search.strip(), page=page, size=size
        )


@dataclass(frozen=True, slots=True)
class CellDetail:
    """Everything about a cell."""

    record: CellRecord
    label: str
    contestant: Contestant
    messages: tuple[Message, ...]
    """The prompt as sent."""
    graders: tuple[str, ...]


def cell_detail(rt: Runtime, run_id: str, cell: int) -> CellDetail:
    """A cell with prompt, answer, scores and calls. Raises NotFound."""
    run = get_run(rt, run_id)
    with rt.store.read() as connection:
        record = stored.cell_record(connection, run.id, run.dataset.id, cell)
    place = run.plan.cell(cell)
    values = dict(zip(run.dataset.columns, record.values, strict=True))
    messages = render_prompt(run.plan.prompts[place.prompt], mapped(values, run.plan.mapping))
    return CellDetail(
        record, label_of(run.plan, place.prompt, place.contestant), run.plan.contestants[place.contestant], messages,
        tuple(spec.label for spec in run.plan.graders),
    )  # fmt: skip
