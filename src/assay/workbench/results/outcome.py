"""An estimate judged afterwards: what a run and all that was added to it were to cost and take, and what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.money import format_usd, format_usd_up, from_pico
from assay.store.spend import spend_by_contestant
from assay.workbench.results.cells import get_run
from assay.workbench.running.growth import history
from assay.workbench.running.runs import progress

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class EstimateOutcome:
    """What was estimated and what came; money in pico-dollars, None where a price is unknown."""

    low: int | None
    expected: int | None
    high: int | None
    limit: int | None
    """The budget; None: nothing limits the run."""
    expected_s: float
    spent: int
    """Known costs, however they are known."""
    billed: int
    """Those that the gateway itself told: with the answer, or later."""
    unknown_calls: int
    unknown_bound: int
    taken_s: float
    """Time at work, pauses left out."""
    complete: bool
    """Whether every cell was asked: only then can the estimate be wrong."""

    @property
    def cost_error(self) -> float | None:
        """What was spent above what was expected, as a share of it; None while that cannot be said."""
        if not self.complete or self.unknown_calls or not self.expected:
            return None
        return self.spent / self.expected - 1

    @property
    def cost_words(self) -> str:
        """Estimate and cost in one line; billed is said only where all of it was."""
        said = "estimated: price unknown"
        if self.expected is not None:
            never = "" if self.limit is None else f", never above {format_usd_up(self.limit)}"
            high = self.high if self.limit is None or self.high is None else min(self.high, self.limit)
            said = f"estimated {format_usd(self.expected)} ({_range(self.low, high)}{never})"
        word = "billed" if self.billed == self.spent else "cost"
        spent = f"{word} {format_usd(self.spent)}" + ("" if self.complete else " so far")
        if self.unknown_calls:
            calls = "call" if self.unknown_calls == 1 else "calls"
            bound = format_usd(self.unknown_bound)
            spent += f" and {self.unknown_calls:,} {calls} of unknown cost (at most {bound} more)"
        error = self.cost_error
        return f"{said}, {spent}" + ("" if error is None else f" ({_percent(error)})")

    @property
    def time_words(self) -> str:
        """Expected and taken time in one line."""
        return f"about {_duration(self.expected_s)} expected, {_duration(self.taken_s)} taken" + (
            "" if self.complete else " so far"
        )

    @property
    def words(self) -> str:
        """Both as one sentence."""
        said = f"{self.cost_words}; {self.time_words}."
        return said[0].upper() + said[1:]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON, money in US dollars."""
        amounts = {
            "low_usd": self.low,
            "expected_usd": self.expected,
            "high_usd": self.high,
            "never_above_usd": self.limit,
            "cost_usd": self.spent,
            "billed_usd": self.billed,
        }
        return {name: None if pico is None else from_pico(pico) for name, pico in amounts.items()} | {
            "unknown_calls": self.unknown_calls,
            "cost_error": self.cost_error,
            "expected_s": self.expected_s,
            "taken_s": self.taken_s,
            "complete": self.complete,
        }


def _range(low: int | None, high: int | None) -> str:
    return f"{format_usd(low)} to {format_usd(high)}"


def _percent(share: float) -> str:
    whole = round(share * 100)
    return f"{whole:+d} %" if whole else "0 %"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate_outcome(session: Session, run_id: str) -> EstimateOutcome | None:
    """How a run's estimate did; None for a run that was started without one. Raises NotFound."""
    run = get_run(session, run_id)
    if not run.estimate.get("cost"):
        return None
    state = progress(session, run.id)
    parts = [run.estimate, *(change.estimate for change in history(session, run.id))]
    return EstimateOutcome(
        low=_sum(parts, "low"),
        expected=_sum(parts, "expected"),
        high=_sum(parts, "high"),
        limit=state.budget_pico,
        expected_s=sum(float(part.get("seconds") or 0) for part in parts),
        spent=state.spent_pico,
        billed=_billed(session, run.id),
        unknown_calls=state.unknown_calls,
        unknown_bound=state.unknown_bound_pico,
        taken_s=state.seconds,
        complete=state.state == "done" and not state.waiting,
    )


def _billed(session: Session, run_id: str) -> int:
    """What the gateway charged by its own word, upstream amounts left out."""
    with session.store.read() as connection:
        sums = spend_by_contestant(connection, run_id)
    return sum(
        x.sum.known_pico - x.sum.upstream_pico for x in sums if x.provenance in ("billed", "upstream", "recovered")
    )


def _sum(parts: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The sum of an amount over all estimates; None as soon as one is unknown."""
    found: list[int | None] = [(part.get("cost") or {}).get(name) for part in parts]
    known = [amount for amount in found if amount is not None]
    return sum(known) if len(known) == len(found) else None
