"""Quality against cost: which contestants nobody dominates, and which one to take for what a point is worth.

All of it goes by the scores and costs as they were measured; whether a difference is real the verdict says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from assay.exports.scoreboard import ContestantScore

THOUSAND = 1_000
POINTS = 100


class Offer(NamedTuple):
    """A contestant as it is bought."""

    line: ContestantScore
    points: float
    """Score, 0 to 100."""
    price: float
    """Cost of 1,000 rows in USD, or another number of which less is better."""


def offers(board: Sequence[ContestantScore], price: Callable[[ContestantScore], float | None]) -> list[Offer]:
    """The lines that have a score and a price."""
    found = []
    for line in board:
        amount = price(line)
        if line.score is not None and amount is not None:
            found.append(Offer(line, POINTS * line.score.value, amount))
    return found


def usd_per_thousand(line: ContestantScore) -> float | None:
    """Cost of its own calls for 1,000 rows that have a score, in USD; None: unknown."""
    return None if line.cost_per_row is None else THOUSAND * line.cost_per_row / 1e12


def frontier(found: Sequence[Offer]) -> list[Offer]:
    """The offers that no other one beats in points at the same price or less, the cheapest first."""
    best: list[Offer] = []
    for offer in sorted(found, key=lambda one: (one.price, -one.points)):
        if not best or offer.points > best[-1].points:
            best.append(offer)
    return best


def recommended(found: Sequence[Offer], value: float) -> Offer | None:
    """The offer that is worth most, when a point of score on 1,000 rows is worth so many USD; none: None."""
    return max(frontier(found), key=lambda one: one.points * value - one.price, default=None)


def turning_points(found: Sequence[Offer]) -> list[float]:
    """The values of a point at which another offer is recommended, ascending."""
    line = frontier(found)
    values: list[float] = []
    at = 0
    while at + 1 < len(line):
        here = line[at]
        rates = [(one.price - here.price) / (one.points - here.points) for one in line[at + 1 :]]
        values.append(min(rates))
        at += 1 + len(rates) - 1 - rates[::-1].index(min(rates))
    return values
