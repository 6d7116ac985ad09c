"""Where the contestants of a run stand: the scoreboard and the decision in words.

Counting reads every cell of a run. What came of it is kept: for good once the run has ended, and while it is worked for
so long that counting takes a small part of the time, however many pages look at it.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from assay.stats.intervals import Interval, mean_interval, quantile
from assay.stats.paired import PairedComparison, compare_paired
from assay.store import results as stored
from assay.store import runs
from assay.store.results import CellRow
from assay.workbench.results import RunRecord, get_run, label_of

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime

SIGNIFICANT = 0.05
WORTH_NAMING = 1.15
"""How many times dearer the best must be for a cheaper one to be named."""
FRESH_S = 2.0
COUNTING_SHARE = 20
"""While a run is worked, counting takes at most one part in so many of the time."""
KEPT = 32
"""Runs whose standing is kept."""


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


class Standing(NamedTuple):
    """What the cells of a run say at a moment."""

    board: tuple[ContestantScore, ...]
    """Best score first; errors are missing data, shown as coverage."""
    verdict: str


class Counted(NamedTuple):
    """A standing, what it was counted from, and until when it stands for a run that is worked."""

    standing: Standing
    state: tuple[object, ...]
    until: float


def standing(rt: Runtime, run_id: str) -> Standing:
    """The scoreboard and the verdict of a run. Raises NotFound."""
    with rt.store.read() as connection:
        row = runs.get_run(connection, run_id)
    state = (row.cells, row.done, row.failed, row.settled_pico, row.finished_ms, row.lease_token)
    known = rt.standings.get(row.id)
    if known is not None and (known.state == state or (row.state in runs.LIVE and time.monotonic() < known.until)):
        return known.standing
    started = time.monotonic()
    run = get_run(rt, row.id)
    with rt.store.read() as connection:
        cells = stored.cell_rows(connection, run.id)
    board = tuple(sorted(scores_of(run, cells), key=_rank))
    found = Standing(board, _verdict(run, board, cells))
    now = time.monotonic()
    rt.standings.pop(run.id, None)
    rt.standings[run.id] = Counted(found, state, now + max(FRESH_S, COUNTING_SHARE * (now - started)))
    while len(rt.standings) > KEPT:
        rt.standings.pop(next(iter(rt.standings)), None)
    return found


def _rank(line: ContestantScore) -> tuple[float, float, str]:
    """Best score first; of equals the cheapest."""
    return -(line.score.mean if line.score else -1), math.inf if line.cost_pico is None else line.cost_pico, line.label


def scoreboard(rt: Runtime, run_id: str) -> tuple[ContestantScore, ...]:
    """The scoreboard, best score first. Raises NotFound."""
    return standing(rt, run_id).board


def verdict(rt: Runtime, run_id: str) -> str:
    """The decision in words: who is best, by how much, whether that is more than noise, at what price."""
    return standing(rt, run_id).verdict


def scores_of(run: RunRecord, cells: Sequence[CellRow]) -> Iterator[ContestantScore]:
    """A line for each prompt version and contestant of a run, in the order of the plan."""
    groups: dict[tuple[int, int], list[CellRow]] = defaultdict(list)
    for cell in cells:
        groups[cell.prompt, cell.contestant].append(cell)
    plan = run.plan
    for prompt in range(len(plan.prompts)):
        for contestant, chosen in enumerate(plan.contestants):
            mine = groups[prompt, contestant]
            times = [c.total_ms for c in mine if c.ok and not c.cached and c.total_ms is not None]
            known = [c.cost_pico for c in mine if c.cost_pico is not None]
            answered = sum([c.ok for c in mine])
            yield ContestantScore(
                prompt, contestant, label_of(plan, prompt, contestant), chosen.key,
                score=mean_interval(list(by_row(mine).values())),
                passes=mean_interval(list(_passes_by_row(mine).values())),
                cells=plan.row_count * plan.samples, answered=answered,
                scored=sum([c.value is not None for c in mine]), failed=len(mine) - answered,
                cost_pico=sum(known) if len(known) == len(mine) else None, known_pico=sum(known),
                unknown_cells=len(mine) - len(known), correct=sum([c.passed is True for c in mine]),
                p50_ms=quantile(times, 0.5), p95_ms=quantile(times, 0.95),
                prompt_tokens=sum([c.prompt_tokens or 0 for c in mine]),
                completion_tokens=sum([c.completion_tokens or 0 for c in mine]),
            )  # fmt: skip


def by_row(cells: Sequence[CellRow]) -> dict[int, float]:
    """Mean value per row over its samples: rows are the independent units."""
    return _row_means([(cell.row, cell.value) for cell in cells if cell.value is not None])


def _passes_by_row(cells: Sequence[CellRow]) -> dict[int, float]:
    return _row_means([(cell.row, float(cell.passed)) for cell in cells if cell.passed is not None])


def _row_means(pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    means: dict[int, float] = {}
    several: dict[int, list[float]] = {}
    for row, value in pairs:
        if row in means:
            several.setdefault(row, [means[row]]).append(value)
        else:
            means[row] = value
    for row, values in several.items():
        means[row] = fmean(values)
    return means


def compare(cells: Sequence[CellRow], first: tuple[int, int], second: tuple[int, int]) -> PairedComparison | None:
    """The second (prompt, contestant) against the first, paired by row; None without common rows."""
    a = by_row([c for c in cells if (c.prompt, c.contestant) == first])
    b = by_row([c for c in cells if (c.prompt, c.contestant) == second])
    return compare_paired(a, b)


def _verdict(run: RunRecord, scores: Sequence[ContestantScore], cells: Sequence[CellRow]) -> str:
    board = [line for line in scores if line.score is not None]
    if not board:
        return "Nothing is scored yet, so nothing can be decided." if run.plan.graders else "This run has no graders."
    best = board[0]
    score = best.score
    assert score is not None  # noqa: S101 - filtered above
    said = f"{best.label} scores best: {score.mean:.2f} ({score.low:.2f} to {score.high:.2f} with 95 % confidence)"
    if len(board) == 1:
        return f"{said}, on {score.n:,} rows."
    found = _beside(cells, best, board[1])
    within = [line for line in board[:2] if line is best or (found is not None and _is_noise(found))]
    return f"{said}. {_against(found, best, board[1])}{_cheapest(cells, within, board[2:])}"


def _beside(cells: Sequence[CellRow], best: ContestantScore, other: ContestantScore) -> PairedComparison | None:
    return compare(cells, (other.prompt, other.contestant), (best.prompt, best.contestant))


def _is_noise(found: PairedComparison) -> bool:
    return found.delta == 0 or found.p >= SIGNIFICANT


def _cheapest(cells: Sequence[CellRow], within: Sequence[ContestantScore], rest: Sequence[ContestantScore]) -> str:
    """The cheapest of the rest that no more than noise lies behind; empty where it saves little over those `within`."""
    costs = [line.cost_pico for line in within]
    most = min([cost for cost in costs if cost is not None], default=None)
    if most is None or None in costs:
        return ""
    cheaper = [line for line in rest if line.cost_pico is not None and line.cost_pico * WORTH_NAMING <= most]
    for line in sorted(cheaper, key=lambda line: line.cost_pico or 0):
        found = _beside(cells, within[0], line)
        if found is not None and _is_noise(found):
            gap, sure = (
                ("the same score", "") if found.delta == 0 else (f"{_points(found)} behind", f" (p = {found.p:.2f})")
            )
            return f" The cheapest within noise is {line.label}: {gap}{_price(within[0], line)}{sure}."
    return ""


def _points(found: PairedComparison) -> str:
    gap = round(abs(found.delta) * 100)
    return "less than a point" if gap == 0 else f"{gap} point{'s' if gap != 1 else ''}"


def _against(found: PairedComparison | None, best: ContestantScore, other: ContestantScore) -> str:
    if found is None:
        return f"It shares no scored row with {other.label}, so the two cannot be compared."
    if found.delta == 0:
        return f"{other.label} scores the same{_price(best, other)}, on {found.n} rows."
    points, price = _points(found), _price(best, other)
    if _is_noise(found):
        return (
            f"{other.label} is {points} behind{price}; on {found.n:,} rows that is not more than noise "
            f"(p = {found.p:.2f})."
        )
    return (
        f"{other.label} is {points} behind{price}; the gap is real (p = {max(found.p, 0.001):.3f}, {found.n:,} rows)."
    )


def _price(best: ContestantScore, other: ContestantScore) -> str:
    if not best.cost_pico or other.cost_pico is None:
        return ""
    if other.cost_pico == 0:
        return " and free"
    ratio = best.cost_pico / other.cost_pico
    if ratio >= 1.15:
        return f" at 1/{ratio:.0f} of the cost" if ratio >= 2 else f" at {100 / ratio:.0f} % of the cost"
    return f" at {1 / ratio:.1f} times the cost" if ratio <= 0.87 else " at about the same cost"
