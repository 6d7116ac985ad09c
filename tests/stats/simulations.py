"""Experiments with a known truth, seeded: how often an interval holds it, and how often a claim is wrong.

The tests run them with few draws, `bench/coverage.py` with many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from assay.stats.clustered import PairedClusters
from assay.stats.decision import decide
from assay.stats.means import mean as graded_mean
from assay.stats.paired_means import PairedMeans
from assay.stats.paired_rates import PairedRates
from assay.stats.rates import rate as plain_rate
from assay.stats.rates import rate_in_clusters
from assay.stats.sequences import SHARES, PairedSoFar, on_grid
from assay.stats.values import ContestantRows, Decision, Estimate

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
SIZES = (10, 30, 100, 500)
RATES = tuple(percent / 100 for percent in range(2, 99, 2))
PAIRED_RATES = ((0.5, 0.5), (0.7, 0.6), (0.9, 0.9), (0.95, 0.85), (0.98, 0.9), (0.98, 0.98))
"""True rates of the first and the second; they share what makes a row hard."""


class Held(NamedTuple):
    """How often intervals held the truth, and how wide they were."""

    coverage: float
    width: float


def mean(values: list[float]) -> float:
    """The mean of some."""
    return float(np.mean(values))


def held(low: Floats, high: Floats, truth: float) -> Held:
    """Coverage and mean width of many intervals."""
    inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    return Held(float(inside.mean()), float((high - low).mean()))


def of_estimates(found: list[Estimate | None], truth: float) -> Held:
    """Coverage and mean width of estimates."""
    ends = np.array([(e.low, e.high) for e in found if e is not None])
    return held(ends[:, 0], ends[:, 1], truth)


def rate_coverage(truth: float, n: int) -> Held:
    """Wilson's interval of a rate, exactly."""
    chances = stats.binom.pmf(np.arange(n + 1), n, truth)
    found = [estimate for passed in range(n + 1) if (estimate := plain_rate(passed, n)) is not None]
    low, high = np.array([e.low for e in found]), np.array([e.high for e in found])
    return Held(float(chances[(low <= truth) & (truth <= high)].sum()), float((chances * (high - low)).sum()))


def wilson_width(truth: float, n: int) -> float:
    """The mean width of statsmodels' Wilson interval, exactly."""
    from statsmodels.stats.proportion import proportion_confint

    counts = np.arange(n + 1)
    low, high = proportion_confint(counts, n, method="wilson")
    return float((stats.binom.pmf(counts, n, truth) * (high - low)).sum())


