"""Two contestants on the same rows: how much better, and is it more than noise."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from statistics import fmean
from typing import TypeVar

from assay.stats.quantiles import quantile

K = TypeVar("K")
RESAMPLES = 2_000
LARGE = 2_000
"""Pairs past which the normal approximation stands for resampling."""
_ODD = bytes(byte & 1 for byte in range(256))


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """B against A on the rows that both have."""

    delta: float
    """Mean of B minus mean of A."""
    low: float
    high: float
    """95 % interval of delta: bootstrap over rows."""
    p: float
    """Chance of a difference at least this large if there were none."""
    n: int
    better: int
    worse: int
    ties: int


def compare_paired(a: Mapping[K, float], b: Mapping[K, float], *, seed: int = 0) -> PairedComparison | None:
    """Compares values by row key; no common row: None.

    McNemar's exact test for 0/1 values, else a sign-flip permutation test; both are two-sided. Source: Miller 2024
    (paired differences); McNemar 1947.
    """
    keys = [key for key in a if key in b]
    if not keys:
        return None
    differences = [b[key] - a[key] for key in keys]
    better = sum(d > 0 for d in differences)
    worse = sum(d < 0 for d in differences)
    binary = all(a[key] in (0, 1) and b[key] in (0, 1) for key in keys)
    p = mcnemar(better, worse) if binary else sign_flip(differences, seed=seed)
    low, high = bootstrap(differences, seed=seed)
    return PairedComparison(fmean(differences), low, high, p, len(keys), better, worse, len(keys) - better - worse)


def mcnemar(better: int, worse: int) -> float:
    """The exact two-sided p of discordant pairs: binomial with 1/2. No discordant pair: 1."""
    n = better + worse
    if n == 0:
        return 1.0
    if n > 1000:
        z = (abs(better - worse) - 1) / math.sqrt(n)
        return math.erfc(max(0.0, z) / math.sqrt(2))
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return min(1.0, float(2 * tail / 2**n))


def sign_flip(differences: Sequence[float], *, seed: int = 0) -> float:
    """The p of a mean difference under random signs; every sign pattern for up to 12 pairs, else 2,000 draws, and past
    2,000 pairs that differ the normal approximation."""
    left = [d for d in differences if d]
    if not left:
        return 1.0
    whole = sum(left)
    observed = abs(whole) - 1e-12
    if len(left) <= 12:
        sums = [0.0]
        for d in left:
            sums = [s + d for s in sums] + [s - d for s in sums]
        return sum(abs(s) >= observed for s in sums) / len(sums)
    if len(left) > LARGE:
        return math.erfc(abs(whole) / math.sqrt(2 * sum(d * d for d in left)))
    rng = random.Random(seed)  # noqa: S311 - repeatable resampling
    # Flipping the signs of some takes twice their sum off the whole.
    hits = sum(
        abs(whole - 2 * sum(compress(left, rng.randbytes(len(left)).translate(_ODD)))) >= observed
        for _ in range(RESAMPLES)
    )
    return (hits + 1) / (RESAMPLES + 1)


def bootstrap(differences: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean; one pair alone: (-1, 1). Past 2,000 pairs: the normal approximation."""
    n = len(differences)
    if n == 1:
        return -1.0, 1.0
    mean = fmean(differences)
    if n > LARGE:
        spread = 1.959964 * math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)
        return mean - spread, mean + spread
    rng = random.Random(seed)  # noqa: S311 - repeatable resampling
    draws = min(RESAMPLES, 400_000 // n)
    means = [fmean(rng.choices(differences, k=n)) for _ in range(draws)]
    return quantile(means, 0.025) or 0.0, quantile(means, 0.975) or 0.0
