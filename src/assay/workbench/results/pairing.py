"""Two lines of any runs side by side: every row that both were asked, each metric with its interval, what differs.

A line is a contestant with a prompt version. Rows are joined by key, across versions of a dataset; copies of a row are
averaged. Scores and graders are compared as `assay compare` does, all of these metrics as one family.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from assay.domain.plan import RunPlan
from assay.errors import NotFound
from assay.stats.values import Comparison, ContestantRows, Estimate
from assay.store import pair_rows
from assay.store.cell_costs import Place
from assay.store.datasets import row_keys
from assay.store.pair_rows import LineCell
from assay.workbench.results.board import labels_of
from assay.workbench.results.cells import RunRecord
from assay.workbench.results.compare import find_run
from assay.workbench.results.matching import shared_names
from assay.workbench.results.standing import look_of

if TYPE_CHECKING:
    from assay.stats.values import Look
    from assay.workbench.session import Session

Change = Literal["better", "same", "worse", "unscored"]


@dataclass(frozen=True, slots=True)
class Side:
    """One line of a run."""

    run: RunRecord
    place: Place
    label: str
    providers: tuple[tuple[str, int], ...]
    """Who answered, and how often."""


@dataclass(frozen=True, slots=True)
class Half:
    """What one side has of a row; of several samples or copies the mean."""

    cells: tuple[int, ...]
    """Cells of the run, the first one first."""
    score: float | None
    cost_pico: float | None
    ms: float | None
    tokens: float | None
    preview: str


@dataclass(frozen=True, slots=True)
class PairRow:
    """One row of both lines, the baseline first."""

    key: str
    before: Half
    after: Half

    @property
    def change(self) -> Change:
        """What became of its score."""
        if self.before.score is None or self.after.score is None:
            return "unscored"
        gap = self.after.score - self.before.score
        return "same" if abs(gap) < 1e-9 else "better" if gap > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of both lines on the rows that both have it for."""

    name: str
    kind: Literal["score", "usd", "ms", "tokens"]
    before: float | None
    """Mean of scores; median of the others."""
    after: float | None
    comparison: Comparison | None
    """Of scores."""
    ratio: Estimate | None
    """Of the others: the medians' ratio, after to before."""
    better: int
    """Rows on which the compared line is better: higher in score, lower in the others."""
    same: int
    worse: int
    n: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """A line of run B against a line of run A, which is the baseline."""

    a: Side
    b: Side
    metrics: tuple[Metric, ...]
    """The score first."""
    rows: tuple[PairRow, ...]
    """In the order of run B."""
    margin: float
    only_a: int
    """Rows that only run A has."""
    only_b: int
    doubles_a: int
    """Further copies of rows in run A."""
    doubles_b: int
    edited: int
    """Rows in both whose values differ."""
    changes: tuple[tuple[str, str, str], ...]
    """What differs between the lines: its name, before, after."""

    @property
    def score(self) -> Metric:
        """The metric that decides."""
        return self.metrics[0]

    def of(self, change: Change | Literal["all"]) -> tuple[PairRow, ...]:
        """The rows whose score changed so."""
        return tuple(row for row in self.rows if change in ("all", row.change))


def lines_of(run: RunRecord) -> dict[Place, str]:
    """The lines of a run with their names."""
    return labels_of(run.plan)


def pairing(session: Session, first: str, second: str, before: Place, after: Place) -> Pairing:
    """Line `after` of run B (second) against line `before` of run A. Raises NotFound."""
    a, b = _line(session, find_run(session, first), before), _line(session, find_run(session, second), after)
    keys = [key for key in dict.fromkeys(b.names.values()) if key in a.keys]
    rows = tuple(PairRow(key, a.halves.get(key, NOWHERE), b.halves.get(key, NOWHERE)) for key in keys)
    asked = tuple(row for row in rows if row.before.cells and row.after.cells)
    margin = b.side.run.plan.margin
    return Pairing(
        a=a.side,
        b=b.side,
        metrics=_metrics(a, b, asked, margin),
        rows=asked,
        margin=margin,
        only_a=len(a.keys - b.keys),
        only_b=len(b.keys - a.keys),
        doubles_a=len(a.names) - len(a.keys),
        doubles_b=len(b.names) - len(b.keys),
        edited=_edited(session, a, b, keys),
        changes=tuple(_changes(a.side, b.side)),
    )


