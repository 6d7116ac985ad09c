"""Each method against SciPy, statsmodels or evalstats, where they have it, to 1e-9."""

from __future__ import annotations

import random

import numpy as np
import pytest
from oracles import adjusted, mcnemar, tango, wilson
from oracles import mcnemar_mid_p as oracle_mid_p
from oracles import sign_flip as oracle_sign_flip

from assay.stats.clustered import PairedClusters
from assay.stats.families import benjamini_hochberg, holm
from assay.stats.means import mean, mean_in_clusters
from assay.stats.paired_means import PairedMeans, sign_flip
from assay.stats.paired_rates import PairedRates, mcnemar_exact, mcnemar_mid_p
from assay.stats.power import detectable, rows_not_worse, rows_to_show
from assay.stats.rates import effective_rows, rate, rate_in_clusters
from assay.stats.repeats import pass_all, pass_at, split_variance

TABLES = [(0, 0, 5), (1, 0, 1), (2, 0, 2), (5, 0, 20), (9, 1, 40), (12, 7, 200), (60, 45, 300), (0, 30, 30), (3, 3, 9)]
"""Rows on which the first alone passes, the second alone, all rows."""


def as_scores(better: int, worse: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two lines of 0/1 scores with so many rows that differ."""
    first = np.array([1.0] * better + [0.0] * (n - better))
    second = np.array([0.0] * better + [1.0] * worse + [0.0] * (n - better - worse))
    return first, second


def pair(better: int, worse: int, n: int) -> PairedRates:
    """One pair of rates."""
    return PairedRates(*(np.array([float(count)]) for count in (better, worse, n)))


@pytest.mark.parametrize(("passed", "n"), [(0, 1), (1, 1), (43, 50), (200, 200), (0, 30), (199, 200), (5, 10_000)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_wilson_agrees_with_statsmodels_and_evalstats(passed: int, n: int, confidence: float) -> None:
    """The ends of the interval of a rate."""
    found = rate(passed, n, confidence=confidence)

    assert found is not None
    for oracle in wilson(passed, n, 1 - confidence):
        assert (found.low, found.high) == pytest.approx(oracle, abs=1e-9)


@pytest.mark.parametrize("table", TABLES)
def test_tango_agrees_with_evalstats(table: tuple[int, int, int]) -> None:
    """The ends of the interval of a difference of rates; theirs solves the quartic, without a correction here."""
    low, high = pair(*table).interval(np.array([0.05]))

    assert (low[0], high[0]) == pytest.approx(tango(*as_scores(*table), 0.05, c=0.0), abs=1e-9)


@pytest.mark.parametrize("table", TABLES)
def test_mcnemar_agrees_with_statsmodels_and_evalstats(table: tuple[int, int, int]) -> None:
    """The test that Tango's interval inverts is McNemar's without correction; the exact and the mid-p stand beside."""
    better, worse, n = table
    both = [[n - better - worse, better], [worse, 0]]

    if better + worse:
        assert pair(*table).p()[0] == pytest.approx(mcnemar(both, exact=False, correction=False))
    else:
        assert pair(*table).p()[0] == 1.0
    assert mcnemar_exact(better, worse) == pytest.approx(mcnemar(both, exact=True), abs=1e-9)
    assert mcnemar_mid_p(better, worse) == pytest.approx(oracle_mid_p(*as_scores(*table)), abs=1e-9)


def test_adjustments_agree_with_statsmodels() -> None:
    """Holm's and Benjamini and Hochberg's p values, with ties, ones and a zero."""
    rng = random.Random(3)
    for size in (1, 2, 5, 30):
        chances = [*(rng.random() ** 4 for _ in range(size)), 1.0, 0.02, 0.02, 0.0]

        assert [each.p for each in holm(chances)] == pytest.approx(adjusted(chances, "holm"), abs=1e-9)
        assert benjamini_hochberg(chances) == pytest.approx(adjusted(chances, "fdr_bh"), abs=1e-9)


def test_means_agree_with_scipy_on_the_rows_with_the_added_two() -> None:
    """Student's t of a mean, and of a difference with its test."""
    from scipy import stats

    rows = np.random.default_rng(5).beta(3, 2, 40)
    found, more = mean(rows), [*rows, 0.0, 1.0]
    low, high = stats.t.interval(0.95, 41, np.mean(more), stats.sem(more))

    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)

    off = rows - np.random.default_rng(6).beta(3, 2, 40)
    method = PairedMeans(off.sum(keepdims=True), (off * off).sum(keepdims=True), np.array([40.0]))
    oracle = stats.ttest_1samp([*off, 1.0, -1.0], 0)
    ends = oracle.confidence_interval(0.95)
    assert method.p()[0] == pytest.approx(oracle.pvalue, abs=1e-9)
    assert [end[0] for end in method.interval(np.array([0.05]))] == pytest.approx([ends.low, ends.high], abs=1e-9)
    above = stats.ttest_1samp([*off, 1.0, -1.0], -0.05, alternative="greater")
    assert method.p_above(-0.05)[0] == pytest.approx(above.pvalue, abs=1e-9)


