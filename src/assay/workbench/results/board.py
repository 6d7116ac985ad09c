"""The scoreboard of a run: a line for each contestant with each prompt version, counted from its cells and calls."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from assay.stats.intervals import Interval, mean_interval, quantile
from assay.store.cell_costs import NOTHING, CellCost, Place
from assay.store.results import CellRow
from assay.workbench.results.cells import RunRecord, label_of

COVERED = 0.9
"""Share of the cells that must be scored for a contestant to count as measured."""


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
    """Cost of its own calls, every attempt; None when any is unknown. What judges cost stands apart."""
    known_pico: int
    unknown_cells: int
    """Cells with a call of unknown cost."""
    correct: int
    p50_ms: float | None
    p95_ms: float | None
    prompt_tokens: int
    completion_tokens: int
    unknown_calls: int = 0
    unknown_bound_pico: int = 0
    """The most that they cost, where a bound is known."""
    judging_pico: int = 0
    """Known costs of its judges' calls."""
    judging_unknown: int = 0
    judging_bound_pico: int = 0
    cut: int = 0
    """Answers that ended at their `max_tokens`."""

    @property
    def coverage(self) -> float:
        """Share of the grid's cells that have a score."""
        return self.scored / self.cells if self.cells else 0.0

    @property
    def cost_per_scored_pico(self) -> float | None:
        """Cost per scored cell, its failures included; None when nothing is scored or a cost is unknown."""
        return self.cost_pico / self.scored if self.cost_pico is not None and self.scored else None

    @property
    def cost_per_correct_pico(self) -> int | None:
        """Cost per passed cell; None when none passed or a cost is unknown."""
        return self.cost_pico // self.correct if self.cost_pico is not None and self.correct else None


def ranked(run: RunRecord, cells: Sequence[CellRow], costs: Mapping[Place, CellCost]) -> tuple[ContestantScore, ...]:
    """A line for each prompt version and contestant of a run, best score first."""
    return tuple(sorted(scores_of(run, cells, costs), key=_rank))


def _rank(line: ContestantScore) -> tuple[float, bool, float, str]:
    """Best score first; of equals those whose cells are scored, and of these the cheapest."""
    cost = line.cost_per_scored_pico
    mean = line.score.mean if line.score else -1.0
    return -mean, line.coverage < COVERED, math.inf if cost is None else cost, line.label


def scores_of(run: RunRecord, cells: Sequence[CellRow], costs: Mapping[Place, CellCost]) -> Iterator[ContestantScore]:
    """A line for each prompt version and contestant of a run, in the order of the plan."""
    groups: dict[tuple[int, int], list[CellRow]] = defaultdict(list)
    for cell in cells:
        groups[cell.prompt, cell.contestant].append(cell)
    plan = run.plan
    for prompt in range(len(plan.prompts)):
        for contestant, chosen in enumerate(plan.contestants):
            mine = groups[prompt, contestant]
            times = [c.total_ms for c in mine if c.ok and not c.cached and c.total_ms is not None]
            cost = costs.get(Place(prompt, contestant), NOTHING)
            answered = sum([c.ok for c in mine])
            yield ContestantScore(
                prompt,
                contestant,
                label_of(plan, prompt, contestant),
                chosen.key,
                score=mean_interval(list(by_row(mine).values())),
                passes=mean_interval(list(_passes_by_row(mine).values())),
                cells=plan.row_count * plan.samples,
                answered=answered,
                scored=sum([c.value is not None for c in mine]),
                failed=len(mine) - answered,
                cost_pico=cost.cost_pico,
                unknown_cells=sum([c.cost_pico is None for c in mine]),
                cut=sum([c.cut for c in mine]),
                **cost._asdict(),
                correct=sum([c.passed is True for c in mine]),
                p50_ms=quantile(times, 0.5),
                p95_ms=quantile(times, 0.95),
                prompt_tokens=sum([c.prompt_tokens or 0 for c in mine]),
                completion_tokens=sum([c.completion_tokens or 0 for c in mine]),
            )


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
