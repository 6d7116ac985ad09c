"""Cheaper contestants beside the one that leads: is one of them good enough?"""

from __future__ import annotations

import numpy as np

from assay.stats.differences import differences, margin_checks
from assay.stats.ranking import Ranked
from assay.stats.values import Candidate, ContestantRows

CHEAPER = 1 / 1.15
"""Share of the leader's cost at which one counts as cheaper."""


def cheaper(ranked: Ranked, margin: float, confidence: float, *, anytime: bool) -> tuple[Candidate, ...]:
    """The contestants that cost clearly less than the first, cheapest first; its cost is unknown or nothing: none."""
    leader, *others = ranked.contestants
    dear = leader.cost_per_row
    if not dear:
        return ()
    at = [n for n, c in enumerate(others, start=1) if c.cost_per_row is not None and c.cost_per_row <= dear * CHEAPER]
    if not at:
        return ()
    at.sort(key=lambda n: (ranked.contestants[n].cost_per_row, n))
    block = ranked.block(np.array(at), np.zeros(len(at), dtype=np.int64), anytime=anytime)
    costs = [ranked.contestants[n].cost_per_row for n in at]
    checks = margin_checks([block], margin, confidence=confidence, costs=[_both(dear, cost) for cost in costs])
    means = ranked.scores.mean(axis=1)
    return tuple(
        Candidate(
            key=ranked.contestants[n].key,
            leader=leader.key,
            difference=difference,
            check=check,
            cost_share=(ranked.contestants[n].cost_per_row or 0.0) / dear,
            frontier=_is_on_frontier(n, ranked.contestants, means.tolist()),
        )
        for n, difference, check in zip(at, differences([block], confidence=confidence), checks, strict=True)
    )


def _both(dear: float, cost: float | None) -> float | None:
    return None if cost is None else dear + cost


def _is_on_frontier(at: int, contestants: list[ContestantRows], means: list[float]) -> bool:
    """Whether nobody costs at most as much and scores higher, or costs less and scores as high."""
    cost, score = contestants[at].cost_per_row, means[at]
    assert cost is not None  # noqa: S101 - candidates have a cost
    return not any(
        (other.cost_per_row <= cost and theirs > score) or (other.cost_per_row < cost and theirs >= score)
        for other, theirs in zip(contestants, means, strict=True)
        if other.cost_per_row is not None
    )
