"""The scoreboard of a run: a line for each contestant with each prompt version, counted from its cells and calls.

rows_by_place   the scores of each line by row, from cells as the store gives them
counted         the decision on these rows and the scoreboard in its order
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import NamedTuple

from assay.domain.colours import colours_of
from assay.domain.contestant import numbered
from assay.domain.plan import RunPlan
from assay.exports.scoreboard import ContestantScore
from assay.stats.quantiles import quantile
from assay.stats.values import CONFIDENCE, ContestantRows, Decision, Estimate, Look
from assay.store.cell_costs import NOTHING, CellCost, Place
from assay.store.results import NO_SUMS, CellScore, PlaceSums
from assay.workbench.results.cells import label_of

__all__ = ["ContestantScore", "Counted", "PlaceRows", "counted", "places_of", "rows_by_place", "scores_by_place"]

COVERED = 0.95
"""Share of the samples that must have a score for a row with some of them to count."""


@dataclass(slots=True)
class PlaceRows:
    """What is known of one line, by row."""

    scores: dict[int, float | None] = field(default_factory=dict)
    """Mean over samples; None: asked, and without a score."""
    passes: dict[int, float] = field(default_factory=dict)
    """Share of its samples that pass, of rows with a verdict."""
    times: list[float] = field(default_factory=list)
    """ms of the answers that were asked for."""


def places_of(plan: RunPlan) -> list[Place]:
    """Every line of a plan, in its order."""
    return [Place(p, c) for p in range(len(plan.prompts)) for c in range(len(plan.contestants))]


def labels_of(plan: RunPlan) -> dict[Place, str]:
    """The name of each line, no two the same."""
    places = places_of(plan)
    return dict(zip(places, numbered([label_of(plan, *place) for place in places]), strict=True))


def rows_by_place(plan: RunPlan, cells: Iterable[CellScore], *, ended: bool) -> dict[Place, PlaceRows]:
    """The rows of each line. ended: what was not asked will not be, and is missing like what failed."""
    groups = _grouped(cells)
    return {place: _rows(plan, groups.get(place, []), ended=ended) for place in places_of(plan)}


def scores_by_place(plan: RunPlan, cells: Iterable[CellScore], *, ended: bool) -> dict[Place, dict[int, float | None]]:
    """The scores of each line by row alone, as `rows_by_place` has them."""
    groups = _grouped(cells)
    return {place: _scores(plan, groups.get(place, []), ended=ended) for place in places_of(plan)}


def _grouped(cells: Iterable[CellScore]) -> dict[tuple[int, int], list[CellScore]]:
    groups: dict[tuple[int, int], list[CellScore]] = defaultdict(list)
    for cell in cells:
        groups[cell[0], cell[1]].append(cell)
    return groups


def _rows(plan: RunPlan, cells: Sequence[CellScore], *, ended: bool) -> PlaceRows:
    scores = _scores(plan, cells, ended=ended)
    if plan.samples == 1:
        passes = {cell[2]: float(cell[4]) for cell in cells if cell[4] is not None}
    else:
        by_row: dict[int, list[float]] = defaultdict(list)
        for cell in cells:
            if cell[4] is not None:
                by_row[cell[2]].append(float(cell[4]))
        passes = {row: fmean(found) for row, found in by_row.items()}
    return PlaceRows(scores, passes, sorted([cell[5] for cell in cells if cell[5] is not None]))


def _scores(plan: RunPlan, cells: Sequence[CellScore], *, ended: bool) -> dict[int, float | None]:
    rows, values = [cell[2] for cell in cells], [cell[3] for cell in cells]
    scores = dict(zip(rows, values, strict=True)) if plan.samples == 1 else _means_of(plan, rows, values, ended=ended)
    if ended and len(scores) < plan.row_count:
        return {row: scores.get(row) for row in range(plan.row_count)}
    return scores


def _means_of(
    plan: RunPlan, rows: Sequence[int], values: Sequence[float | None], *, ended: bool
) -> dict[int, float | None]:
    """The mean over a row's samples. Where many samples of a line lack a score, a row counts with all of its samples
    only: those that are there are not a fair part of it."""
    by_row: dict[int, list[float | None]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        by_row[row].append(value)
    asked = plan.row_count * plan.samples if ended else len(values)
    fair = len(values) - values.count(None) >= COVERED * asked
    means: dict[int, float | None] = {}
    for row, found in by_row.items():
        known = [value for value in found if value is not None]
        whole = len(known) == (plan.samples if ended else len(found))
        means[row] = fmean(known) if known and (fair or whole) else None
    return means


class Counted(NamedTuple):
    """What the cells of a run say."""

    decision: Decision
    board: tuple[ContestantScore, ...]
    """In the order of the decision: best score first, the left out last."""


def counted(
    plan: RunPlan,
    rows: Mapping[Place, PlaceRows],
    sums: Mapping[Place, PlaceSums],
    costs: Mapping[Place, CellCost],
    *,
    look: Look = "planned",
) -> Counted:
    """Decides on the lines of a plan and makes its scoreboard."""
    from assay.stats.decision import decide  # with NumPy and SciPy, slow to import

    labels = labels_of(plan)
    contestants = {
        _key(place): ContestantRows(
            _key(place), labels[place], rows[place].scores, _per_row(rows[place], costs.get(place, NOTHING).cost_pico)
        )
        for place in places_of(plan)
    }
    decision = decide(list(contestants.values()), margin=plan.margin, look=look, rows_planned=plan.row_count)
    lines = {_key(place): _line(plan, place, rows[place], sums, costs, labels[place]) for place in places_of(plan)}
    return Counted(decision, tuple(_placed(lines[found.key], decision, found.key) for found in decision.standings))


def _key(place: Place) -> str:
    return f"{place.prompt}.{place.contestant}"


def _per_row(rows: PlaceRows, cost_pico: int | None) -> float | None:
    """Cost for a row that has a score, so that failing saves nothing; of one without any, for a row."""
    count = len(rows.scores) - list(rows.scores.values()).count(None) or len(rows.scores)
    return None if cost_pico is None or not count else cost_pico / count


def _placed(line: ContestantScore, decision: Decision, key: str) -> ContestantScore:
    """A line with what the decision says of it."""
    found = decision.standing(key)
    leader = decision.leaders[0] if decision.leaders else None
    return replace(
        line,
        score=found.score,
        best_of=found.best_of,
        rank_low=found.rank_low,
        rank_high=found.rank_high,
        left_out=found.left_out,
        cost_per_row=found.cost_per_row,
        to_leader=None if leader is None or leader == key else decision.difference(key, leader),
    )


def _line(
    plan: RunPlan,
    place: Place,
    rows: PlaceRows,
    sums: Mapping[Place, PlaceSums],
    costs: Mapping[Place, CellCost],
    label: str,
) -> ContestantScore:
    chosen, mine, cost = plan.contestants[place.contestant], sums.get(place, NO_SUMS), costs.get(place, NOTHING)
    return ContestantScore(
        prompt=place.prompt,
        contestant=place.contestant,
        label=label,
        key=chosen.key,
        colour=colours_of(plan.contestants)[chosen.key],
        score=None,
        passes=_share(rows.passes),
        cells=plan.row_count * plan.samples,
        answered=mine.answered,
        scored=mine.scored,
        failed=mine.results - mine.answered,
        cost_pico=cost.cost_pico,
        unknown_cells=mine.unknown_cells,
        cut=mine.cut,
        **cost._asdict(),
        correct=mine.correct,
        p50_ms=quantile(rows.times, 0.5),
        p95_ms=quantile(rows.times, 0.95),
        prompt_tokens=mine.prompt_tokens,
        completion_tokens=mine.completion_tokens,
    )


def _share(passes: Mapping[int, float]) -> Estimate | None:
    from assay.stats.standings import estimates
    from assay.stats.table import table_of

    if not passes:
        return None
    return estimates(table_of([ContestantRows("", "", passes)]).common, None, CONFIDENCE)[0]