NOWHERE = Half((), None, None, None, None, "")


@dataclass(frozen=True, slots=True)
class _Line:
    side: Side
    names: Mapping[int, str]
    keys: frozenset[str]
    halves: Mapping[str, Half]
    graders: Mapping[str, Mapping[str, float]]
    """Grader -> key -> mean."""
    look: Look


def _line(session: Session, run: RunRecord, place: Place) -> _Line:
    labels = labels_of(run.plan)
    if place not in labels:
        raise NotFound(f"Run {run.name!r} has no such contestant.", cure="Choose one of its contestants.")
    with session.store.read() as connection:
        names = shared_names(row_keys(connection, run.dataset.id, count=run.plan.row_count))
        cells = pair_rows.line_cells(connection, run.id, *place)
        scores = pair_rows.line_scores(connection, run.id, *place)
        key = run.plan.contestants[place.contestant].key
        providers = tuple(pair_rows.providers_of(connection, run.id, key))
        look = look_of(connection, run.id, run.state)
    return _Line(
        Side(run, place, labels[place], providers),
        names,
        frozenset(names.values()),
        _halves(cells, names),
        _by_grader(scores, names, run.plan),
        look,
    )


def _halves(cells: Sequence[LineCell], names: Mapping[int, str]) -> dict[str, Half]:
    by_key: dict[str, list[LineCell]] = defaultdict(list)
    for cell in cells:
        if cell.row in names:
            by_key[names[cell.row]].append(cell)
    return {key: _half(found) for key, found in by_key.items()}


