"""Cheaper contestants beside one that leads: is one of them good enough?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from assay.stats.differences import margin_checks
from assay.stats.ranking import Ranked
from assay.stats.values import Candidate, ContestantRows, Difference

CHEAPER = 1 / 1.15
"""Share of the leader's cost at which one counts as cheaper."""


def cheaper(
    ranked: Ranked,
    leaders: Collection[str],
    found: Sequence[Difference],
    margin: float,
    confidence: float,
    *,
    anytime: bool,
) -> tuple[Candidate, ...]:
    """The contestants that cost clearly less than the first leader of whom there are such, cheapest first.

    Where a cheap one scores highest and is not shown to be best, it is itself set beside the dearer leader.
    found: the differences of the family.
    """
    lines = ranked.contestants
    cheap = {n: _cheaper_than(line, lines) for n, line in enumerate(lines) if line.key in leaders}
    leader = next((n for n, places in cheap.items() if places), None)
    if leader is None:
        return ()
    at = sorted(cheap[leader], key=lambda n: (lines[n].cost_per_row, n))
    block = ranked.block(np.array(at), np.full(len(at), leader), anytime=anytime)
    costs = [_sum(lines[n], lines[leader]) for n in at]
    checks = margin_checks([block], margin, confidence=confidence, costs=costs)
    mine = [d for d in found if lines[leader].key in (d.first, d.second)]
    known = {d.first: d for d in (d if d.second == lines[leader].key else d.swapped() for d in mine)}
    means = ranked.scores.mean(axis=1).tolist()
    return tuple(
        Candidate(
            key=lines[n].key,
            leader=lines[leader].key,
            difference=known[lines[n].key],
            check=check,
            cost_share=(lines[n].cost_per_row or 0.0) / (lines[leader].cost_per_row or 1.0),
            frontier=_is_on_frontier(n, lines, means),
        )
        for n, check in zip(at, checks, strict=True)
    )


def _cheaper_than(dear: ContestantRows, lines: list[ContestantRows]) -> list[int]:
    """Places of those that cost clearly less; none where its cost is unknown or nothing."""
    most = (dear.cost_per_row or 0.0) * CHEAPER
    return [n for n, one in enumerate(lines) if most > 0 and one.cost_per_row is not None and one.cost_per_row <= most]


def _sum(one: ContestantRows, other: ContestantRows) -> float:
    return (one.cost_per_row or 0.0) + (other.cost_per_row or 0.0)


def _is_on_frontier(at: int, lines: list[ContestantRows], means: list[float]) -> bool:
    """Whether nobody costs at most as much and scores higher, or costs less and scores as high."""
    cost, score = lines[at].cost_per_row or 0.0, means[at]
    return not any(
        (other.cost_per_row <= cost and theirs > score) or (other.cost_per_row < cost and theirs >= score)
        for other, theirs in zip(lines, means, strict=True)
        if other.cost_per_row is not None
    )
