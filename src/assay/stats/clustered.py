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

from assay.stats.arrays import Floats, Places, t_cdf, t_quantile

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

    moments: Moments
    """Of the differences; a number per pair."""
    method: str = "cluster-robust t over the differences with +1 and -1 added, and the test that it inverts"

    @classmethod
    def of(cls, sums: Floats, sizes: Floats, first: Places, second: Places) -> PairedClusters:
        """Pairs of lines of sums over clusters, by their products: no array of pairs by clusters is made."""
        rows = max(1.0, _ADDED * float(sizes.mean()))
        n, groups = float(sizes.sum()) + 2 * rows, sizes.size + 2
        totals = sums.sum(axis=1)
        mean = (totals[first] - totals[second]) / n
        weights = 1 / (n - sizes) ** 2
        products = np.einsum("ic,jc,c->ij", sums, sums, weights, optimize=False)
        own, with_sizes = np.diag(products), (sums * sizes * weights).sum(axis=1)
        squares = own[first] + own[second] - 2 * products[first, second]
        squares += mean * mean * float((sizes * sizes * weights).sum())
        squares -= 2 * mean * (with_sizes[first] - with_sizes[second])
        added = (rows / (n - rows)) ** 2 * ((1 - mean) ** 2 + (1 + mean) ** 2)
        variance = (groups - 1) / groups * (np.maximum(squares, 0.0) + added)
        return cls(Moments(mean, np.sqrt(variance), np.full_like(mean, max(groups - 3, 1))))

    def p(self) -> Floats:
        """The two-sided p of no difference."""
        return 2 * t_cdf(-np.abs(self.moments.mean / self.moments.error), self.moments.df)

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""
        return t_cdf((delta - self.moments.mean) / self.moments.error, self.moments.df)

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha, within -1..1; never of no width."""
        half = t_quantile(1 - alpha / 2, self.moments.df) * self.moments.error
        return np.maximum(self.moments.mean - half, -1.0), np.minimum(self.moments.mean + half, 1.0)
