"""Predicts what is still to come from what was drawn: the bill of a run from the rows that it has paid for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from assay.stats.quantiles import t_quantile
from assay.stats.values import CONFIDENCE

HEAVY = 8.0
"""Largest to smallest value above which a few of them say little of the others: five values of a heavy tail (lognormal,
sigma 1.2) reach it in three of four draws, those of a normal one never."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Values that were drawn, as their sums."""

    count: int
    total: float
    squares: float
    """Sum of the squares."""
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Sample:
        """The sums of values; none: a sample of nothing."""
        found = list(values)
        return cls(len(found), sum(found), sum(v * v for v in found), min(found, default=0.0), max(found, default=0.0))

    @property
    def mean(self) -> float:
        """The mean; 0 for a sample of nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of the values; 0 for fewer than two."""
        if self.count < 2:
            return 0.0
        return math.sqrt(max(0.0, self.squares - self.count * self.mean**2) / (self.count - 1))

    @property
    def heavy(self) -> bool:
        """Whether the values differ so much that a prediction may be too narrow."""
        return self.most > HEAVY * max(self.least, 0.0) and self.most > 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """A total with its 95 % prediction interval."""

    low: float
    expected: float
    high: float
    count: int
    """Values behind it, of the part with the fewest."""
    heavy: bool
    """The interval may be too narrow: the values have a heavy tail."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a total."""

    paid: float
    """What is known of it."""
    left: float
    """How many values are still to come, >= 0."""
    sample: Sample
    """Values like those to come."""


def predict(parts: Iterable[Part]) -> Prediction | None:
    """The total of all parts; None while one of which something is to come has fewer than two values to go by.

    Source: the prediction interval of a normal sum, `t s sqrt(M^2 / k + M)` for M values to come after k drawn ones
    (Hahn & Meeker 1991, section 4.6). The half-widths are added, as if a dear row were dear in every part: it often is.
    """
    found = list(parts)
    coming = [part for part in found if part.left > 0]
    if any(part.sample.count < 2 for part in coming):
        return None
    paid = sum(part.paid for part in found)
    ahead = sum(part.left * part.sample.mean for part in coming)
    half = sum(map(_half_width, coming))
    return Prediction(
        paid + max(0.0, ahead - half),
        paid + ahead,
        paid + ahead + half,
        min((part.sample.count for part in coming), default=0),
        any(part.sample.heavy for part in coming),
    )


def _half_width(part: Part) -> float:
    count = part.sample.count
    t = t_quantile((1 + CONFIDENCE) / 2, count - 1)
    return t * part.sample.deviation * math.sqrt(part.left**2 / count + part.left)
