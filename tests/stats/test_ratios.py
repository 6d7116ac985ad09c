"""Ratios of medians: latency, cost and tokens of two contestants on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from assay.stats.ratios import MANY, ratio_of_medians


def test_interval_holds_the_ratio() -> None:
    """Long-tailed times, 30 rows: in about 95 %."""
    held = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        found = ratio_of_medians(2 * rng.lognormal(0, 1, 30), rng.lognormal(0, 1, 30), seed=seed)
        assert found is not None
        assert found.low <= found.value <= found.high
        held += found.low <= 2 <= found.high

    assert held >= 0.88 * 150


def test_rows_are_drawn_in_pairs() -> None:
    """Times that follow each other have a ratio that is known well, however much they spread."""
    slow = np.random.default_rng(1).lognormal(0, 2, 60)
    found = ratio_of_medians(3 * slow, slow)

    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((3, 3, 3))


def test_clusters_are_drawn_whole() -> None:
    """Rows of a customer that are alike say less than as many rows alone."""
    level = np.repeat(np.random.default_rng(2).lognormal(0, 1, 12), 20)
    times = level * np.random.default_rng(3).lognormal(0, 0.1, 240)
    other = np.random.default_rng(4).lognormal(0, 0.1, 240)
    alone, grouped = ratio_of_medians(times, other), ratio_of_medians(times, other, codes=np.repeat(np.arange(12), 20))

    assert alone is not None
    assert grouped is not None
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_very_many_rows_have_a_narrow_interval() -> None:
    """Some are drawn, and the interval is that of all: as narrow as the root of their number makes it."""
    rng = np.random.default_rng(5)
    times, other = rng.lognormal(0, 1, 16 * MANY), rng.lognormal(0, 1, 16 * MANY)
    found, part = ratio_of_medians(times, other), ratio_of_medians(times[:MANY], other[:MANY])

    assert found is not None
    assert part is not None
    assert 2.5 < (part.high - part.low) / (found.high - found.low) < 6
    assert found.low < 1 < found.high


def test_few_rows_and_a_median_of_nothing_have_no_ratio() -> None:
    """Below six rows, or where the second costs nothing: None."""
    assert ratio_of_medians([1.0] * 5, [1.0] * 5) is None
    assert ratio_of_medians([1.0] * 9, [0.0] * 9) is None


def test_same_seed_gives_the_same_interval() -> None:
    """What is shown twice is the same twice."""
    times = np.random.default_rng(6).lognormal(0, 1, 50)

    assert ratio_of_medians(times, times[::-1]) == ratio_of_medians(times, times[::-1])
