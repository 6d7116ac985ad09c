"""Intervals and paired tests against known values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.intervals import mean_interval, quantile, t_quantile, wilson
from assay.stats.paired import LARGE, compare_paired, mcnemar, sign_flip


def test_wilson_equals_the_published_values() -> None:
    """43 of 50: 0.7381 to 0.9305."""
    found = wilson(43, 50)

    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.7381, 0.9305)
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("df", "value"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (200, 1.972)])
def test_t_quantile_equals_the_tables(df: int, value: float) -> None:
    """The 97.5 % quantile of Student's t."""
    assert t_quantile(0.975, df) == pytest.approx(value, abs=0.002)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_interval_holds_its_mean(values: list[float]) -> None:
    """The interval is within 0..1 and holds the mean."""
    found = mean_interval(values)

    assert found is not None
    assert 0 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 1


def test_nothing_scored_has_no_interval() -> None:
    """No values: None, never 0."""
    assert mean_interval([]) is None
    assert quantile([], 0.5) is None
    assert quantile([1, 2, 3, 4], 0.5) == 2.5


def test_mcnemar_is_the_exact_binomial() -> None:
    """1 against 9 discordant pairs: p = 22/1024; none: 1."""
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(0, 0) == 1.0


def test_sign_flip_agrees_with_every_pattern_and_with_the_normal_law() -> None:
    """Few pairs are counted out; draws and, past the limit, the normal approximation say the same of more."""
    rng = random.Random(3)
    assert sign_flip([1.0, 1.0, 1.0]) == 2 / 8
    assert sign_flip([0.0, 0.0]) == 1.0

    drawn = [rng.gauss(0.03, 0.5) for _ in range(LARGE - 100)]
    normal = math.erfc(abs(sum(drawn)) / math.sqrt(2 * sum(d * d for d in drawn)))
    assert 0.001 < normal < 0.5
    assert sign_flip(drawn) == pytest.approx(normal, abs=0.02)
    assert sign_flip([*drawn, *[1e-9, -1e-9] * 60]) == pytest.approx(normal, abs=1e-3)


def test_sign_flip_finds_nothing_in_noise_as_often_as_it_says() -> None:
    """Of 300 comparisons of equals about one in twenty has p < 0.05."""
    rng = random.Random(5)
    found = sum(sign_flip([rng.uniform(-1, 1) for _ in range(30)], seed=n) < 0.05 for n in range(300))

    assert 4 <= found <= 27


def test_a_hundred_thousand_graded_rows_are_compared_without_resampling() -> None:
    """Scores of a judge are no 0 and 1: what grew with the square of the rows took minutes here."""
    rng = random.Random(7)
    a = {row: rng.random() for row in range(100_000)}
    found = compare_paired(a, {row: min(1.0, value + 0.01) for row, value in a.items()})

    assert found is not None
    assert found.n == 100_000
    assert found.p < 1e-6
    assert 0.009 < found.low < found.delta < found.high <= 0.01


def test_paired_comparison_joins_by_row() -> None:
    """Rows are joined by key, whatever their order; rows that only one has are left out."""
    a = {"r1": 0.0, "r2": 0.0, "r3": 1.0, "only a": 1.0}
    b = {"r3": 1.0, "r2": 1.0, "r1": 0.0, "only b": 0.0}
    found = compare_paired(a, b)

    assert found is not None
    assert (found.n, found.better, found.worse, found.ties) == (3, 1, 0, 2)
    assert found.delta == pytest.approx(1 / 3)
    assert found.low <= found.delta <= found.high
    assert compare_paired({"x": 1.0}, {"y": 1.0}) is None


@given(st.dictionaries(st.integers(0, 60), st.floats(0, 1), min_size=2))
def test_equal_contestants_are_never_different(values: dict[int, float]) -> None:
    """Against itself: no difference, p = 1."""
    found = compare_paired(values, values)

    assert found is not None
    assert found.delta == 0
    assert found.p == 1.0
