"""Pairs of contestants on the same rows: what is summed up over rows, and the method that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from assay.stats.arrays import Floats, Places
from assay.stats.clustered import PairedClusters
from assay.stats.paired_means import ENOUGH, PairedMeans
from assay.stats.paired_rates import PairedRates
from assay.stats.sequences import STEPS, WIDER, PairedSoFar, Seen, SeenCounts, SeenSums, on_grid, steps_of
from assay.stats.table import Codes

MANY = 1_000
"""Pairs beyond which graded scores are counted on a coarser grid while rows still come: intervals a little wider."""
Flags: TypeAlias = npt.NDArray[np.bool_]


class Method(Protocol):
    """A test and the interval that inverts it, for many pairs at once."""

    @property
    def method(self) -> str:
        """Its name, with its source."""

    def p(self) -> Floats:
        """The two-sided p of no difference."""

    def p_above(self, delta: float) -> Floats:
        """The one-sided p of a true difference of at most delta."""

    def interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """The lower and upper ends at confidence 1 - alpha."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of lines of an array of scores; each array has a number per pair."""

    value: Floats
    """Mean of the first minus mean of the second."""
    mean_square: Floats
    """Of the rows' differences."""
    worth: Floats
    """The mean square that rows which stand alone would have for the same error: of clusters larger. At least as if one
    row differed: none seen is not none to come."""
    better: Floats
    worse: Floats
    n: int
    enough: Flags
    """Whether enough rows differ for the test to mean something."""
    method: Method
    wider: float
    """How many times as wide as a fixed-sample interval the method's is, about."""


def every_pair(lines: int) -> tuple[Places, Places]:
    """The places of all pairs of so many lines: 0 with 1, 0 with 2, ..., 1 with 2, ..."""
    first, second = np.triu_indices(lines, 1)
    return first, second


def pairs_of(
    scores: Floats, first: Places, second: Places, codes: Codes | None = None, *, anytime: bool = False
) -> Pairs:
    """Pairs of lines of an array of scores without gaps: a line per contestant, a column per row, one at least.

    codes: the cluster of each column. anytime: with intervals that are valid at every look.
    """
    n = scores.shape[1]
    better, worse = _counted(scores, first, second)
    binary = bool(((scores == 0) | (scores == 1)).all())
    squares = better + worse if binary else np.where(better + worse == 0, 0.0, _squares(scores, first, second))
    sums = scores.sum(axis=1)
    total = sums[first] - sums[second]
    worth = np.maximum(squares / n, 1 / n)
    method: Method
    if codes is not None:
        clustered = PairedClusters.of(*by_cluster(scores, codes), first, second)
        worth = np.maximum(worth, clustered.moments.error**2 * n + (total / n) ** 2)
    if anytime:
        method = PairedSoFar(_seen(scores, first, second, codes))
    elif codes is not None:
        method = clustered
    elif binary:
        method = PairedRates(better, worse, np.full(first.size, float(n)))
    else:
        method = PairedMeans(total, squares, np.full(first.size, float(n)))
    enough = np.full(first.size, True) if binary else better + worse >= ENOUGH
    return Pairs(total / n, squares / n, worth, better, worse, n, enough, method, WIDER if anytime else 1.0)


def _counted(scores: Floats, first: Places, second: Places) -> tuple[Floats, Floats]:
    """On how many rows the first of each pair scores higher, and lower."""
    better, worse = np.empty(first.size), np.empty(first.size)
    for at, (one, other) in enumerate(zip(first, second, strict=True)):
        better[at] = np.count_nonzero(scores[one] > scores[other])
        worse[at] = np.count_nonzero(scores[one] < scores[other])
    return better, worse


def _squares(scores: Floats, first: Places, second: Places) -> Floats:
    """The sum of squared differences of each pair."""
    products = np.einsum("ir,jr->ij", scores, scores)  # no BLAS: its threads wait for each other on a busy machine
    own = np.diag(products)
    return np.asarray(np.maximum(own[first] + own[second] - 2 * products[first, second], 0.0))


def by_cluster(scores: Floats, codes: Codes) -> tuple[Floats, Floats]:
    """The sums of each line over each cluster, and the clusters' sizes."""
    sizes = np.bincount(codes).astype(np.float64)
    return np.stack([np.bincount(codes, line, sizes.size) for line in scores]), sizes


def seen_scores(scores: Floats, codes: Codes | None) -> Seen:
    """What was seen of each line's mean."""
    if codes is None:
        return on_grid(scores, steps_of(scores))
    per, sizes = by_cluster(scores, codes)
    most = sizes.max()
    values, weights = per / most, sizes / most
    return SeenSums(
        values.sum(axis=1),
        (values * values).sum(axis=1),
        (values * weights).sum(axis=1),
        float(weights.sum()),
        float((weights * weights).sum()),
    )


def _seen(scores: Floats, first: Places, second: Places, codes: Codes | None) -> Seen:
    """What was seen of each pair's difference d, as (1 + d) / 2."""
    if codes is None:
        steps = 2 * min(steps_of(scores), STEPS if first.size <= MANY else STEPS // 2)
        parts = [
            on_grid((1 + scores[one : one + 1] - scores[other : other + 1]) / 2, steps)
            for one, other in zip(first, second, strict=True)
        ]
        return SeenCounts(parts[0].values, np.concatenate([part.counts for part in parts]))
    per, sizes = by_cluster(scores, codes)
    most = sizes.max()
    values, weights = per / most, sizes / most
    totals, crossed = values.sum(axis=1), (values * weights).sum(axis=1)
    whole, squared = float(weights.sum()), float((weights * weights).sum())
    off, off_crossed = totals[first] - totals[second], crossed[first] - crossed[second]
    squares = squared + 2 * off_crossed + _squares(values, first, second)
    return SeenSums((whole + off) / 2, squares / 4, (squared + off_crossed) / 2, whole, squared)
