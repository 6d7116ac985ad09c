"""Which ranks are possible: one better than its best rank, or worse than its worst, is ruled out by the comparisons.

Source: Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies: confidence sets for ranks from adjusted
pairwise comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class RankRange(NamedTuple):
    """Best and worst possible rank, from 1."""

    low: int
    high: int


def rank_ranges(keys: Sequence[str], beaten: Iterable[tuple[str, str]]) -> dict[str, RankRange]:
    """The ranks that are possible for each contestant. beaten: (winner, loser) of each difference that is real."""
    above, below = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    for winner, loser in beaten:
        above[loser] += 1
        below[winner] += 1
    return {key: RankRange(1 + above[key], len(keys) - below[key]) for key in keys}
