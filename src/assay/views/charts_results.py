"""Charts of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assay.money import from_pico
from assay.workbench.standing import ContestantScore


def quality_against_cost(board: Sequence[ContestantScore], colours: Mapping[str, str]) -> Any:
    """Cost in USD across (logarithmic where it spans), score with its 95 % interval up; one point per contestant.

    Contestants without a score, or of unknown cost, are left out.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for line in board:
        if line.score is None or line.cost_pico is None:
            continue
        score = line.score
        figure.add_trace(
            go.Scatter(
                x=[float(from_pico(line.cost_pico))], y=[score.mean], mode="markers+text", text=[line.label],
                textposition="top center", name=line.label, showlegend=False,
                marker={"size": 13, "color": colours[line.key]},
                error_y={"type": "data", "array": [score.high - score.mean], "arrayminus": [score.mean - score.low],
                         "thickness": 1.4, "width": 5},
                hovertemplate="%{text}<br>score %{y:.3f}<br>$%{x}<extra></extra>",
            )
        )  # fmt: skip
    costs = [float(from_pico(b.cost_pico)) for b in board if b.cost_pico]
    log = len(costs) > 1 and max(costs) / min(costs) > 8
    if log:
        marks = _marks(min(costs), max(costs))
        figure.update_xaxes(
            type="log", tickvals=marks, ticktext=[f"${mark:.12f}".rstrip("0").rstrip(".") for mark in marks]
        )
    else:
        figure.update_xaxes(type="linear", tickprefix="$", rangemode="tozero")
    figure.update_xaxes(title="Cost of the run, USD")
    figure.update_yaxes(title="Score", range=[-0.03, 1.12])
    figure.update_layout(height=360, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    return figure


def _marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten from one below `low` to one above `high`; of long ranges the powers alone."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = (1, 2, 5) if len(powers) <= 5 else (1,)
    return [step * 10.0**power for power in powers for step in steps]
