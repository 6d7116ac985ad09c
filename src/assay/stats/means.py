"""The mean of graded scores in 0..1: Student's t over the rows plus one of 0 and one of 1, so that it has a width.

Source: the added rows are those of Agresti & Coull 1998 for rates, carried over to means; of clusters the
cluster-robust variance (Liang & Zeger 1986), t with clusters - 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.stats.arrays import Floats, t_quantile
from assay.stats.values import CONFIDENCE, Estimate

METHOD = "Student's t over the rows plus one of 0 and one of 1"
CLUSTERED = "cluster-robust t over the rows plus one of 0 and one of 1, with clusters - 1"


def mean(scores: Sequence[float] | Floats, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of rows that stand alone; no rows: None, never 0."""
    rows = np.asarray(scores, dtype=np.float64)
    if not rows.size:
        return None
    more = np.concatenate((rows, (0.0, 1.0)))
    error = float(more.std(ddof=1)) / more.size**0.5
    return _around(rows.sum(), rows.size, error, rows.size + 1, METHOD, confidence)


def mean_in_clusters(sums: Floats, sizes: Floats, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of rows in clusters; no rows: None. sums, sizes: per cluster. One cluster alone: 0..1."""
    n, groups = float(sizes.sum()), sizes.size
    if n == 0:
        return None
    if groups < 2:
        return Estimate(float(sums.sum()) / n, 0.0, 1.0, int(n), CLUSTERED)
    centre = (float(sums.sum()) + 1) / (n + 2)
    apart = np.concatenate((sums - centre * sizes, (-centre, 1 - centre)))
    error = ((groups + 2) / (groups + 1) * float((apart * apart).sum())) ** 0.5 / (n + 2)
    return _around(float(sums.sum()), int(n), error, groups - 1, CLUSTERED, confidence)


def _around(total: float, n: int, error: float, df: int, method: str, confidence: float) -> Estimate:
    centre = (total + 1) / (n + 2)
    half = float(t_quantile(np.array((1 + confidence) / 2), np.array(float(df)))) * error
    return Estimate(float(total) / n, max(0.0, centre - half), min(1.0, centre + half), n, method)