def _half(cells: Sequence[LineCell]) -> Half:
    values = [cell.value for cell in cells]
    costs = [cell.cost_pico for cell in cells]
    return Half(
        tuple(cell.cell for cell in cells),
        _mean(values),
        None if None in costs else _mean(costs),
        _mean([cell.total_ms for cell in cells]),
        _mean([cell.tokens for cell in cells]),
        cells[0].preview,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _by_grader(
    scores: Iterable[tuple[int, int, float]], names: Mapping[int, str], plan: RunPlan
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, grader, value in scores:
        if row in names and grader < len(plan.graders):
            found[plan.graders[grader].label][names[row]].append(value)
    return {name: {key: fmean(values) for key, values in by_key.items()} for name, by_key in found.items()}


def _metrics(a: _Line, b: _Line, rows: Sequence[PairRow], margin: float) -> tuple[Metric, ...]:
    from assay.stats.decision import PairRows, compare  # with NumPy and SciPy, slow to import

    shared = [spec.label for spec in b.side.run.plan.graders if spec.label in a.graders and spec.label in b.graders]
    named = list(dict.fromkeys(shared)) if len(shared) > 1 else []
    pairs = [PairRows(_scores(b, rows, "after"), _scores(a, rows, "before"))]
    keys = [row.key for row in rows]
    pairs += [PairRows(_given(b, name, keys), _given(a, name, keys)) for name in named]
    look = a.look if a.look == "early" or b.look == "planned" else b.look
    found = compare(pairs, margin=margin, look=look)
    scores = [_score(name, each) for name, each in zip(["Score", *named], found, strict=True)]
    return (
        *scores,
        _ratio("Cost per row", "usd", [(row.before.cost_pico, row.after.cost_pico) for row in rows]),
        _ratio("Latency", "ms", [(row.before.ms, row.after.ms) for row in rows]),
        _ratio("Length of the answer", "tokens", [(row.before.tokens, row.after.tokens) for row in rows]),
    )


def _scores(line: _Line, rows: Sequence[PairRow], half: Literal["before", "after"]) -> ContestantRows:
    halves = {row.key: row.after if half == "after" else row.before for row in rows}
    cost = _mean([each.cost_pico for each in halves.values()])
    return ContestantRows(half, line.side.label, {key: each.score for key, each in halves.items()}, cost)


def _given(line: _Line, grader: str, keys: Iterable[str]) -> ContestantRows:
    """What a grader gave a line, on chosen rows."""
    scores = {key: line.graders[grader].get(key) for key in keys}
    return ContestantRows("", line.side.label, scores, None)


def _score(name: str, found: Comparison | None) -> Metric:
    if found is None:
        return Metric(name, "score", None, None, None, None, 0, 0, 0, 0)
    by = found.difference
    return Metric(name, "score", found.second.value, found.first.value, found, None, by.better, by.ties, by.worse, by.n)


def _ratio(
    name: str, kind: Literal["usd", "ms", "tokens"], given: Iterable[tuple[float | None, float | None]]
) -> Metric:
    from assay.stats.quantiles import quantile
    from assay.stats.ratios import ratio_of_medians  # with NumPy, slow to import

    pairs = [(x, y) for x, y in given if x is not None and y is not None]
    before, after = [x for x, _ in pairs], [y for _, y in pairs]
    better, worse = sum(y < x for x, y in pairs), sum(y > x for x, y in pairs)
    middle = [quantile(sorted(values), 0.5) if values else None for values in (before, after)]
    ratio = ratio_of_medians(after, before) if pairs else None
    return Metric(name, kind, middle[0], middle[1], None, ratio, better, len(pairs) - better - worse, worse, len(pairs))


def _edited(session: Session, a: _Line, b: _Line, keys: Sequence[str]) -> int:
    """Rows of both whose values are not the same."""
    one, other = a.side.run.dataset, b.side.run.dataset
    if one.id == other.id:
        return 0
    with session.store.read() as connection:
        before = pair_rows.values_by_row(connection, one.id)
        after = pair_rows.values_by_row(connection, other.id)
    rows = [_first_rows(line.names) for line in (a, b)]
    shared = [column for column in one.columns if column in other.columns]

    def told(values: Sequence[str], columns: Sequence[str]) -> list[str]:
        by_name = dict(zip(columns, values, strict=False))
        return [by_name.get(column, "") for column in shared]

    return sum(told(before[rows[0][key]], one.columns) != told(after[rows[1][key]], other.columns) for key in keys)


def _first_rows(names: Mapping[int, str]) -> dict[str, int]:
    """Key -> the first of its copies."""
    found: dict[str, int] = {}
    for row, name in sorted(names.items()):
        found.setdefault(name, row)
    return found


def _changes(a: Side, b: Side) -> Iterable[tuple[str, str, str]]:
    """What differs between two lines, and is not a result."""
    one, other = a.run.plan.contestants[a.place.contestant], b.run.plan.contestants[b.place.contestant]
    before, after = a.run.plan.prompts[a.place.prompt], b.run.plan.prompts[b.place.prompt]
    graders = [", ".join(spec.label for spec in side.run.plan.graders) or "none" for side in (a, b)]
    settings = [
        [json.dumps([g.kind, dict(g.params)], sort_keys=True) for g in side.run.plan.graders] for side in (a, b)
    ]
    named = [
        ("Model", one.model_id, other.model_id, one.model_id != other.model_id),
        ("Parameters", _said(one.params), _said(other.params), dict(one.params) != dict(other.params)),
        ("Routing", _said(one.provider), _said(other.provider), dict(one.provider) != dict(other.provider)),
        ("Prompt", _prompt_name(a), _other(_prompt_name(a), _prompt_name(b)), before.key != after.key),
        ("Graders", graders[0], graders[1], settings[0] != settings[1]),
        ("Dataset", _dataset(a), _dataset(b), a.run.dataset.id != b.run.dataset.id),
        ("Samples", str(a.run.plan.samples), str(b.run.plan.samples), a.run.plan.samples != b.run.plan.samples),
        ("Gateway", a.run.gateway, b.run.gateway, a.run.gateway != b.run.gateway),
        ("Answered by", _who(a), _who(b), {n for n, _ in a.providers} != {n for n, _ in b.providers}),
        ("State", a.run.state, b.run.state, {a.run.state, b.run.state} != {"done"}),
    ]
    return [(name, was, now) for name, was, now, differs in named if differs]


def _said(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {json.dumps(value, default=str)}" for name, value in sorted(settings.items())) or "none"


def _prompt_name(side: Side) -> str:
    return side.run.plan.prompt_names[side.place.prompt]


def _other(was: str, now: str) -> str:
    """The name of another thing, which may be the same name."""
    return f"{now}, another text" if was == now else now


def _dataset(side: Side) -> str:
    return f"{side.run.dataset.name} version {side.run.dataset.version}"


def _who(side: Side) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in side.providers[:4]) or "not told"
