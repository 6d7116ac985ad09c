"""Means with their 95 % intervals, and quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95


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


def t_quantile(p: float, df: int) -> float:
    """The quantile of Student's t, for p > 0.5. Exact for 1 and 2 degrees of freedom, else by Hill 1970 (alg. 396)."""
    if df == 1:
        return math.tan(math.pi * (p - 0.5))
    if df == 2:
        a = 4 * p * (1 - p)
        return 2 * (p - 0.5) * math.sqrt(2 / a)
    two = 2 * (1 - p)
    a = 1 / (df - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * df
    x = d * two
    y = x ** (2 / df)
    if y > 0.05 + a:
        z = NormalDist().inv_cdf(two * 0.5)
        y = z * z
        if df < 5:
            c += 0.3 * (df - 4.5) * (z + 0.6)
        c = (((0.05 * d * z - 5) * z - 7) * z - 2) * z + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * z
        y = math.expm1(a * y * y)
    else:
        y = (
            (1 / (((df + 6) / (df * y) - 0.089 * d - 0.822) * (df + 2) * 3) + 0.5 / (df + 4)) * y - 1
        ) * (df + 1) / (df + 2) + 1 / y  # fmt: skip
    return math.sqrt(df * y)


def quantile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile by linear interpolation; no values: None."""
    if not values:
        return None
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
