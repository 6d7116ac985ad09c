"""Quantiles without NumPy and SciPy: of values, and of Student's t, for what a run needs while it is worked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


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
        y = ((1 / (((df + 6) / (df * y) - 0.089 * d - 0.822) * (df + 2) * 3) + 0.5 / (df + 4)) * y - 1) * (df + 1) / (
            df + 2
        ) + 1 / y
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
