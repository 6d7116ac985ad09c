"""Two rates on the same rows: Tango's score interval, the test that it inverts, and McNemar's beside it.

Only rows on which the two differ say anything: `better` (the first alone passed) and `worse` (the second alone).
Source: Tango 1998, Statistics in Medicine 17:891; Fagerland, Lydersen & Laake 2014 (McNemar's mid-p).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assay.stats.arrays import Floats, normal_cdf, normal_quantile
from assay.stats.roots import crossing


def score(better: Floats, worse: Floats, n: Floats, delta: Floats) -> Floats:
    """Tango's statistic: how many standard errors the difference found lies above a true difference of delta.

    No rows that differ and delta 0: 0. The shares of such rows under delta are the likeliest ones.
    """
    gap = better - worse - n * delta
    error = _error(better, worse, n, delta)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, 0.0, gap / error)


def _error(better: Floats, worse: Floats, n: Floats, delta: Floats) -> Floats:
    """The standard error of the number of better rows less the worse ones, under delta."""
    linear = (2 * n - better + worse) * delta - better - worse
    free = delta * (1 - delta)
    root = np.sqrt(np.maximum(linear * linear + 8 * n * worse * free, 0.0))
    return np.asarray(np.sqrt(np.maximum((root - linear) / 2 + n * free, 0.0)))


@dataclass(frozen=True, slots=True)
class PairedRates:
    """Pairs of 0/1 scores; each array has a number per pair."""

    better: Floats
    worse: Floats
    n: Floats
    method: str = "Tango's score interval and the test that it inverts (1998)"

    def p(self) -> Floats:
        """The two-sided p of no difference, which is McNemar's without correction; no row differs: 1."""
        return 2 * normal_cdf(-np.abs(score(self.better, self.worse, self.n, np.zeros_like(self.n))))

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""
        return normal_cdf(-score(self.better, self.worse, self.n, np.full_like(self.n, delta)))

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha, for n > 0."""
        return (
            _lower(self.better, self.worse, self.n, alpha),
            -_lower(self.worse, self.better, self.n, alpha),
        )


def _lower(better: Floats, worse: Floats, n: Floats, alpha: Floats) -> Floats:
    """Where the statistic reaches the normal quantile, below the difference found."""
    z = normal_quantile(1 - alpha / 2)

    def beyond(delta: Floats) -> Floats:
        return better - worse - n * delta - z * _error(better, worse, n, delta)

    return crossing(beyond, np.full_like(n, -1.0), (better - worse) / n)


def mcnemar_exact(better: int, worse: int) -> float:
    """McNemar's exact two-sided p: binomial with 1/2. No row differs: 1. Shown beside, it decides nothing."""
    return _mcnemar(better, worse, of_equal=1.0)


def mcnemar_mid_p(better: int, worse: int) -> float:
    """The same with half the chance of what was found: close to its level where the exact one is too careful."""
    return _mcnemar(better, worse, of_equal=0.5)


def _mcnemar(better: int, worse: int, *, of_equal: float) -> float:
    from scipy.special import bdtr

    n, least = better + worse, min(better, worse)
    if n == 0:
        return 1.0
    below = float(bdtr(least - 1, n, 0.5)) if least else 0.0
    return min(1.0, 2 * (below + of_equal * (float(bdtr(least, n, 0.5)) - below)))
