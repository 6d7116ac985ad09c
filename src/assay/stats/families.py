"""P values of a family of comparisons, adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Adjusted(NamedTuple):
    """A p value after adjustment."""

    p: float
    times: float
    """How many times the plain one, not capped at 1: the interval at confidence 1 - 0.05 / times agrees with it."""


def holm(chances: Sequence[float]) -> list[Adjusted]:
    """The p values after Holm's step-down adjustment, in the order given: for claims. Source: Holm 1979."""
    found = [Adjusted(1.0, 1.0)] * len(chances)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        p, left = chances[place], len(chances) - rank
        highest = max(highest, p * left)
        found[place] = Adjusted(min(1.0, highest), highest / p if p > 0 else float(left))
    return found


def benjamini_hochberg(chances: Sequence[float]) -> list[float]:
    """The p values adjusted for the share of false finds, in the order given: to explore, never for claims.

    Source: Benjamini & Hochberg 1995.
    """
    found = [1.0] * len(chances)
    lowest = 1.0
    order = sorted(range(len(chances)), key=chances.__getitem__)
    for rank, place in reversed(list(enumerate(order, start=1))):
        lowest = min(lowest, chances[place] * len(chances) / rank)
        found[place] = lowest
    return found
