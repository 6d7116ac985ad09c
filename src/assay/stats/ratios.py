"""The ratio of two medians on the same rows, with its interval: latency, cost, tokens.

Means of latency follow their few longest answers; medians do not. Source: the percentile bootstrap over rows, or over
clusters whole (Efron & Tibshirani 1993, chapter 13), both contestants drawn together; of very many rows some, with the
deviations scaled by the root of how many (Politis & Romano 1994).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.stats.arrays import Floats
from assay.stats.table import Codes
from assay.stats.values import CONFIDENCE, Estimate

METHOD = "paired ratio of medians, bootstrap over rows"
FEWEST = 6
"""Rows below which even the extremes hold the median in less than 95 %."""
_MOST_DRAWS, _FEWEST_DRAWS, _WORK = 2_000, 500, 5_000_000
MANY = 10_000
"""Rows that stand alone beyond which so many of them are drawn, and the interval narrowed to what all say."""
_AT_ONCE = 2_000_000


def ratio_of_medians(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    *,
    codes: Codes | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate | None:
    """Median of the first as a multiple of the second's, on rows in the same order, values >= 0.

    codes: the cluster of each row, from 0. Fewer than 6 rows, or a median of the second that is 0: None.
    """
    above, below = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = above.size
    if n < FEWEST or np.median(below) == 0:
        return None
    value = float(np.median(above) / np.median(below))
    rng = np.random.default_rng(seed)
    narrower = 1.0
    if codes is None and n > MANY:
        some = rng.choice(n, MANY, replace=False)
        above, below, narrower = above[some], below[some], (MANY / n) ** 0.5
    ratios = _drawn(above, below, np.arange(above.size) if codes is None else codes, rng)
    ends = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    if narrower < 1:
        centre = float(np.median(above) / np.median(below))
        ends = value * (ends / centre) ** narrower if centre else ends
    return Estimate(value, float(ends[0]), float(ends[1]), n, METHOD)


def _drawn(above: Floats, below: Floats, groups: Codes, rng: np.random.Generator) -> Floats:
    """Ratios of medians of rows that were drawn with replacement, by group."""
    n, count = above.size, int(groups.max()) + 1
    ratios: list[Floats] = []
    for size in _batches(int(np.clip(_WORK // n, _FEWEST_DRAWS, _MOST_DRAWS)), n):
        picked = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(picked.ravel(), minlength=size * count).reshape(size, count)[:, groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(_medians(above, weights) / _medians(below, weights))
    found = np.concatenate(ratios)
    return found[~np.isnan(found)]


def _batches(draws: int, n: int) -> list[int]:
    """Draws at a time, so that memory stays bounded."""
    size = max(1, _AT_ONCE // n)
    return [min(size, draws - start) for start in range(0, draws, size)]


def _medians(values: Floats, weights: Codes) -> Floats:
    """The median of values under each line of weights."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    lower = (reached < half).sum(axis=1)
    upper = (reached <= half).sum(axis=1)
    ordered = values[order]
    return np.asarray((ordered[lower] + ordered[np.minimum(upper, values.size - 1)]) / 2)
