"""The scores of several contestants as one array: which rows they have in common, and which answers are missing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from assay.stats.arrays import Floats
from assay.stats.values import ContestantRows

Clusters: TypeAlias = Mapping[Any, Hashable]
"""Row, by its number or key -> the value that it shares with others; absent or None: it stands alone."""
Codes: TypeAlias = npt.NDArray[np.int64]
_PLACES = 12
"""Decimals of a score that count: 0.1 + 0.2 and 0.3 tie."""


@dataclass(frozen=True, slots=True)
class Table:
    """Scores of the rows that every contestant was asked; a line per contestant, a column per row."""

    asked: Floats
    """NaN: no score."""
    codes: Codes | None
    """The cluster of each column, from 0; None: every row stands alone."""

    @property
    def common(self) -> Floats:
        """The columns in which everybody has a score."""
        return self.asked[:, self._full()]

    @property
    def common_codes(self) -> Codes | None:
        """The clusters of these columns, numbered anew without gaps."""
        return None if self.codes is None else _renumbered(self.codes[self._full()])

    @property
    def if_failed(self) -> Floats:
        """All columns, with 0 for a missing score."""
        return np.nan_to_num(self.asked, nan=0.0)

    def _full(self) -> npt.NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.asked).any(axis=0))


def table_of(contestants: Sequence[ContestantRows], clusters: Clusters | None = None) -> Table:
    """The rows that all of them were asked, in the order of the first; nobody: no row."""
    if not contestants:
        return Table(np.empty((0, 0)), None)
    keys = [list(c.scores) for c in contestants]
    first = keys[0]
    if all(other == first for other in keys[1:]):
        return Table(np.stack([_rounded(list(c.scores.values())) for c in contestants]), _codes(first, clusters))
    rows = [row for row in first if all(row in c.scores for c in contestants[1:])]
    return Table(np.stack([_rounded([c.scores[row] for row in rows]) for c in contestants]), _codes(rows, clusters))


def _rounded(scores: Sequence[float | None]) -> Floats:
    found: Floats = np.array(scores, dtype=np.float64)  # None becomes NaN
    np.round(found, _PLACES, out=found)
    return found


def _codes(rows: Sequence[Hashable], clusters: Clusters | None) -> Codes | None:
    """A number per row; rows without a cluster stand alone."""
    if clusters is None:
        return None
    known: dict[Hashable, int] = {}
    found = [clusters.get(row) for row in rows]
    return np.array(
        [known.setdefault(("row", n) if c is None else ("cluster", c), len(known)) for n, c in enumerate(found)],
        dtype=np.int64,
    )


def _renumbered(codes: Codes) -> Codes:
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)
