"""What a point is worth moves the recommendation along the frontier."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from assay.exports.scoreboard import ContestantScore
from assay.stats.values import Estimate
from assay.workbench.results.worth import Offer, frontier, offers, recommended, turning_points, usd_per_thousand

LINE = ContestantScore(0, 0, "", "", "", None, None, 1, 1, 1, 0, 1, 1, 0, 1, None, None, 0, 0)


def offer(label: str, points: float, price: float) -> Offer:
    """A contestant at a price."""
    return Offer(replace(LINE, label=label), points, price)


def test_recommendation_turns_where_the_dearer_one_pays() -> None:
    """10 points for 2 dollars more: from 0.20 a point on the dear one is taken; the dominated one never."""
    found = [offer("dear", 90, 3), offer("cheap", 80, 1), offer("dominated", 79, 2)]

    assert [one.line.label for one in frontier(found)] == ["cheap", "dear"]
    assert turning_points(found) == [0.2]
    for value, label in ((0.0, "cheap"), (0.19, "cheap"), (0.21, "dear")):
        chosen = recommended(found, value)
        assert chosen is not None
        assert chosen.line.label == label


def test_who_has_no_score_or_price_is_no_offer() -> None:
    """Nothing is recommended of nothing; an unknown cost is not 0."""
    scored = replace(LINE, score=Estimate(0.5, 0.4, 0.6, 9, ""))

    assert offers([LINE, scored], usd_per_thousand) == []
    assert recommended([], 1.0) is None
    assert turning_points([]) == []
    assert len(offers([replace(scored, cost_per_row=10.0**9)], usd_per_thousand)) == 1


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1000)), max_size=12),
    st.floats(0, 100),
)
def test_recommended_is_worth_most_of_all(given_: list[tuple[int, int]], value: float) -> None:
    """No offer, on the frontier or off it, is worth more; turning points ascend."""
    found = [offer(str(n), points, price) for n, (points, price) in enumerate(given_)]
    chosen = recommended(found, value)

    worth = [one.points * value - one.price for one in found]
    assert (chosen is None) == (not found)
    if chosen is not None:
        assert chosen.points * value - chosen.price >= max(worth) - 1e-6
    assert turning_points(found) == sorted(turning_points(found))
