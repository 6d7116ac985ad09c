"""Rows that belong together (a conversation, a customer): means and differences whose error is counted over clusters.

Source: the jackknife over clusters (CR3; Bell & McCaffrey 2002, Cameron & Miller 2015), Student's t with clusters - 1
degrees of freedom. As for rows that stand alone two extremes are added for what was not seen, each a quarter of a
cluster: with one row each the intervals of a rate difference of 5 points held 81 % at 12 clusters of 2 to 40 rows and a
correlation of 0.2 within, with a quarter 98 % (`bench/coverage.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay.stats.arrays import Floats, t_cdf, t_quantile

FEW = 10
"""Clusters below which intervals are rough, and the screen says so."""
_ADDED = 0.25
"""Rows of each added extreme, as a share of the mean cluster; one row at least."""


class Moments(NamedTuple):
    """Means with their standard errors, and the degrees of freedom."""

    mean: Floats
    error: Floats
    df: Floats


def clustered_moments(sums: Floats, sizes: Floats, extremes: tuple[float, float]) -> Moments:
    """The mean of each line of sums over clusters, with the two extremes of a row added.

    sums: a line per quantity, a column per cluster; sizes: rows of each cluster.
    """
    rows = max(1.0, _ADDED * float(sizes.mean()))
    more = np.broadcast_to(np.array(extremes) * rows, (sums.shape[0], 2))
    sums, sizes = np.concatenate((sums, more), axis=1), np.concatenate((sizes, (rows, rows)))
    n, groups = float(sizes.sum()), sizes.size
    mean = sums.sum(axis=1) / n
    without = (sums - mean[:, None] * sizes) / (n - sizes)
    variance = (groups - 1) / groups * (without * without).sum(axis=1)
    return Moments(mean, np.sqrt(variance), np.full_like(mean, max(groups - 3, 1)))


@dataclass(frozen=True, slots=True)
class PairedClusters:
    """Pairs of scores of rows in clusters."""

    sums: Floats
    """Sum of the differences; a line per pair, a column per cluster."""
    sizes: Floats
    """Rows of each cluster."""
    method: str = "cluster-robust t over the differences with +1 and -1 added, and the test that it inverts"

    def p(self) -> Floats:
        """The two-sided p of no difference."""
        found = self._moments()
        return 2 * t_cdf(-np.abs(found.mean / found.error), found.df)

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""
        found = self._moments()
        return t_cdf((delta - found.mean) / found.error, found.df)

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha, within -1..1; never of no width."""
        found = self._moments()
        half = t_quantile(1 - alpha / 2, found.df) * found.error
        return np.maximum(found.mean - half, -1.0), np.minimum(found.mean + half, 1.0)

    def _moments(self) -> Moments:
        return clustered_moments(self.sums, self.sizes, (1.0, -1.0))
