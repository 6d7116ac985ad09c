"""The rate of a 0/1 score with Wilson's interval; of rows in clusters, with the rows that they are worth.

Source: Wilson 1927; for clusters the effective number of rows of Korn & Graubard 1998, with the quantile of Student's t
for clusters - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from assay.stats.arrays import Floats, normal_quantile, t_quantile
from assay.stats.values import CONFIDENCE, Estimate

METHOD = "Wilson's score interval (1927)"
CLUSTERED = "Wilson's score interval with the effective number of rows, t with clusters - 1"


def rate(passed: int, n: int, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The rate of n rows that stand alone; no rows: None, never 0."""
    if n == 0:
        return None
    z = float(normal_quantile(np.array((1 + confidence) / 2)))
    low, high = _wilson(passed / n, n, z)
    return Estimate(passed / n, low, high, n, METHOD)


def rate_in_clusters(
    passed: Sequence[float] | Floats, sizes: Sequence[float] | Floats, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """The rate of rows in clusters; no rows: None.

    passed, sizes: per cluster the rows that passed, and all. One cluster alone says nothing of others: 0..1.
    """
    hits, rows = np.asarray(passed, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    n, groups = int(rows.sum()), rows.size
    if n == 0:
        return None
    share = float(hits.sum()) / n
    if groups < 2:
        return Estimate(share, 0.0, 1.0, n, CLUSTERED)
    t = float(t_quantile(np.array((1 + confidence) / 2), np.array(groups - 1.0)))
    low, high = _wilson(share, effective_rows(hits, rows), t)
    return Estimate(share, low, high, n, CLUSTERED)


def effective_rows(hits: Floats, rows: Floats) -> float:
    """How many rows that stand alone the clusters are worth: at most the rows there are.

    All passed or none: as for full correlation, `(sum of sizes)^2 / sum of squared sizes`, for nothing can be learnt.
    """
    n, groups = float(rows.sum()), rows.size
    share = float(hits.sum()) / n
    worth_least = n * n / float((rows * rows).sum())
    if share in (0.0, 1.0):
        return worth_least
    apart = hits - share * rows
    variance = groups / (groups - 1) * float((apart * apart).sum()) / n**2
    return min(n, share * (1 - share) / variance) if variance > 0 else n


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    square = z * z / n
    centre = (share + square / 2) / (1 + square)
    spread = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    low = 0.0 if share == 0 else max(0.0, centre - spread)
    high = 1.0 if share == 1 else min(1.0, centre + spread)
    return low, high
