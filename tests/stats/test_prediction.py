"""Predictions of a bill from a few rows (STATISTICS 2 and 6)."""

import math
import random
from collections.abc import Callable

import pytest

from assay.stats.prediction import Part, Sample, predict

ROWS, PILOT = 200, 5


def covered(draw: Callable[[random.Random], float], *, trials: int = 2_000) -> float:
    """Share of runs whose bill lies in the interval that a pilot gave."""
    rng, hits = random.Random(11), 0
    for _ in range(trials):
        costs = [draw(rng) for _ in range(ROWS)]
        drawn = costs[:PILOT]
        found = predict([Part(sum(drawn), ROWS - PILOT, Sample.of(drawn))])
        assert found is not None
        hits += found.low <= sum(costs) <= found.high
    return hits / trials


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: max(0.0, rng.gauss(100, 30)),
        lambda rng: rng.gammavariate(2, 50),
        lambda rng: rng.gammavariate(1, 80),
    ],
    ids=["normal", "gamma 2", "gamma 1"],
)
def test_prediction_from_a_pilot_of_five_rows_holds_the_bill(draw: Callable[[random.Random], float]) -> None:
    """Normal and gamma lengths: the interval holds the bill in at least 85 % of runs."""
    assert covered(draw) >= 0.85


def test_prediction_of_heavy_tails_is_told_apart() -> None:
    """Lognormal lengths with sigma 1.2 are told as heavy in most pilots, normal ones in none."""
    rng = random.Random(3)
    heavy = [Sample.of(math.exp(rng.gauss(0, 1.2)) for _ in range(PILOT)).heavy for _ in range(1_000)]
    normal = [Sample.of(rng.gauss(100, 20) for _ in range(PILOT)).heavy for _ in range(1_000)]

    assert sum(heavy) > 700
    assert sum(normal) == 0


def test_prediction_of_a_finished_part_is_what_was_paid() -> None:
    """Nothing to come: the bill is known, whatever the rows differed by."""
    found = predict([Part(1_000.0, 0, Sample.of([1.0, 999.0]))])

    assert found is not None
    assert (found.low, found.expected, found.high, found.heavy) == (1_000, 1_000, 1_000, False)


def test_prediction_from_one_row_is_none() -> None:
    """One row has no scatter to go by: nothing is predicted, never a width of zero."""
    assert predict([Part(5.0, 9, Sample.of([5.0]))]) is None


def test_prediction_adds_the_parts_as_if_dear_rows_were_dear_for_all() -> None:
    """Two equal parts are twice one, and so is the half-width."""
    part = Part(300.0, 97, Sample.of([90.0, 100.0, 110.0]))
    one, two = predict([part]), predict([part, part])

    assert one is not None
    assert two is not None
    assert two.expected == pytest.approx(2 * one.expected)
    assert two.high - two.expected == pytest.approx(2 * (one.high - one.expected))


def test_prediction_never_lies_below_what_is_paid() -> None:
    """However wide the interval, the low end keeps what the ledger holds."""
    found = predict([Part(50.0, 1_000, Sample.of([1.0, 49.0]))])

    assert found is not None
    assert found.low >= 50
