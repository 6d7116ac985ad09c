"""Two runs side by side: contestants matched, rows joined by their key across dataset versions.

A row that stands several times in a dataset is one row: what its copies scored is averaged, and the copies are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from assay.domain.plan import RunPlan
from assay.stats.values import Claim, Comparison, ContestantRows, Difference, Look
from assay.store import results as stored
from assay.store import runs
from assay.store.cell_costs import NOTHING, CellCost, Place
from assay.store.datasets import row_keys
from assay.workbench.memo import Kind
from assay.workbench.results.board import labels_of, scores_by_place
from assay.workbench.results.cells import RunRecord, get_run
from assay.workbench.results.matching import matched_places, shared_names
from assay.workbench.results.standing import FRESH, check_margin, look_of, state_of

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class LineComparison:
    """One contestant with one prompt, in run B against run A."""

    label: str
    """Its label in run B."""
    key: str
    """The contestant's key in run B: its colour."""
    place_a: Place
    place_b: Place
    rows: int
    """Rows that were asked in both runs."""
    comparison: Comparison | None
    """Run B minus run A on the rows that both runs scored, adjusted over all lines; None: there is no such row."""
    cost_a_pico: int | None
    """Cost of run A on the rows asked in both; None when any cost is unknown."""
    cost_b_pico: int | None
    value_if_failed: float = 0.0
    """Run B minus run A where every missing score counts as a failure."""

    @property
    def difference(self) -> Difference | None:
        """Run B minus run A; None: no row was scored in both."""
        return self.comparison.difference if self.comparison else None

    @property
    def score_a(self) -> float | None:
        """Mean score of run A on the rows that both scored."""
        return self.comparison.second.value if self.comparison else None

    @property
    def score_b(self) -> float | None:
        """Mean score of run B on those rows."""
        return self.comparison.first.value if self.comparison else None

    @property
    def unscored(self) -> int:
        """Rows asked in both runs that lack a score in one of them."""
        return self.rows - (self.comparison.difference.n if self.comparison else 0)

    @property
    def cost_delta_pico(self) -> int | None:
        """What run B cost more on the same rows; None when a cost is unknown."""
        return None if self.cost_a_pico is None or self.cost_b_pico is None else self.cost_b_pico - self.cost_a_pico

    @property
    def claim(self) -> Claim:
        """best: shown to be better. not_worse: shown to be not worse by more than the margin. open: neither. nothing:
        no row was scored in both."""
        return self.comparison.claim if self.comparison else "nothing"

    @property
    def finding(self) -> str:
        """What is shown, in some words."""
        if self.comparison is None:
            return "nothing to compare"
        found, check = self.comparison.difference, self.comparison.check
        if found.real:
            return "better" if found.value > 0 else "worse"
        margin = f"{100 * check.margin:g} points"
        if check.side == "worse":
            return f"worse by more than {margin}"
        return f"not worse by more than {margin}" if check.side == "not_worse" else "open"

    def is_worse(self, alpha: float) -> bool:
        """Whether run B scores lower by more than noise (p below alpha), as it is or where every missing score counts
        as a failure; also where it scores lower on every single row."""
        found = self.difference
        if found is None:
            return False
        if_failed = self.value_if_failed < 0 and found.p_if_failed < alpha
        return (found.value < 0 and found.p_adjusted < alpha) or if_failed or found.worse == found.n


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Run B against run A."""

    a: RunRecord
    b: RunRecord
    lines: tuple[LineComparison, ...]
    margin: float
    rows: int
    """Rows that both runs planned, by row key."""
    rows_only_a: int
    rows_only_b: int
    doubles_a: int
    """Further copies of rows in run A."""
    doubles_b: int
    only_a: tuple[str, ...]
    """Labels of run A without a partner in run B."""
    only_b: tuple[str, ...]
    notes: tuple[str, ...]
    """What makes the two less comparable, in words."""
    same_graders: bool

    @property
    def family(self) -> str:
        """The comparisons that were made together, in words."""
        count = len([line for line in self.lines if line.comparison is not None])
        return f"{count:,} contestant{'' if count == 1 else 's'} of both runs"


def find_run(session: Session, given: str, *, state: str | None = None) -> RunRecord:
    """A run by id, or else the newest by name. Raises NotFound.

    state: among runs of that name, only those in this state; an id is taken in any.
    """
    with session.store.read() as connection:
        row = runs.newest_named(connection, given, state=state)
    return get_run(session, row.id if row is not None else given)


@dataclass(frozen=True)
class _Side:
    """A run by the keys of its rows."""

    session: Session
    run: RunRecord
    names: dict[int, str]
    """Row -> the key that its copies share."""
    scores: Mapping[Place, dict[int, float | None]]
    look: Look

    @cached_property
    def keys(self) -> set[str]:
        """Of all rows."""
        return set(self.names.values())

    @property
    def doubles(self) -> int:
        """Further copies of rows."""
        return len(self.names) - len(self.keys)

    @cached_property
    def _costs(self) -> Mapping[tuple[int, int], Mapping[int, int | None]]:
        with self.session.store.read() as connection:
            return stored.row_costs(connection, self.run.id)

    @cached_property
    def _sums(self) -> Mapping[Place, CellCost]:
        with self.session.store.read() as connection:
            return {place: cost for place, (_, cost) in stored.place_sums(connection, self.run.id).items()}

    def contestant(self, place: Place, label: str, wanted: set[str]) -> ContestantRows:
        """A line by the keys of rows, copies averaged."""
        names, mine = self.names, self.scores[place]
        if self.doubles:
            found: dict[str, list[float | None]] = {}
            for row, score in mine.items():
                found.setdefault(names[row], []).append(score)
            scores = {key: _mean(values) for key, values in found.items() if key in wanted}
        else:
            scores = {names[row]: score for row, score in mine.items()}
            if len(wanted) < len(self.keys):
                scores = {key: score for key, score in scores.items() if key in wanted}
        count, cost = len(scores), self.cost(place, set(scores))
        return ContestantRows(label, label, scores, None if cost is None or not count else cost / count)

    def cost(self, place: Place, wanted: set[str]) -> int | None:
        """What rows cost; None: unknown in part."""
        if len(wanted) == len(self.keys):
            return self._sums.get(place, NOTHING).cost_pico
        costs = [cost for row, cost in self._costs.get(place, {}).items() if self.names.get(row) in wanted]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _side(session: Session, run: RunRecord) -> _Side:
    with session.store.read() as connection:
        keys = row_keys(connection, run.dataset.id, count=run.plan.row_count)
        cells = stored.cell_scores(connection, run.id)
        look = look_of(connection, run.id, run.state)
    return _Side(session, run, shared_names(keys), scores_by_place(run.plan, cells, ended=run.state == "done"), look)


COMPARISONS: Kind[RunComparison] = Kind("comparisons", kept=16)


def compare_runs(
    session: Session,
    first: str,
    second: str,
    *,
    margin: float | None = None,
    only: Collection[tuple[int, int]] | None = None,
) -> RunComparison:
    """Run B (second) against run A (first), each an id or a name.

    margin: points worse, as a share, that still count as good enough; None: run B's. only: places of run B, where not
    all are asked about; the tests are adjusted over these. Raises NotFound, SettingsError.
    """
    runs_of = [find_run(session, given) for given in (first, second)]
    if margin is not None:
        check_margin(margin)
    chosen = runs_of[1].plan.margin if margin is None else margin
    with session.store.read() as connection:
        state = [state_of(connection, runs.get_run(connection, run.id)) for run in runs_of]
    asked = None if only is None else tuple(sorted(only))

    def count(_: RunComparison | None) -> RunComparison:
        a, b = (_side(session, run) for run in runs_of)
        return _compared(a, b, chosen, asked)

    fresh = FRESH if any(run.state in runs.LIVE for run in runs_of) else None
    key = (*(run.id for run in runs_of), chosen, asked)
    return session.memos.of(COMPARISONS).get(key, count, state=state, fresh=fresh)


def _compared(a: _Side, b: _Side, margin: float, only: Collection[tuple[int, int]] | None) -> RunComparison:
    places = matched_places(a.run.plan, b.run.plan)
    asked = [(pa, pb) for pa, pb in places if only is None or pb in only]
    common = a.keys & b.keys
    same_graders = _graders(a.run.plan) == _graders(b.run.plan)
    return RunComparison(
        a=a.run,
        b=b.run,
        lines=tuple(_lines(a, b, asked, common, margin)),
        margin=margin,
        rows=len(common),
        rows_only_a=len(a.keys - common),
        rows_only_b=len(b.keys - common),
        doubles_a=a.doubles,
        doubles_b=b.doubles,
        only_a=_labels(a.run.plan, {pa for pa, _ in places}),
        only_b=_labels(b.run.plan, {pb for _, pb in places}),
        notes=tuple(_notes(a.run, b.run, same_graders)),
        same_graders=same_graders,
    )


def _lines(
    a: _Side, b: _Side, places: Sequence[tuple[Place, Place]], common: set[str], margin: float
) -> list[LineComparison]:
    from assay.stats.decision import PairRows, compare  # with NumPy and SciPy, slow to import

    labels = labels_of(b.run.plan)
    pairs = [
        PairRows(b.contestant(pb, f"B {labels[pb]}", common), a.contestant(pa, f"A {labels[pb]}", common))
        for pa, pb in places
    ]
    look = a.look if a.look == "early" or b.look == "planned" else b.look
    found = compare(pairs, margin=margin, look=look)
    lines = []
    for (pa, pb), pair, comparison in zip(places, pairs, found, strict=True):
        asked = set(pair.first.scores) & set(pair.second.scores)
        value = comparison.difference.value if comparison else 0.0
        if comparison and comparison.difference.n < len(asked):
            value = fmean([(pair.first.scores[key] or 0) - (pair.second.scores[key] or 0) for key in asked])
        lines.append(
            LineComparison(
                label=labels[pb],
                key=b.run.plan.contestants[pb.contestant].key,
                place_a=pa,
                place_b=pb,
                rows=len(asked),
                comparison=comparison,
                cost_a_pico=a.cost(pa, asked),
                cost_b_pico=b.cost(pb, asked),
                value_if_failed=value,
            )
        )
    return lines


def _labels(plan: RunPlan, matched: set[Place]) -> tuple[str, ...]:
    return tuple(label for place, label in labels_of(plan).items() if place not in matched)


def _graders(plan: RunPlan) -> list[str]:
    """What grades a plan, names and order left out."""
    return sorted(repr((spec.kind, sorted(spec.params.items()))) for spec in plan.graders)


def _notes(a: RunRecord, b: RunRecord, same_graders: bool) -> list[str]:
    notes = []
    if not same_graders:
        notes.append("The graders differ, so the scores do not measure the same.")
    if a.dataset.name != b.dataset.name:
        notes.append(f"The datasets are {a.dataset.name} and {b.dataset.name}; rows are joined by their key.")
    elif a.dataset.id != b.dataset.id:
        notes.append(f"The dataset went from version {a.dataset.version} to {b.dataset.version}.")
    if a.gateway != b.gateway:
        notes.append(f"Run A asked {a.gateway}, run B {b.gateway}.")
    if a.plan.samples != b.plan.samples:
        notes.append(f"Run A took {a.plan.samples} samples per cell, run B {b.plan.samples}; costs are of all samples.")
    notes += [
        f"Run {name} is not complete: it is {run.state}." for name, run in (("A", a), ("B", b)) if run.state != "done"
    ]
    return notes