def _partial_credit(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.asarray(rng.choice([1.0, 0.8, 0.0], shape, p=[0.9, 0.08, 0.02]))


GRADED: dict[str, Draw] = {
    "0, 0.5, 1": lambda rng, shape: rng.choice([0.0, 0.5, 1.0], shape, p=[0.2, 0.3, 0.5]),
    "Beta(8, 1)": lambda rng, shape: rng.beta(8, 1, shape),
    "90 % ones, partial credit": _partial_credit,
    "0.9, one in 100 is 0": lambda rng, shape: rng.choice([0.9, 0.0], shape, p=[0.99, 0.01]),
    "Beta(2, 2)": lambda rng, shape: rng.beta(2, 2, shape),
}
TRUE_MEANS = {
    "0, 0.5, 1": 0.65,
    "Beta(8, 1)": 8 / 9,
    "90 % ones, partial credit": 0.964,
    "0.9, one in 100 is 0": 0.891,
    "Beta(2, 2)": 0.5,
}


def mean_coverage(name: str, n: int, draws: int) -> tuple[Held, Held]:
    """Our interval of a graded mean, and Student's t clipped to 0..1."""
    scores = GRADED[name](np.random.default_rng(n), (draws, n))
    ours = of_estimates([graded_mean(line) for line in scores], TRUE_MEANS[name])
    half = stats.t.ppf(0.975, n - 1) * scores.std(axis=1, ddof=1) / n**0.5
    centre = scores.mean(axis=1)
    return ours, held(np.maximum(centre - half, 0), np.minimum(centre + half, 1), TRUE_MEANS[name])


def _both(rng: np.random.Generator, first: float, second: float, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Passes of two contestants that find the same rows hard."""
    hard = rng.normal(size=shape)
    scores = [
        (0.7 * hard + (1 - 0.49) ** 0.5 * rng.normal(size=shape) < stats.norm.ppf(rate)).astype(float)
        for rate in (first, second)
    ]
    return scores[0], scores[1]


def paired_counts(first: float, second: float, n: int, draws: int) -> tuple[Floats, Floats]:
    """On how many of n rows the first alone passes, and the second alone."""
    one, other = _both(np.random.default_rng(n), first, second, (draws, n))
    return (one > other).sum(axis=1).astype(float), (one < other).sum(axis=1).astype(float)


def paired_rate_coverage(first: float, second: float, n: int, draws: int) -> Held:
    """Tango's interval of a difference of rates."""
    better, worse = paired_counts(first, second, n, draws)
    low, high = PairedRates(better, worse, np.full(draws, float(n))).interval(np.full(draws, 0.05))
    return held(low, high, first - second)


def corrected_tango_width(first: float, second: float, n: int) -> float:
    """The mean width of evalstats' continuity-corrected Tango interval, on 50 draws."""
    from evalstats.core.resampling import tango_scc_paired_ci

    one, other = _both(np.random.default_rng(n), first, second, (50, n))
    ends = [tango_scc_paired_ci(a, b, 0.05) for a, b in zip(one, other, strict=True)]
    return mean([high - low for low, high in ends])


DIFFERENCES: dict[str, tuple[Draw, float]] = {
    "0, 0.5, 1 against itself": (
        lambda rng, shape: rng.choice([0.0, 0.5, 1.0], shape) - rng.choice([0.0, 0.5, 1.0], shape),
        0.0,
    ),
    "Beta(8, 1) against Beta(6, 2)": (lambda rng, shape: rng.beta(8, 1, shape) - rng.beta(6, 2, shape), 8 / 9 - 0.75),
    "partial credit against itself": (
        lambda rng, shape: _partial_credit(rng, shape) - _partial_credit(rng, shape),
        0.0,
    ),
    "partial credit against all right": (lambda rng, shape: 1 - _partial_credit(rng, shape), 0.036),
    "+0.1, one in ten -0.9": (lambda rng, shape: rng.choice([0.1, -0.9], shape, p=[0.9, 0.1]), 0.0),
    "+0.02, one in 50 -0.98": (lambda rng, shape: rng.choice([0.02, -0.98], shape, p=[0.98, 0.02]), 0.0),
    "lognormal, sigma 1.2, about its mean": (
        lambda rng, shape: np.minimum(rng.lognormal(-3, 1.2, shape), 1.0) - 0.09936,
        0.0,
    ),
}
RIVALS = ("Student's t", "sign flips", "Johnson's t", "Hall's transformation")
FLIPS = 400


def paired_mean_coverage(name: str, n: int, draws: int) -> tuple[Held, list[float]]:
    """Our interval of a difference of graded means, and how often the rivals call the true difference wrong."""
    draw, truth = DIFFERENCES[name]
    rows = draw(np.random.default_rng(n), (draws, n))
    method = PairedMeans(rows.sum(axis=1), (rows * rows).sum(axis=1), np.full(draws, float(n)))
    low, high = method.interval(np.full(draws, 0.05))
    return held(low, high, truth), [float(np.mean(wrong)) for wrong in _rivals(rows - truth, n)]


def _rivals(off: Floats, n: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Whether each rival rejects a mean of 0, for each line."""
    centre, spread = off.mean(axis=1), np.maximum(off.std(axis=1, ddof=1), 1e-12)
    t, limit = centre / spread * n**0.5, stats.t.ppf(0.975, n - 1)
    third = ((off - centre[:, None]) ** 3).mean(axis=1)
    yield np.abs(t) > limit
    signs = np.random.default_rng(7).choice([-1.0, 1.0], (FLIPS, n))
    beyond = (np.abs(off @ signs.T) >= np.abs(off.sum(axis=1))[:, None] - 1e-9).sum(axis=1)
    yield (beyond + 1) / (FLIPS + 1) < 0.05
    yield np.abs(t + third / (6 * spread**3 * n**0.5) + third / (3 * spread**3) * t * t / n**0.5) > limit
    skew, at = third / spread**3, centre / spread
    yield np.abs(n**0.5 * (at + skew * at**2 / 3 + skew**2 * at**3 / 27 + skew / (6 * n))) > limit


def _clusters(
    rng: np.random.Generator, rates: tuple[float, ...], groups: int, draws: int, within: float = 0.2
) -> tuple[list[Floats], Floats]:
    """Passes per cluster of each contestant, and the clusters' sizes of 2 to 40 rows."""
    sizes = rng.integers(2, 41, (draws, groups))
    more = (1 - within) / within
    passed = [
        rng.binomial(sizes, rng.beta(rate * more, (1 - rate) * more, sizes.shape)).astype(float) for rate in rates
    ]
    return passed, sizes.astype(float)


def cluster_coverage(truth: float, groups: int, draws: int) -> tuple[Held, Held]:
    """The interval of a rate over clusters, and Wilson's of the rows as if they stood alone."""
    (passed,), sizes = _clusters(np.random.default_rng(groups), (truth,), groups, draws)
    ours = [rate_in_clusters(hits, rows) for hits, rows in zip(passed, sizes, strict=True)]
    alone = [plain_rate(int(hits.sum()), int(rows.sum())) for hits, rows in zip(passed, sizes, strict=True)]
    return of_estimates(list(ours), truth), of_estimates(list(alone), truth)


def paired_cluster_coverage(first: float, second: float, groups: int, draws: int) -> Held:
    """The interval of a difference of rates over clusters."""
    passed, sizes = _clusters(np.random.default_rng(groups), (first, second), groups, draws)
    ends = [
        PairedClusters.of(np.stack((one, other)), rows, np.array([0]), np.array([1])).interval(np.array([0.05]))
        for one, other, rows in zip(passed[0], passed[1], sizes, strict=True)
    ]
    return held(np.array([low[0] for low, _ in ends]), np.array([high[0] for _, high in ends]), first - second)


def contestants(scores: Floats, costs: tuple[float, ...] | None = None) -> list[ContestantRows]:
    """Each line of an array as a contestant; NaN: missing."""
    return [
        ContestantRows(
            str(at),
            str(at),
            {row: None if np.isnan(v) else float(v) for row, v in enumerate(line.tolist())},
            None if costs is None else costs[at],
        )
        for at, line in enumerate(scores)
    ]


def passes(rng: np.random.Generator, rates: tuple[float, ...], n: int) -> Floats:
    """Passes of contestants that find the same rows hard; a line each, the easiest row first."""
    hard = np.sort(rng.normal(size=n))
    own = rng.normal(size=(len(rates), n))
    return np.asarray((0.7 * hard + (1 - 0.49) ** 0.5 * own < stats.norm.ppf(rates)[:, None]).astype(float))


def winner_coverage(truth: float, n: int, k: int, draws: int) -> tuple[float, float]:
    """How often the winner of k equals has the truth within its plain interval, and within that of the best of k."""
    rng = np.random.default_rng(n + k)
    plain = best = 0
    for _ in range(draws):
        line = decide(contestants((rng.random((k, n)) < truth).astype(float))).standings[0]
        assert line.score is not None
        assert line.best_of is not None
        plain += line.score.low <= truth <= line.score.high
        best += line.best_of.low <= truth <= line.best_of.high
    return plain / draws, best / draws


def family_errors(k: int, n: int, kind: str, draws: int) -> tuple[float, float]:
    """Of k equals: how often some difference is called real, and somebody best."""
    rng = np.random.default_rng(1_000 * k + n)
    real = best = 0
    for _ in range(draws):
        scores = passes(rng, (0.8,) * k, n) if kind == "0/1" else rng.beta(4, 2, (k, n)).round(2)
        found = decide(contestants(scores))
        real += any(d.real for d in found.differences)
        best += found.claim == "best"
    return real / draws, best / draws


def best_is_found(n: int, draws: int) -> float:
    """How often one that is truly 15 points ahead of two others is called best."""
    rng = np.random.default_rng(n)
    found = [decide(contestants(passes(rng, (0.85, 0.7, 0.7), n))) for _ in range(draws)]
    return mean([float(d.claim == "best" and d.leaders == ("0",)) for d in found])


def not_worse_is_said(behind: float, n: int, draws: int) -> float:
    """How often a cheap contestant so far behind a dear one is called at most 5 points worse, whoever leads."""
    rng = np.random.default_rng(n)
    said = 0
    for _ in range(draws):
        found = decide(contestants(passes(rng, (0.85, 0.85 - behind), n), (18.0, 1.0)))
        said += _is_good_enough(found, "1")
    return said / draws


def _is_good_enough(found: Decision, key: str) -> bool:
    """Whether the cheap one is said to be at most the margin worse than the leader, or to be best."""
    good = any(c.key == key and c.check.side == "not_worse" for c in found.candidates)
    return good or (found.claim == "best" and found.leaders == (key,))


def skipper_is_best(skipped: float, n: int, draws: int) -> float:
    """Of two equals, one fails to answer a share of the rows, the hardest: how often that one is called best."""
    rng = np.random.default_rng(n)
    best = 0
    for _ in range(draws):
        scores = passes(rng, (0.8, 0.8), n)
        scores[0, n - int(skipped * n) :] = np.nan
        found = decide(contestants(scores))
        best += found.claim == "best" and found.leaders == ("0",)
    return best / draws


SEQUENCES: dict[str, tuple[Draw, float, int]] = {
    "rate of 0.5": (lambda rng, shape: (rng.random(shape) < 0.5).astype(float), 0.5, 1),
    "rate of 0.95": (lambda rng, shape: (rng.random(shape) < 0.95).astype(float), 0.95, 1),
    "graded, 90 % ones": (_partial_credit, 0.964, 20),
    "difference of equals, 20 % differ": (
        lambda rng, shape: rng.choice([0.0, 0.5, 1.0], shape, p=[0.1, 0.8, 0.1]),
        0.5,
        2,
    ),
    "+0.1, one in ten -0.9": (lambda rng, shape: rng.choice([0.55, 0.05], shape, p=[0.9, 0.1]), 0.5, 40),
}
LOOKS = 1_000


def sequence_misses(draws: int) -> Iterator[tuple[str, float, float]]:
    """Per kind of score: how often the truth lies outside at some of 1,000 looks, and the width at the last beside that
    of a fixed-sample interval."""
    for name, (draw, truth, steps) in SEQUENCES.items():
        rng = np.random.default_rng(steps)
        missed = np.concatenate([_missed(draw(rng, (100, LOOKS)), truth) for _ in range(-(-draws // 100))])
        rows = draw(rng, (20, LOOKS))
        low, high = PairedSoFar(on_grid(rows, steps)).interval(np.full(20, 0.05))
        fixed = 2 * 1.96 * 2 * rows.std(axis=1) / LOOKS**0.5
        yield name, float(missed.mean()), float(((high - low) / fixed).mean())


def _missed(rows: Floats, truth: float) -> npt.NDArray[np.bool_]:
    """Whether somebody who bets against the truth is ever rich enough; counted row by row, apart from the code."""
    ever = np.zeros(rows.shape[0], dtype=bool)
    for side, at in ((rows, truth), (1 - rows, 1 - truth)):
        capital = sum(np.exp(np.cumsum(np.log1p(share * (side - at) / at), axis=1)) for share in SHARES) / len(SHARES)
        ever |= (capital > 2 / 0.05).any(axis=1)
    return ever


STOPPED = (
    ((0.9, 0.8, 0.75, 0.7), 500),
    ((0.85, 0.7, 0.7, 0.6, 0.5), 300),
    ((0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8), 1_000),
)


def early_stopping(truth: tuple[float, ...], n: int, draws: int) -> tuple[float, float]:
    """Replays of complete grids: how often the winner is that of the whole grid, and the share of answers saved.

    Every 25 rows those leave that another is shown to beat at every look; who is left alone ends the run.
    """
    rng = np.random.default_rng(n)
    same = saved = 0.0
    for _ in range(draws):
        scores = passes(rng, truth, n)[:, rng.permutation(n)]
        left, asked = list(range(len(truth))), 0
        for start in range(0, n, 25):
            asked += 25 * len(left)
            found = decide([c for c in contestants(scores[:, : start + 25]) if int(c.key) in left], look="early")
            left = [at for at in left if str(at) in found.leaders] or left
            if len(left) == 1:
                break
        best = left[int(scores[left, : start + 25].mean(axis=1).argmax())]
        same += scores[best].mean() >= scores.mean(axis=1).max() - 1e-12
        saved += 1 - asked / (n * len(truth))
    return same / draws, saved / draws
