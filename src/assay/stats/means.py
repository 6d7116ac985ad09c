"""The mean of graded scores in 0..1: Student's t over the rows plus one of 0 and one of 1, so that it has a width.

Source: the added rows are those of Agresti & Coull 1998 for rates, carried over to means; of clusters the
jackknife over clusters (`clustered.py`), t with clusters - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.stats.arrays import Floats, t_quantile
from assay.stats.clustered import clustered_moments
from assay.stats.values import CONFIDENCE, Estimate

METHOD = "Student's t over the rows plus one of 0 and one of 1"
CLUSTERED = "cluster-robust t over the rows with 0 and 1 added"


def mean(scores: Sequence[float] | Floats, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of rows that stand alone; no rows: None, never 0."""
    rows = np.asarray(scores, dtype=np.float64)
    if not rows.size:
        return None
    more = np.concatenate((rows, (0.0, 1.0)))
    error = float(more.std(ddof=1)) / more.size**0.5
    found = _Around(float(more.mean()), error, rows.size + 1)
    return found.estimate(float(rows.mean()), rows.size, METHOD, confidence)


def mean_in_clusters(sums: Floats, sizes: Floats, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of rows in clusters; no rows: None. sums, sizes: per cluster. One cluster alone: 0..1."""
    n = int(sizes.sum())
    if n == 0:
        return None
    value = float(sums.sum()) / n
    if sizes.size < 2:
        return Estimate(value, 0.0, 1.0, n, CLUSTERED)
    moments = clustered_moments(sums[None, :], sizes, (0.0, 1.0))
    found = _Around(float(moments.mean[0]), float(moments.error[0]), int(moments.df[0]))
    return found.estimate(value, n, CLUSTERED, confidence)


class _Around(NamedTuple):
    centre: float
    error: float
    df: int

    def estimate(self, value: float, n: int, method: str, confidence: float) -> Estimate:
        half = float(t_quantile(np.array((1 + confidence) / 2), np.array(float(self.df)))) * self.error
        return Estimate(value, max(0.0, self.centre - half), min(1.0, self.centre + half), n, method)
