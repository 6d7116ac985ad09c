"""The contestants that are compared, in the order of their means on the rows that all of them have scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.stats.arrays import Floats, Places
from assay.stats.differences import Block
from assay.stats.pairs import every_pair, pairs_of
from assay.stats.table import Clusters, Codes, Table, table_of
from assay.stats.values import ContestantRows

COVERED = 0.95
"""Share of its rows that a contestant must have a score for to be compared."""


class Ranked(NamedTuple):
    """The compared contestants, best first, and their scores in that order."""

    contestants: list[ContestantRows]
    table: Table
    scores: Floats
    """On the common rows."""
    codes: Codes | None
    """The clusters of these."""

    @property
    def n(self) -> int:
        """Common rows."""
        return self.scores.shape[1] if self.contestants else 0

    @property
    def keys(self) -> list[str]:
        """Of the contestants."""
        return [c.key for c in self.contestants]

    def block(self, first: Places, second: Places, *, anytime: bool) -> Block:
        """Pairs of them, on the common rows and, with 0 for missing scores, on all."""
        names = [(self.contestants[i].key, self.contestants[j].key) for i, j in zip(first, second, strict=True)]
        pairs = failed = pairs_of(self.scores, first, second, self.codes, anytime=anytime)
        if self.n < self.table.asked.shape[1]:
            failed = pairs_of(self.table.if_failed, first, second, self.table.codes, anytime=anytime)
        return Block(names, pairs, failed)

    def every_pair(self, *, anytime: bool) -> Block:
        """All pairs, the better ranked first."""
        return self.block(*every_pair(len(self.contestants)), anytime=anytime)


def coverage(contestant: ContestantRows) -> float:
    """Share of the rows it was asked that it has a score for; asked nothing: 0."""
    scores = list(contestant.scores.values())
    return (len(scores) - scores.count(None)) / len(scores) if scores else 0.0


def in_order(table: Table, contestants: Sequence[ContestantRows]) -> Ranked:
    """The lines of a table as they are."""
    return Ranked(list(contestants), table, table.common, table.common_codes)


def ranked(compared: Sequence[ContestantRows], clusters: Clusters | None) -> Ranked:
    """Best mean on the common rows first; of equals the cheapest."""
    table = table_of(compared, clusters)
    scores = table.common
    means = scores.mean(axis=1) if scores.size else np.zeros(len(compared))

    def place(at: int) -> tuple[float, float, str]:
        cost = compared[at].cost_per_row
        return -float(means[at]), float("inf") if cost is None else cost, compared[at].label

    order = sorted(range(len(compared)), key=place)
    return in_order(Table(table.asked[order], table.codes), [compared[at] for at in order])
