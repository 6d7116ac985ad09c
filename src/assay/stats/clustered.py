"""Rows that belong together (a conversation, a customer): means and differences whose error is counted over clusters.

Source: the cluster-robust variance of a mean (Liang & Zeger 1986; Cameron & Miller 2015), t with clusters - 1 degrees
of freedom; one row of each extreme is added, as for rows that stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assay.stats.arrays import Floats, t_cdf, t_quantile

FEW = 10
"""Clusters below which intervals are rough, and the screen says so."""


@dataclass(frozen=True, slots=True)
class PairedClusters:
    """Pairs of scores of rows in clusters."""

    sums: Floats
    """Sum of the differences; a line per pair, a column per cluster."""
    sizes: Floats
    """Rows of each cluster."""
    method: str = "cluster-robust t over the differences plus one of +1 and one of -1, and the test that it inverts"

    def p(self) -> Floats:
        """The two-sided p of no difference."""
        mean, error = self._moments()
        return 2 * t_cdf(-np.abs(mean / error), self._df(mean))

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""
        mean, error = self._moments()
        return t_cdf((delta - mean) / error, self._df(mean))

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha, within -1..1; never of no width."""
        mean, error = self._moments()
        half = t_quantile(1 - alpha / 2, self._df(mean)) * error
        return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)

    def _df(self, like: Floats) -> Floats:
        return np.full_like(like, max(self.sizes.size - 1, 1))

    def _moments(self) -> tuple[Floats, Floats]:
        n, groups = self.sizes.sum() + 2, self.sizes.size + 2
        mean = self.sums.sum(axis=1) / n
        apart = self.sums - mean[:, None] * self.sizes
        squares = (apart * apart).sum(axis=1) + (1 - mean) ** 2 + (1 + mean) ** 2
        return mean, np.sqrt(groups / (groups - 1) * squares) / n
