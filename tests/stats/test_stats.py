"""Intervals and paired tests against known values, and cases in which they once contradicted each other."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.decision import PairRows, compare
from assay.stats.quantiles import quantile, t_quantile
from assay.stats.rates import rate
from assay.stats.standings import estimates
from assay.stats.values import Comparison, ContestantRows, Estimate


def compared(a: Mapping[Hashable, float | None], b: Mapping[Hashable, float | None]) -> Comparison | None:
    """B against A."""
    (found,) = compare([PairRows(ContestantRows("b", "b", b), ContestantRows("a", "a", a))])
    return found


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of a contestant's rows, as a scoreboard has it."""
    (found,) = estimates(np.array([values]), None, 0.95)
    return found


def test_wilson_equals_the_published_values() -> None:
    """43 of 50: 0.7381 to 0.9305."""
    found = rate(43, 50)

    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.7381, 0.9305)
    assert rate(0, 0) is None


@pytest.mark.parametrize(("df", "value"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (200, 1.972)])
def test_t_quantile_equals_the_tables(df: int, value: float) -> None:
    """The 97.5 % quantile of Student's t."""
    assert t_quantile(0.975, df) == pytest.approx(value, abs=0.002)


def test_nothing_has_no_quantile() -> None:
    """No values: None, never 0."""
    assert quantile([], 0.5) is None
    assert quantile([1, 2, 3, 4], 0.5) == 2.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_interval_holds_its_mean_and_is_never_a_point(values: list[float]) -> None:
    """Within 0..1, around the mean, and of some width whatever the values."""
    found = estimate(values)

    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.high - found.low > 0.01


@pytest.mark.parametrize(
    "values", [[1.0] * 30, [1.0] * 29 + [0.9], [0.7] * 5, [0.5, 0.5], [0.0] * 8, [0.3]], ids=lambda v: f"{len(v)} rows"
)
def test_equal_values_leave_doubt(values: list[float]) -> None:
    """Rows that agree do not show that all rows will."""
    found = estimate(values)

    assert found.high - found.low > 0.05


@pytest.mark.parametrize("n", [2, 3, 5, 6, 20])
def test_all_lost_against_all_won_has_an_interval_that_agrees_with_its_test(n: int) -> None:
    """p below 0.05 exactly where the interval leaves 0 out, for two rows as for twenty."""
    found = compared({row: 0.0 for row in range(n)}, {row: 1.0 for row in range(n)})

    assert found is not None
    line = found.difference
    assert (line.low > 0) == (line.p < 0.05)
    assert line.low < line.value == 1.0 <= line.high
    assert line.real == (line.p_adjusted < 0.05)


def test_two_rows_of_twenty_behind_is_not_shown() -> None:
    """Ninety per cent against all: the interval holds 0, as the test says."""
    found = compared({row: float(row < 18) for row in range(20)}, {row: 1.0 for row in range(20)})

    assert found is not None
    assert found.difference.low < 0 < found.difference.high
    assert found.difference.p > 0.05


def test_interval_near_the_ceiling_holds_the_truth() -> None:
    """90 % ones, 8 % at 0.8, 2 % zeros: once 77 % of such intervals held the mean of 0.964."""
    rng = np.random.default_rng(1)
    scores = rng.choice([1.0, 0.8, 0.0], (2_000, 30), p=[0.9, 0.08, 0.02])

    held = [found.low <= 0.964 <= found.high for found in estimates(scores, None, 0.95)]

    assert sum(held) / len(held) > 0.94


def test_a_hundred_thousand_graded_rows_are_compared_at_once() -> None:
    """Scores of a judge are no 0 and 1: what grew with the square of the rows took minutes here."""
    rng = random.Random(7)
    a: dict[Hashable, float | None] = {row: rng.random() for row in range(100_000)}
    b = {row: min(1.0, (value or 0.0) + 0.01) for row, value in a.items()}
    compared({0: 1.0}, {0: 1.0})  # imports SciPy

    started = time.thread_time()
    found = compared(a, b)

    assert time.thread_time() - started < 5
    assert found is not None
    assert found.difference.n == 100_000
    assert found.difference.p < 1e-6
    assert 0.009 < found.difference.low < found.difference.value < found.difference.high <= 0.0101


def test_comparison_joins_by_row() -> None:
    """Rows are joined by key, whatever their order; rows that only one has are left out."""
    found = compared({"r1": 0.0, "r2": 0.0, "r3": 1.0, "only a": 1.0}, {"r3": 1.0, "r2": 1.0, "r1": 0.0, "only b": 0.0})

    assert found is not None
    line = found.difference
    assert (line.n, line.better, line.worse, line.ties) == (3, 1, 0, 2)
    assert line.value == pytest.approx(1 / 3)
    assert line.low <= line.value <= line.high
    assert compared({"x": 1.0}, {"y": 1.0}) is None


@given(st.dictionaries(st.integers(0, 60), st.floats(0, 1), min_size=2))
def test_equal_contestants_are_never_different(values: dict[Hashable, float | None]) -> None:
    """Against itself: no difference, p = 1."""
    found = compared(values, values)

    assert found is not None
    assert found.difference.value == 0
    assert found.difference.p == 1.0
    assert not found.difference.real
    assert math.isfinite(found.difference.low)
