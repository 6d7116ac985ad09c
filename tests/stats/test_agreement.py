"""P values and intervals say the same, whatever the scores: of every method, and of every decision."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.clustered import PairedClusters
from assay.stats.decision import PairRows, compare, decide
from assay.stats.means import mean
from assay.stats.paired_means import PairedMeans
from assay.stats.paired_rates import PairedRates
from assay.stats.pairs import Method, pairs_of
from assay.stats.rates import rate
from assay.stats.sequences import PairedSoFar, on_grid, steps_of
from assay.stats.values import ContestantRows, Decision, Look

NEAR = 1e-9
ONE_PAIR = np.array([0]), np.array([1])
scores = st.sampled_from([0.0, 1.0]) | st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1, allow_subnormal=False)
LINES = {
    "rates": st.sampled_from([0.0, 1.0]),
    "graded": st.floats(0, 1, allow_subnormal=False).map(lambda value: round(value, 6)),
    "mostly right": st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.9, 0.0]),
}


def methods(first: list[float], second: list[float]) -> list[Method]:
    """Every method that fits two lines of scores."""
    one, other = np.array(first), np.array(second)
    off, n = one - other, np.array([float(len(first))])
    pairs = np.arange(len(first)) // 2
    found: list[Method] = [
        PairedMeans(off.sum(keepdims=True), (off * off).sum(keepdims=True), n),
        PairedClusters.of(
            np.stack((np.bincount(pairs, one), np.bincount(pairs, other))), np.bincount(pairs).astype(float), *ONE_PAIR
        ),
        PairedSoFar(on_grid((1 + off[None, :]) / 2, 2 * steps_of(np.stack((one, other))))),
    ]
    cluster_sums = pairs_of(np.stack((one, other)), *ONE_PAIR, pairs, anytime=True)
    found.append(cluster_sums.method)
    if set(first) | set(second) <= {0.0, 1.0}:
        found.append(PairedRates(*(np.array([float((side > 0).sum())]) for side in (off, -off)), n))
    return found


@pytest.mark.parametrize("kind", LINES)
@settings(max_examples=50)
@given(data=st.data())
def test_interval_leaves_nothing_out_exactly_where_the_test_rejects(kind: str, data: st.DataObject) -> None:
    """p < alpha where the interval at 1 - alpha excludes 0, and p > alpha where it does not, for each method."""
    n = data.draw(st.integers(1, 40))
    first, second = (data.draw(st.lists(LINES[kind], min_size=n, max_size=n)) for _ in range(2))
    alpha = data.draw(st.sampled_from([0.05, 0.01, 0.05 / 28]))

    for method in methods(first, second):
        p, (low, high) = float(method.p()[0]), method.interval(np.array([alpha]))
        if abs(p - alpha) > 1e-6:
            assert (p < alpha) == (low[0] > 0 or high[0] < 0)
        above = 2 * float(method.p_above(-0.05)[0])
        if abs(above - alpha) > 1e-6:
            assert (above < alpha) == (low[0] > -0.05)


@pytest.mark.parametrize("kind", LINES)
@settings(max_examples=50)
@given(data=st.data())
def test_interval_turns_with_its_sides_and_grows_with_confidence(kind: str, data: st.DataObject) -> None:
    """Swapping the two negates the interval and keeps p; more confidence is wider; it is never of no width."""
    n = data.draw(st.integers(1, 40))
    first, second = (data.draw(st.lists(LINES[kind], min_size=n, max_size=n)) for _ in range(2))

    for one, other in zip(methods(first, second), methods(second, first), strict=True):
        (low, high), turned = one.interval(np.array([0.05])), other.interval(np.array([0.05]))
        wider = one.interval(np.array([0.01]))
        assert one.p()[0] == pytest.approx(other.p()[0], abs=NEAR)
        assert (low[0], high[0]) == pytest.approx((-turned[1][0], -turned[0][0]), abs=1e-7)
        assert -1 <= wider[0][0] <= low[0] + NEAR
        assert high[0] - NEAR <= wider[1][0] <= 1
        assert high[0] - low[0] > 1e-3
        assert low[0] - NEAR <= np.mean(first) - np.mean(second) <= high[0] + NEAR


@given(st.lists(scores, min_size=1, max_size=60))
def test_interval_of_a_mean_holds_it_and_has_a_width(values: list[float]) -> None:
    """Of graded scores and of rates, within 0..1."""
    found = rate(int(sum(values)), len(values)) if set(values) <= {0.0, 1.0} else mean(values)

    assert found is not None
    assert 0 <= found.low <= found.value + NEAR
    assert found.value - NEAR <= found.high <= 1
    assert found.high - found.low > 0.01


def test_no_rows_have_no_interval() -> None:
    """No rows: None, never 0."""
    assert rate(0, 0) is None
    assert mean([]) is None


def family(lines: list[list[float]]) -> list[ContestantRows]:
    """Contestants of so many lines of scores."""
    return [ContestantRows(f"k{at}", f"m{at}", dict(enumerate(line)), float(at + 1)) for at, line in enumerate(lines)]


def check(found: Decision) -> None:
    """What must hold of every decision."""
    for d in found.differences:
        assert d.value >= 0
        assert d.better + d.worse + d.ties == d.n
        assert d.low - NEAR <= d.value <= d.high + NEAR
        assert d.family_low <= d.low + NEAR
        assert d.high <= d.family_high + NEAR
        assert d.p <= d.p_adjusted <= min(1.0, d.p * len(found.differences)) + NEAR
        if abs(d.p_adjusted - 0.05) > 1e-6:
            assert (d.p_adjusted < 0.05) == (d.family_low > 0 or d.family_high < 0)
    for line in found.standings:
        assert line.score is not None
        assert line.best_of is not None
        assert line.best_of.low <= line.score.low <= line.score.value <= line.score.high <= line.best_of.high
        assert 1 <= (line.rank_low or 1) <= (line.rank_high or 1) <= len(found.standings)
    for candidate in found.candidates:
        below = candidate.check.low > -candidate.check.margin
        if abs(candidate.check.p_adjusted - 0.05) > 1e-6:
            assert below == (candidate.check.p_adjusted < 0.05)


@pytest.mark.parametrize("look", ["planned", "early"])
@settings(max_examples=50)
@given(data=st.data())
def test_decision_agrees_with_itself(look: Look, data: st.DataObject) -> None:
    """Intervals, p values, ranks and claims of a family never contradict each other."""
    n, k = data.draw(st.integers(3, 30)), data.draw(st.integers(2, 4))
    kind = LINES[data.draw(st.sampled_from(sorted(LINES)))]
    lines = [data.draw(st.lists(kind, min_size=n, max_size=n)) for _ in range(k)]

    found = decide(family(lines), look=look)

    check(found)
    assert found.all_zero == (not any(map(any, lines)))
    assert (found.claim == "best") == (len(found.leaders) == 1 and not found.all_zero)
    assert found.standings[0].key in found.leaders


def test_order_of_contestants_does_not_matter() -> None:
    """Whoever is named first, the decision is the same."""
    rng = np.random.default_rng(4)
    lines = family([(rng.random(60) < rate).astype(float).tolist() for rate in (0.9, 0.6, 0.8)])
    found = {repr(decide(list(order))) for order in permutations(lines)}

    assert len(found) == 1


def test_order_of_rows_does_not_matter() -> None:
    """Rows are joined by their key, in whatever order each contestant has them."""
    rng = np.random.default_rng(5)
    one = {f"row {row}": float(rng.random() < 0.8) for row in range(80)}
    other = {f"row {row}": float(rng.random() < 0.6) for row in range(80)}
    turned = dict(reversed(other.items()))
    first = ContestantRows("a", "a", one)

    straight = compare([PairRows(first, ContestantRows("b", "b", other))])
    assert straight == compare([PairRows(first, ContestantRows("b", "b", turned))])