def test_sign_flips_agree_with_evalstats() -> None:
    """Up to the noise of their draws; the rows of a cluster are flipped together."""
    rng = np.random.default_rng(7)
    for shift in (0.0, 0.03, 0.1):
        off = rng.normal(shift, 0.2, 40)
        oracle = oracle_sign_flip(off, statistic="mean", n_samples=20_000, rng=rng)
        assert sign_flip(off) == pytest.approx(oracle, abs=0.015)

    pairs_of_rows = np.repeat([0.3, 0.2, 0.1, 0.2], 2)
    assert sign_flip(pairs_of_rows, clusters=np.repeat(np.arange(4), 2)) == pytest.approx(2 / 16, abs=0.01)
    assert sign_flip(np.zeros(9)) == 1.0


def test_clusters_of_one_row_are_rows() -> None:
    """Where every cluster is a row, the interval is that of rows, up to the degrees of freedom."""
    rows = np.random.default_rng(8).beta(3, 2, 400)
    alone, clustered = mean(rows), mean_in_clusters(rows, np.ones(400))

    assert alone is not None
    assert clustered is not None
    assert (clustered.low, clustered.high) == pytest.approx((alone.low, alone.high), abs=1e-4)
    single = PairedMeans(rows.sum(keepdims=True), (rows * rows).sum(keepdims=True), np.array([400.0]))
    grouped = PairedClusters.of(np.stack((rows, np.zeros(400))), np.ones(400), np.array([0]), np.array([1]))
    for ours, theirs in zip(grouped.interval(np.array([0.05])), single.interval(np.array([0.05])), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_clusters_are_worth_fewer_rows_than_they_have() -> None:
    """Clusters that are all right or all wrong are worth about as many rows as there are clusters."""
    hits, sizes = np.array([10.0, 0.0] * 20), np.full(40, 10.0)

    assert 30 < effective_rows(hits, sizes) < 45
    clustered, alone = rate_in_clusters(hits, sizes), rate(200, 400)
    assert clustered is not None
    assert alone is not None
    assert clustered.high - clustered.low > 2.5 * (alone.high - alone.low)
    one = rate_in_clusters([3], [10])
    assert one is not None
    assert (one.low, one.high) == (0.0, 1.0)


def test_rows_needed_equal_the_formulas() -> None:
    """A difference of 8 points at a discordance of 0.2 takes 243 rows, and 243 rows show such a difference."""
    assert rows_to_show(0.08, 0.2) == 243
    assert rows_to_show(0.0, 0.2) is None
    assert detectable(243, 0.2) == pytest.approx(0.08, abs=1e-4)
    assert detectable(0, 0.2) is None
    assert rows_not_worse(0.0, 0.2, 0.05) == 628
    assert rows_not_worse(0.05, 0.2, 0.05) is None


def test_several_samples_of_a_row_are_counted_without_bias() -> None:
    """pass@k and pass^k average to the truth: 1 - (1 - p)^k and p^k."""
    from scipy import stats

    truth, samples, k = 0.3, 8, 3
    counts = np.arange(samples + 1)
    chances = stats.binom.pmf(counts, samples, truth)

    some = sum(c * pass_at(k, passed=int(n), samples=samples) for n, c in zip(counts, chances, strict=True))
    every = sum(c * pass_all(k, passed=int(n), samples=samples) for n, c in zip(counts, chances, strict=True))
    assert some == pytest.approx(1 - (1 - truth) ** k, abs=1e-9)
    assert every == pytest.approx(truth**k, abs=1e-9)
    with pytest.raises(ValueError, match="no chance"):
        pass_at(9, passed=1, samples=8)


def test_variance_splits_into_rows_and_sampling() -> None:
    """Rows of spread 0.2 sampled four times with spread 0.1: variances of 0.04 and 0.01."""
    rng = np.random.default_rng(9)
    rows = rng.normal(0.5, 0.2, 3_000)[:, None] + rng.normal(0, 0.1, (3_000, 4))
    found = split_variance(rows.tolist())

    assert found is not None
    assert found.rows == pytest.approx(0.04, abs=0.003)
    assert found.sampling == pytest.approx(0.01, abs=0.001)
    assert found.error(rows=3_000, samples=4) == pytest.approx(rows.mean(axis=1).std() / 3_000**0.5, rel=0.05)
    assert split_variance([[1.0], [0.0]]) is None
