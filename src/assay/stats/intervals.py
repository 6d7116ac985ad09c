"""Means with their 95 % intervals, and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from assay.stats.quantiles import quantile, t_quantile
from assay.stats.values import CONFIDENCE

__all__ = ["CONFIDENCE", "Interval", "mean_interval", "quantile", "t_quantile", "wilson"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the interval that holds the true mean in 95 of 100 such experiments."""

    mean: float
    low: float
    high: float
    n: int
    """Independent units (rows) behind it."""

    @property
    def half(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2


def wilson(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Interval | None:
    """The Wilson score interval of a rate; None for n = 0. Source: Wilson 1927."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    spread = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Interval(rate, max(0.0, centre - spread), min(1.0, centre + spread), n)


def mean_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """The mean of independent values with its interval; none: None, never 0.

    Wilson where every value is 0 or 1; Student's t else, clipped to 0..1; one value alone: the whole range.
    """
    if not values:
        return None
    if set(values) <= {0.0, 1.0}:
        return wilson(round(sum(values)), len(values), confidence=confidence)
    mean = fmean(values)
    if len(values) == 1:
        return Interval(mean, 0.0, 1.0, 1)
    spread = t_quantile((1 + confidence) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, max(0.0, mean - spread), min(1.0, mean + spread), len(values))
