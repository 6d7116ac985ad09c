"""Charts through the figure's data: labels that can be read, marks that say their whole amount."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from assay.exports.scoreboard import ContestantScore
from assay.stats.values import Estimate
from assay.views.charts.axes import dollars, log_axis, tokens
from assay.views.charts.point_labels import Point, sides
from assay.views.charts.results import quality_against_cost


def line(label: str, score: float, cost_pico: int, *, prompt: int = 0) -> ContestantScore:
    """A line of the scoreboard."""
    return ContestantScore(
        prompt=prompt,
        contestant=0,
        label=label,
        key="key",
        colour="#123456",
        score=Estimate(score, max(0.0, score - 0.06), min(1.0, score + 0.06), 65, ""),
        passes=None,
        cells=65,
        answered=65,
        scored=65,
        failed=0,
        cost_pico=cost_pico,
        known_pico=cost_pico,
        unknown_cells=0,
        correct=0,
        p50_ms=None,
        p95_ms=None,
        prompt_tokens=0,
        completion_tokens=0,
        cost_per_row=cost_pico / 65,
    )


def test_labels_of_near_points_stand_on_different_sides() -> None:
    """Two points beside each other are both named, away from each other."""
    near = [Point(0.70, 0.1, 0.1, 0.15, "scribe · prompt 2"), Point(0.76, 0.1, 0.1, 0.15, "atlas-large · prompt 2")]

    assert sides(near) == ["middle left", "bottom left"]


def test_label_without_room_is_left_out() -> None:
    """Of points that lie on one another not all are named: hovering does."""
    found = sides([Point(0.5, 0.5, 0.45, 0.55, f"contestant number {n}") for n in range(12)])

    assert found[0] is not None
    assert None in found
    assert all(a != b for a, b in combinations(filter(None, found), 2))


def test_label_crosses_an_interval_rather_than_be_missing() -> None:
    """Two points near the right edge, the left one's interval beside the other's mark: both are named."""
    points = [
        Point(0.07, 0.85, 0.79, 0.91, "swift"),
        Point(0.93, 0.95, 0.87, 1.0, "atlas-large"),
        Point(0.90, 0.88, 0.78, 0.98, "scribe"),
    ]
    found = sides(points)

    assert None not in found
    assert found[1] in ("middle left", "top left")


def test_label_at_an_edge_stays_inside() -> None:
    """A point at the right edge is named on its left, one at the left edge on its right."""
    assert sides([Point(0.86, 0.5, 0.4, 0.6, "atlas-large")]) == ["middle left"], "on a telephone"
    assert sides([Point(0.98, 0.5, 0.4, 0.6, "atlas-large")]) == ["middle left"]
    assert sides([Point(0.02, 0.5, 0.4, 0.6, "atlas-large")]) == ["middle right"]


def test_frontier_names_points_beside_their_intervals() -> None:
    """No label stands above its point, where the interval is drawn; a prompt version has its own symbol."""
    board = [
        line("swift", 0.81, 1_900_000_000),
        line("atlas", 0.92, 34_000_000_000),
        line("atlas v2", 0.0, 10**11, prompt=1),
    ]
    figure = quality_against_cost(board, {"key": "#123456"})

    points = [trace for trace in figure.data if trace.name != "frontier"]
    assert "top center" not in [trace.textposition for trace in points]
    assert sorted(trace.marker.symbol for trace in points) == ["circle", "circle", "diamond"]
    assert [trace.marker.color for trace in points if trace.name == "atlas v2"] == ["#8b90a0"], "dominated"
    assert figure.layout.xaxis.type == "log"


def test_frontier_of_many_names_those_that_matter() -> None:
    """Of 36 points only those on the frontier and those possibly best are named; the others say it on hovering."""
    board = [line(f"contestant {n}", 0.3 + n / 100 if n % 4 else 0.2, 10**9 * (n + 1)) for n in range(36)]
    board[5] = replace(board[5], rank_low=1, score=Estimate(0.21, 0.1, 0.9, 65, ""))
    figure = quality_against_cost(board, {"key": "#123456"})

    points = {trace.name: trace for trace in figure.data}
    assert points["frontier"].mode == "lines"
    assert points["contestant 8"].text == ("",)
    assert points["contestant 5"].marker.color == "#123456", "possibly best"
    assert len(points) == 37


def test_latency_stands_across_where_it_is_chosen() -> None:
    """Half of the answers at the point, 19 of 20 at the end of its line."""
    shown = replace(line("swift", 0.8, 10**9), p50_ms=200.0, p95_ms=900.0)
    (point,) = quality_against_cost([shown], {"key": "#123456"}, across="latency").data

    assert point.x == (0.2,)
    assert point.error_x.array == (0.7,)


def test_frontier_of_nothing_is_an_empty_chart() -> None:
    """Without a score there is no point, and no error."""
    assert len(quality_against_cost([], {}).data) == 0


def test_log_axis_marks_say_whole_amounts() -> None:
    """No lone digits: every mark is an amount, and of long ranges the powers of ten alone are marked."""
    short, long = log_axis(0.002, 0.12, dollars), log_axis(0.0001, 100.0, dollars)

    assert {"$0.005", "$0.01", "$0.1"} <= set(short["ticktext"])
    assert long["ticktext"] == ["$0.0001", "$0.001", "$0.01", "$0.1", "$1", "$10", "$100"]
    assert [tokens(n) for n in (500, 8000, 1_000_000)] == ["500", "8k", "1M"]
