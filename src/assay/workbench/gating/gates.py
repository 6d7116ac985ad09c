"""Gates: conditions that a finished run meets or not, each with what was measured and the bound.

find_baselines   the earlier runs that gates compare with, before the run starts
frozen           gates and baselines as the run's plan keeps them
check_run        the verdicts on a run by the gates that it keeps
check_gates      the verdicts by gates that are given
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from assay.errors import DataError, NotFound
from assay.exports.scoreboard import ContestantScore, numbers_of
from assay.money import format_usd, from_pico
from assay.stats.sentences import check_words
from assay.stats.values import Difference
from assay.workbench.gating.suites import AtLeast, AtMost, CostAtMost, Gate, NotWorseThan
from assay.workbench.results.board import COVERED
from assay.workbench.results.cells import RunRecord, get_run
from assay.workbench.results.compare import LineComparison, RunComparison, compare_runs, find_run
from assay.workbench.results.standing import scoreboard
from assay.workbench.running.runs import progress

if TYPE_CHECKING:
    from assay.workbench.session import Session


Outcome = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One condition on one contestant, or on the whole run."""

    gate: str
    """The gate's key in the suite file."""
    contestant: str | None
    """Label; None: the whole run."""
    passed: bool
    """Whether the run may go on: one that is undecided passes only where the suite says so."""
    measured: float | None
    """None: it could not be measured."""
    bound: float | None
    words: str
    """What was measured and the bound, in words."""
    undecided: bool = False
    """Whether more rows are needed to tell."""

    @property
    def outcome(self) -> Outcome:
        """What came of it."""
        return "undecided" if self.undecided else "pass" if self.passed else "fail"

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**asdict(self), "outcome": self.outcome}


def find_baselines(session: Session, gates: Sequence[Gate]) -> dict[str, RunRecord | None]:
    """The earlier runs that gates compare with, by the name given; look them up before the new run starts.

    None: there is none, and the gate passes without it. Raises NotFound, or DataError for a run of another gateway.
    """
    found: dict[str, RunRecord | None] = {}
    for condition in (gate.not_worse_than for gate in gates):
        if condition is None:
            continue
        try:
            baseline = find_run(session, condition.run, state="done")
        except NotFound as error:
            if condition.missing == "refuse":
                cure = "Run it first, or write missing: pass in the gate."
                raise NotFound(f"There is no baseline run {condition.run!r} that is done.", cure=cure) from error
            found[condition.run] = None
            continue
        if baseline.gateway != session.gateway.name:
            raise DataError(
                f"The baseline run {condition.run!r} asked {baseline.gateway}, this is {session.gateway.name}."
            )
        found[condition.run] = baseline
    return found


def frozen(
    gates: Sequence[Gate], baselines: Mapping[str, RunRecord | None], *, margin: float | None = None
) -> dict[str, Any]:
    """Gates and their baselines as a plan keeps them; none: empty.

    margin: of the suite, for comparisons that have neither a margin nor an alpha of their own; None: it has none.
    """
    if not gates:
        return {}
    return {
        "conditions": [{gate.kind: _with_margin(gate, margin).model_dump(mode="json")} for gate in gates],
        "baselines": {name: None if run is None else run.id for name, run in baselines.items()},
    }


def _with_margin(gate: Gate, margin: float | None) -> AtLeast | AtMost | CostAtMost | NotWorseThan:
    found = gate.condition
    if isinstance(found, NotWorseThan) and found.margin is None and found.alpha is None:
        return found.model_copy(update={"margin": margin})
    return found


def check_run(session: Session, run_id: str) -> tuple[GateResult, ...] | None:
    """Every gate that a run keeps, against the baselines found at its start; None: it keeps none.

    A baseline that is not here any more (the run came with an archive) leaves its gate unmet, and the words say so.
    """
    kept = get_run(session, run_id).plan.gates
    if not kept:
        return None
    baselines: dict[str, RunRecord | None] = {}
    gone = set()
    for name, found in kept["baselines"].items():
        try:
            baselines[name] = None if found is None else get_run(session, found)
        except NotFound:
            gone.add(name)
    return check_gates(
        session, run_id, [Gate.model_validate(gate) for gate in kept["conditions"]], baselines, gone=gone
    )


