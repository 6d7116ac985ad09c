"""Two runs side by side: contestants matched, rows joined by their key across dataset versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.stats.paired import PairedComparison, compare_paired
from assay.store import results as stored
from assay.store import runs
from assay.store.datasets import row_keys
from assay.store.results import CellRow
from assay.workbench.results.cells import RunRecord, get_run, label_of

if TYPE_CHECKING:
    from assay.workbench.session import Session

T = TypeVar("T")


class Place(NamedTuple):
    """A line of a run's scoreboard: indices of its prompt and its contestant."""

    prompt: int
    contestant: int


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
    paired: PairedComparison | None
    """Scores on the rows that both runs scored; None: there is no such row."""
    score_a: float | None
    """Mean score of run A on those rows."""
    score_b: float | None
    cost_a_pico: int | None
    """Cost of run A on the rows asked in both; None when any cost is unknown."""
    cost_b_pico: int | None

    @property
    def unscored(self) -> int:
        """Rows asked in both runs that lack a score in one of them."""
        return self.rows - (self.paired.n if self.paired else 0)

    @property
    def cost_delta_pico(self) -> int | None:
        """What run B cost more on the same rows; None when a cost is unknown."""
        return None if self.cost_a_pico is None or self.cost_b_pico is None else self.cost_b_pico - self.cost_a_pico

    def is_worse(self, alpha: float) -> bool:
        """Whether run B scores lower by more than noise: p below alpha."""
        return self.paired is not None and self.paired.delta < 0 and self.paired.p < alpha

    def is_better(self, alpha: float) -> bool:
        """Whether run B scores higher by more than noise: p below alpha."""
        return self.paired is not None and self.paired.delta > 0 and self.paired.p < alpha


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Run B against run A."""

    a: RunRecord
    b: RunRecord
    lines: tuple[LineComparison, ...]
    rows: int
    """Rows that both runs planned, by row key."""
    rows_only_a: int
    rows_only_b: int
    only_a: tuple[str, ...]
    """Labels of run A without a partner in run B."""
    only_b: tuple[str, ...]
    notes: tuple[str, ...]
    """What makes the two less comparable, in words."""
    same_graders: bool


def find_run(session: Session, given: str, *, state: str | None = None) -> RunRecord:
    """A run by id, or else the newest by name. Raises NotFound.

    state: among runs of that name, only those in this state; an id is taken in any.
    """
    with session.store.read() as connection:
        row = runs.newest_named(connection, given, state=state)
    return get_run(session, row.id if row is not None else given)


def compare_runs(session: Session, first: str, second: str) -> RunComparison:
    """Run B (second) against run A (first), each an id or a name. Raises NotFound."""
    a, b = find_run(session, first), find_run(session, second)
    with session.store.read() as connection:
        keys_a = row_keys(connection, a.dataset.id, count=a.plan.row_count)
        keys_b = row_keys(connection, b.dataset.id, count=b.plan.row_count)
        cells_a = _by_place(stored.cell_rows(connection, a.id))
        cells_b = _by_place(stored.cell_rows(connection, b.id))
    places = matched_places(a.plan, b.plan)
    common = set(keys_a.values()) & set(keys_b.values())
    same_graders = _graders(a.plan) == _graders(b.plan)
    return RunComparison(
        a,
        b,
        tuple(
            _line(b.plan, pa, pb, _by_key(cells_a[pa], keys_a, common), _by_key(cells_b[pb], keys_b, common))
            for pa, pb in places
        ),
        rows=len(common),
        rows_only_a=len(keys_a) - len(common),
        rows_only_b=len(keys_b) - len(common),
        only_a=_labels(a.plan, {pa for pa, _ in places}),
        only_b=_labels(b.plan, {pb for _, pb in places}),
        notes=tuple(_notes(a, b, same_graders)),
        same_graders=same_graders,
    )


def _line(
    plan: RunPlan, place_a: Place, place_b: Place, a: Mapping[str, list[CellRow]], b: Mapping[str, list[CellRow]]
) -> LineComparison:
    rows = [key for key in a if key in b]
    values_a, values_b = _values(a), _values(b)
    scored = [key for key in values_a if key in values_b]
    return LineComparison(
        label_of(plan, place_b.prompt, place_b.contestant),
        plan.contestants[place_b.contestant].key,
        place_a,
        place_b,
        rows=len(rows),
        paired=compare_paired(values_a, values_b),
        score_a=fmean(values_a[key] for key in scored) if scored else None,
        score_b=fmean(values_b[key] for key in scored) if scored else None,
        cost_a_pico=_cost(a, rows),
        cost_b_pico=_cost(b, rows),
    )


def matched_places(a: RunPlan, b: RunPlan) -> list[tuple[Place, Place]]:
    """The lines of two plans that belong together, in the order of plan B.

    Contestants: the same key, else a label that occurs once on each side. Prompts: the same text, else a name that
    occurs once on each side, else the only one left on each side.
    """
    contestants = _matched(a.contestants, b.contestants, (lambda c: c.key, lambda c: c.name))
    prompts = _matched(a.prompts, b.prompts, (lambda p: p.key, lambda p: p.name or None, lambda _: "the only one left"))
    return [
        (Place(prompts[p], contestants[c]), Place(p, c))
        for p in range(len(b.prompts))
        if p in prompts
        for c in range(len(b.contestants))
        if c in contestants
    ]


M = TypeVar("M", Contestant, Prompt)


def _matched(a: Sequence[M], b: Sequence[M], signs: Sequence[Callable[[M], Hashable]]) -> dict[int, int]:
    """Index in b -> index in a; each sign is tried on what the earlier ones left over, where it is unique."""
    found: dict[int, int] = {}
    for sign in signs:
        left, right = _places(a, sign, set(found.values())), _places(b, sign, set(found))
        found |= {
            places[0]: left[key][0] for key, places in right.items() if len(places) == 1 == len(left.get(key, ()))
        }
    return found


def _places(items: Sequence[M], sign: Callable[[M], Hashable], taken: set[int]) -> dict[Hashable, list[int]]:
    places: dict[Hashable, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if index not in taken and sign(item) is not None:
            places[sign(item)].append(index)
    return places


def _by_place(cells: Sequence[CellRow]) -> dict[Place, list[CellRow]]:
    groups: dict[Place, list[CellRow]] = defaultdict(list)
    for cell in cells:
        groups[Place(cell.prompt, cell.contestant)].append(cell)
    return groups


def _by_key(cells: Sequence[CellRow], keys: Mapping[int, str], wanted: set[str]) -> dict[str, list[CellRow]]:
    groups: dict[str, list[CellRow]] = defaultdict(list)
    for cell in cells:
        if (key := keys.get(cell.row)) in wanted and key is not None:
            groups[key].append(cell)
    return groups


def _values(rows: Mapping[str, list[CellRow]]) -> dict[str, float]:
    """Mean value per row over its samples: rows are the independent units."""
    values = {key: [cell.value for cell in cells if cell.value is not None] for key, cells in rows.items()}
    return {key: fmean(found) for key, found in values.items() if found}


def _cost(rows: Mapping[str, list[CellRow]], wanted: Sequence[str]) -> int | None:
    costs = [cell.cost_pico for key in wanted for cell in rows[key]]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _labels(plan: RunPlan, matched: set[Place]) -> tuple[str, ...]:
    every = (Place(p, c) for p in range(len(plan.prompts)) for c in range(len(plan.contestants)))
    return tuple(label_of(plan, place.prompt, place.contestant) for place in every if place not in matched)


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
