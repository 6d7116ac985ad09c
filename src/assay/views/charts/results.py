"""Charts of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assay.exports.scoreboard import ContestantScore
from assay.money import format_usd, from_pico
from assay.stats.values import Estimate
from assay.views.charts.axes import dollars, log_axis
from assay.views.charts.point_labels import Point, sides

LOG_FROM = 8
"""Costs that lie further apart than so many times are drawn on a logarithmic axis."""
SCORES = (-0.08, 1.08)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")
"""By prompt version: the colour is the contestant's."""


class _Placed(NamedTuple):
    line: ContestantScore
    score: Estimate
    cost: float
    """USD."""


def quality_against_cost(board: Sequence[ContestantScore], colours: Mapping[str, str]) -> Any:
    """Cost in USD across (logarithmic where it spans), score with its 95 % interval up; one point per contestant.

    Contestants without a score, or of unknown cost, are left out.
    """
    import plotly.graph_objects as go

    placed = [
        _Placed(line, line.score, float(from_pico(line.cost_pico)))
        for line in board
        if line.score is not None and line.cost_pico is not None
    ]
    axis = _cost_axis([each.cost for each in placed])
    figure = go.Figure()
    for (line, score, cost), side in zip(placed, sides(_points(placed, axis)), strict=True):
        figure.add_trace(
            go.Scatter(
                x=[cost],
                y=[score.value],
                mode="markers+text",
                text=[line.label if side else ""],
                name=line.label,
                textposition=side or "middle right",
                showlegend=False,
                cliponaxis=False,
                marker={"size": 12, "color": colours[line.key], "symbol": SYMBOLS[line.prompt % len(SYMBOLS)]},
                error_y={
                    "type": "data",
                    "array": [score.high - score.value],
                    "arrayminus": [score.value - score.low],
                    "thickness": 1.4,
                    "width": 5,
                },
                hovertemplate=f"%{{fullData.name}}<br>score %{{y:.3f}}<br>{format_usd(line.cost_pico)}<extra></extra>",
            )
        )
    figure.update_xaxes(title="Cost of the run, USD", **axis)
    figure.update_yaxes(title="Score", range=list(SCORES), zeroline=False)
    figure.update_layout(height=360, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    return figure


def _cost_axis(costs: Sequence[float]) -> dict[str, Any]:
    known = [cost for cost in costs if cost > 0]
    if len(known) > 1 and max(known) / min(known) > LOG_FROM:
        return log_axis(min(known), max(known), dollars)
    return {"type": "linear", "tickprefix": "$", "exponentformat": "none", "range": [0, 1.15 * max(known, default=1.0)]}


def _points(placed: Sequence[_Placed], axis: Mapping[str, Any]) -> list[Point]:
    """The points as shares of the plot; on a logarithmic axis a cost of 0 is not drawn and stands at its left end."""
    (start, end), (bottom, top) = axis["range"], SCORES

    def across(cost: float) -> float:
        place = cost if axis["type"] == "linear" else math.log10(cost) if cost else start
        return float((place - start) / (end - start))

    def up(score: float) -> float:
        return (score - bottom) / (top - bottom)

    return [
        Point(across(cost), up(score.value), up(score.low), up(score.high), line.label) for line, score, cost in placed
    ]