def check_gates(
    session: Session,
    run_id: str,
    gates: Sequence[Gate],
    baselines: Mapping[str, RunRecord | None],
    *,
    gone: Collection[str] = (),
) -> tuple[GateResult, ...]:
    """Every gate on a run, in the order of the suite; a bound on each contestant gives a result for each.

    baselines: as `find_baselines` found them. gone: names of those that were found then and are not here now.
    """
    run = get_run(session, run_id)
    board = scoreboard(session, run.id)
    results: list[GateResult] = []
    for gate in gates:
        condition = gate.condition
        lines = [line for line in board if _is_meant(run, line, condition.contestant)]
        if not lines:
            words = f"there is no contestant {condition.contestant!r} in this run, so nothing is measured"
            results.append(GateResult(gate.kind, condition.contestant, False, None, None, words))
            continue
        match condition:
            case NotWorseThan() if condition.run in gone:
                words = f"the baseline run {condition.run!r} is not in this workbench, so nothing is compared"
                results.append(GateResult(gate.kind, None, False, None, _bound(condition), words))
            case NotWorseThan():
                baseline = baselines.get(condition.run)
                wanted = [(line.prompt, line.contestant) for line in lines]
                found = (
                    compare_runs(session, baseline.id, run.id, margin=condition.margin, only=wanted)
                    if baseline
                    else None
                )
                results += _not_worse(condition, found)
            case CostAtMost() if condition.contestant is None:
                results.append(_run_cost(session, run.id, condition))
            case CostAtMost():
                results += (_cost(line, condition) for line in lines)
            case AtMost() | AtLeast():
                results += (bounded(gate.kind, line, condition) for line in lines)
    return tuple(results)


def _is_meant(run: RunRecord, line: ContestantScore, wanted: str | None) -> bool:
    contestant = run.plan.contestants[line.contestant]
    exact = wanted in run.plan.names
    named = run.plan.names[line.contestant] == wanted if exact else wanted in (contestant.name, contestant.model_id)
    return wanted is None or named


def _measure(kind: str, line: ContestantScore) -> float | None:
    match kind:
        case "failed":
            return line.cells - line.answered
    found = numbers_of(line)[kind]
    return None if found is None else float(found)


_TITLES = {
    "score": "score",
    "pass_rate": "pass rate",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "failed": "cells without an answer",
}


MOST_PLACES = 12
_PLACES = {"score": 4, "pass_rate": 4, "cost_usd": MOST_PLACES}
"""Decimals of a measure that are printed and compared, an amount of money exactly; the others: none."""


def as_printed(kind: str, measured: float | Decimal, bound: float | Decimal) -> Decimal:
    """A measure as it is printed and compared: rounded, never more coarsely than its bound is written."""
    exact, written = Decimal(str(measured)), Decimal(str(bound)).normalize()
    return round(exact, min(max(_PLACES.get(kind, 0), -int(written.as_tuple().exponent)), MOST_PLACES))


def _shown(kind: str, value: float | Decimal) -> str:
    number = Decimal(str(value)).normalize()
    places = max(0, -int(number.as_tuple().exponent))
    if kind == "cost_usd":
        return f"${number:,.{max(places, 2) if number else 0}f}"
    return f"{number:,.{places}f}{' ms' if kind.endswith('_ms') else ''}"


def bounded(kind: str, line: ContestantScore, condition: AtLeast | AtMost) -> GateResult:
    """Whether a line of the scoreboard meets a bound; what was not measured does not.

    A score that has lost many of its rows must also meet it where those count as failures.
    """
    measured = _measure(kind, line)
    lower = isinstance(condition, AtLeast)
    bound = condition.min if isinstance(condition, AtLeast) else condition.max
    limit = f"{'at least' if lower else 'at most'} {_shown(kind, bound)}"
    if measured is None:
        return GateResult(kind, line.label, False, None, bound, f"{_TITLES[kind]} was not measured, {limit}")
    rounded = as_printed(kind, measured, bound)
    passed = rounded >= Decimal(str(bound)) if lower else rounded <= Decimal(str(bound))
    scored = f" on {line.coverage:.0%} of the cells" if kind in ("score", "pass_rate") and line.coverage < 1 else ""
    if passed and lower and line.coverage < COVERED:
        if_failed = as_printed(kind, measured * line.coverage, bound)
        passed = if_failed >= Decimal(str(bound))
        scored += f", {_shown(kind, if_failed)} where those without a score count as failures"
    words = f"{_TITLES[kind]} {_shown(kind, rounded)}{scored}, {limit}"
    return GateResult(kind, line.label, passed, float(rounded), bound, words)


