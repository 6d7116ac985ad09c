"""Intervals that are valid at every look: whoever watches a run may stop whenever they like, and misses in 5 % at most.

A gambler who bets on each row against a mean, by a share of what was won, cannot get rich where that mean is the true
one: the chance that the capital ever grows twentyfold is at most 1/20 (Ville). The interval holds the means against
which nobody got rich. The capital is a product over rows, so that it depends on how often each value was seen and not
on the order. Values between the points of a grid are split between their neighbours, which can only lower the capital,
for the logarithm is concave. Source: Waudby-Smith & Ramdas 2023 (betting); a mixture over shares after Robbins 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from assay.stats.arrays import Floats
from assay.stats.roots import crossing
from assay.stats.values import CONFIDENCE, Estimate

SHARES = tuple(0.8 / 2**step for step in range(9))
"""Of the capital that a gambler bets; the mixture is over these."""
METHOD = "betting confidence sequence, valid at every look (Waudby-Smith & Ramdas 2023)"
WIDER = 1.7
"""How many times as wide as a fixed-sample interval it is, about: to say how many rows would tell."""
STEPS = 20
"""Steps of the grid on which scores are counted that lie on no coarser one."""
_COLUMN = np.array(SHARES)[:, None]
_SMALL = 50_000
"""Odds that are bet on by all shares at once; of more each share is worked out alone, to bound memory."""


class Seen(Protocol):
    """What was seen of some quantities in 0..1."""

    def mean(self) -> Floats:
        """The mean of each quantity."""

    def mirrored(self) -> Seen:
        """The same of 1 minus each value."""

    def log_capitals(self, mean: Floats) -> Floats:
        """The logarithm of what 1 became by bets that each true mean lies above this one; a line per share."""


@dataclass(frozen=True, slots=True)
class SeenCounts:
    """How often each value was seen."""

    values: Floats
    """The points of a grid in 0..1."""
    counts: Floats
    """A line per quantity, a column per value; a row at least."""

    def mean(self) -> Floats:
        """The mean of each quantity."""
        return np.asarray((self.counts * self.values).sum(axis=1) / self.counts.sum(axis=1))

    def mirrored(self) -> SeenCounts:
        """The same of 1 minus each value."""
        return SeenCounts(1 - self.values, self.counts)

    def log_capitals(self, mean: Floats) -> Floats:
        """As `Seen`, exactly."""
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = (self.values - mean[:, None]) / mean[:, None]
        odds = np.where(np.isfinite(odds), odds, np.where(self.values > 0, 1e300, 0.0))
        if odds.size <= _SMALL:
            return np.asarray((self.counts * np.log1p(_COLUMN[:, :, None] * odds)).sum(axis=2))
        return np.stack([(self.counts * np.log1p(share * odds)).sum(axis=1) for share in SHARES])


@dataclass(frozen=True, slots=True)
class SeenSums:
    """Sums over clusters, whose values reach from 0 to their weight: the share of the largest cluster's rows.

    The logarithm is bounded from below by a parabola, `log(1 + y) >= y - k y^2` for y >= -share, so that sums are
    enough (Fan, Grama & Liu 2015).
    """

    total: Floats
    """Sum of the values; a number per quantity."""
    squares: Floats
    crossed: Floats
    """Sum of value times weight."""
    weight: float
    """Sum of the weights."""
    weight_squares: float

    def mean(self) -> Floats:
        """The mean of each quantity."""
        return self.total / self.weight

    def mirrored(self) -> SeenSums:
        """The same of the weight minus each value."""
        return SeenSums(
            self.weight - self.total,
            self.weight_squares - 2 * self.crossed + self.squares,
            self.weight_squares - self.crossed,
            self.weight,
            self.weight_squares,
        )

    def log_capitals(self, mean: Floats) -> Floats:
        """As `Seen`, or below.

        The capital falls as the mean rises; the parabola does not where the mean is small, and gives way to its best.
        """
        bend = (-np.log1p(-_COLUMN) - _COLUMN) / _COLUMN
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(self.squares > 0, (self.total / (2 * bend) + self.crossed) / self.squares, 0.0)
            at = np.minimum(np.where(mean > 0, 1 / mean, np.inf), best)
        once = self.total * at - self.weight
        twice = self.squares * at * at - 2 * self.crossed * at + self.weight_squares
        return np.asarray(_COLUMN * (once - bend * np.maximum(twice, 0.0)))


def log_capital(seen: Seen, mean: Floats) -> Floats:
    """The logarithm of what a stake of 1, split over all shares, became by bets that each true mean lies above this."""
    logs = seen.log_capitals(mean)
    most = logs.max(axis=0)
    return np.asarray(most + np.log(np.exp(logs - most).mean(axis=0)))


def lower_end(seen: Seen, alpha: Floats) -> Floats:
    """The lower end of each mean at confidence 1 - alpha, with half of alpha on this side."""
    bar = np.log(2 / alpha)
    # Far outside nothing but the sign counts: a capital without bounds would make the steps small.
    return crossing(lambda mean: np.minimum(log_capital(seen, mean) - bar, bar), np.zeros_like(alpha), seen.mean())


def steps_of(scores: Floats) -> int:
    """The fewest equal steps of 0..1 on which all scores lie: 1 for 0/1 scores; none so few: 20."""
    for steps in (1, 2, 4, 5, 10):
        if np.allclose(scores * steps, np.round(scores * steps), rtol=0, atol=1e-9):
            return steps
    return STEPS


def on_grid(values: Floats, steps: int) -> SeenCounts:
    """What was seen of values in 0..1, a line per quantity and a column per row."""
    lines, points = values.shape[0], steps + 1
    place = np.clip(values * steps, 0, steps)
    below = np.minimum(place.astype(np.int64), steps - 1)
    part = place - below
    at = below + points * np.arange(lines)[:, None]
    counts = np.bincount(at.ravel(), (1 - part).ravel(), lines * points)
    counts = counts + np.bincount(at.ravel() + 1, part.ravel(), lines * points)
    return SeenCounts(np.linspace(0, 1, points), counts.reshape(lines, points).astype(np.float64))


def mean_so_far(seen: Seen, n: int, *, confidence: float = CONFIDENCE) -> list[Estimate]:
    """Each mean of n rows with an interval that is valid at every look."""
    alpha = np.full_like(seen.mean(), 1 - confidence)
    low, high = lower_end(seen, alpha), 1 - lower_end(seen.mirrored(), alpha)
    return [
        Estimate(float(m), float(lo), float(hi), n, METHOD) for m, lo, hi in zip(seen.mean(), low, high, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class PairedSoFar:
    """Pairs of scores while rows still come; the differences d are kept as (1 + d) / 2."""

    seen: Seen
    method: str = METHOD

    def p(self) -> Floats:
        """The two-sided p of no difference, valid at every look."""
        half = np.full_like(self.seen.mean(), 0.5)
        best = np.maximum(log_capital(self.seen, half), log_capital(self.seen.mirrored(), half))
        return np.asarray(np.minimum(1.0, 2 * np.exp(-best)))

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""
        at = np.full_like(self.seen.mean(), (1 + delta) / 2)
        return np.asarray(np.minimum(1.0, np.exp(-log_capital(self.seen, at))))

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha."""
        return 2 * lower_end(self.seen, alpha) - 1, 1 - 2 * lower_end(self.seen.mirrored(), alpha)