def _run_cost(session: Session, run_id: str, condition: CostAtMost) -> GateResult:
    spent = progress(session, run_id)
    most = spent.spent_pico + spent.unknown_bound_pico
    rounded, known = (_dollars(pico, condition) for pico in (most, spent.spent_pico))
    shown = _shown("cost_usd", known)
    if spent.unknown_calls:
        more = _shown("cost_usd", rounded)
        shown = f"{shown} known, {more} at most with {spent.unknown_calls} calls of unknown cost"
    words = f"cost {shown}, at most {_shown('cost_usd', condition.max)}"
    return GateResult("cost_usd", None, rounded <= condition.max, float(rounded), float(condition.max), words)


def _cost(line: ContestantScore, condition: CostAtMost) -> GateResult:
    limit = f"at most {_shown('cost_usd', condition.max)}"
    if line.cost_pico is None:
        words = f"cost is unknown for {line.unknown_cells} cells, {limit}"
        return GateResult("cost_usd", line.label, False, None, float(condition.max), words)
    rounded = _dollars(line.cost_pico, condition)
    words = f"cost {_shown('cost_usd', rounded)}, {limit}"
    return GateResult("cost_usd", line.label, rounded <= condition.max, float(rounded), float(condition.max), words)


def _dollars(pico: int, condition: CostAtMost) -> Decimal:
    return as_printed("cost_usd", from_pico(pico), condition.max)


def _not_worse(condition: NotWorseThan, found: RunComparison | None) -> Iterator[GateResult]:
    if found is None:
        words = f"there is no run {condition.run!r} yet, so nothing is compared"
        yield GateResult("not_worse_than", None, True, None, _bound(condition), words)
        return
    if not found.same_graders:
        words = f"the graders differ from those of {found.a.name!r}, so the scores cannot be compared"
        yield GateResult("not_worse_than", None, False, None, _bound(condition), words)
        return
    if not found.lines:
        words = f"{found.a.name!r} has no contestant in common with this run"
        yield GateResult("not_worse_than", None, False, None, _bound(condition), words)
    for line in found.lines:
        yield _against(condition, found, line)


def _against(condition: NotWorseThan, found: RunComparison, line: LineComparison) -> GateResult:
    if line.comparison is None:
        words = f"no scored row is in common with {found.a.name!r}"
        return GateResult("not_worse_than", line.label, False, None, _bound(condition), words)
    about = f"score {line.score_b:.3f} against {line.score_a:.3f} of {found.a.name!r}"
    left_out = f"; {line.unscored:,} rows without a score in one of them are left out" if line.unscored else ""
    if condition.margin is None:
        return _no_drop(condition, line, line.comparison.difference, about, left_out)
    side = line.comparison.check.side
    words = check_words(line.comparison, lambda pico: format_usd(round(pico))).removesuffix(".")
    allowed = "; the suite lets that pass" if side == "open" and condition.undecided == "pass" else ""
    passed = side == "not_worse" or bool(allowed)
    measured = line.comparison.difference.value
    return GateResult(
        "not_worse_than",
        line.label,
        passed,
        measured,
        _bound(condition),
        f"{about}: {words}{left_out}{allowed}",
        side == "open",
    )


def _no_drop(condition: NotWorseThan, line: LineComparison, found: Difference, about: str, left_out: str) -> GateResult:
    """The earlier meaning, of a gate without a margin: it fails where a drop is shown, and passes on few rows."""
    alpha = condition.level
    counts = f"on {found.n} rows ({found.better} better, {found.worse} worse)"
    worse = line.is_worse(alpha)
    p = f"p = {found.p_adjusted:.3f}, {'below' if found.p_adjusted < alpha else 'not below'} {alpha:g}"
    if worse and not (found.value < 0 and found.p_adjusted < alpha):
        lost = "every row is worse" if found.worse == found.n else "a drop once missing scores count as failures"
        p = f"{p}, but {lost}"
    words = f"{about} {counts}, {p}{left_out}; without a margin this says only whether a drop is shown"
    return GateResult("not_worse_than", line.label, not worse, found.p_adjusted, alpha, words)


def _bound(condition: NotWorseThan) -> float:
    return condition.level if condition.margin is None else -condition.margin
