"""Charts of spend. Amounts are known money in USD; the unknown is never drawn as zero, it stands in words beside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from assay.domain.colours import colours_of
from assay.domain.contestant import Contestant
from assay.money import from_pico
from assay.workbench.spending.spend import SpendLine

LAYOUT = {"height": 300, "margin": {"l": 10, "r": 10, "t": 10, "b": 10}}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
DAY_MS = 86_400_000


def stacked_days(days: Sequence[tuple[str, str, int]], *, most: int = 8) -> Any:
    """A stacked bar per day, a colour per model; models past the dearest `most` are one group."""
    import plotly.graph_objects as go

    totals: dict[str, int] = defaultdict(int)
    for _, model, pico in days:
        totals[model] += pico
    shown = sorted(totals, key=lambda m: -totals[m])[:most]
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for day, model, pico in days:
        sums[day, model if model in shown else "others"] += pico
    axis = sorted({day for day, _, _ in days})
    chosen = [Contestant(model) for model in shown]
    colours = {c.model: colour for c, colour in zip(chosen, colours_of(chosen).values(), strict=True)}
    figure = go.Figure()
    for model in [*shown, "others"]:
        values = [float(from_pico(sums.get((day, model), 0))) for day in axis]
        if any(values):
            figure.add_trace(go.Bar(x=axis, y=values, name=model, marker={"color": colours.get(model, "#8b90a0")}))
    figure.update_layout(barmode="stack", legend=LEGEND, **LAYOUT)
    _days(figure, axis)
    figure.update_yaxes(tickprefix="$", exponentformat="none")
    return figure


def cumulative(lines: Sequence[SpendLine]) -> Any:
    """Known spend added up over the days."""
    import plotly.graph_objects as go

    axis = [line.label for line in lines]
    values = [float(from_pico(value)) for value in accumulate(line.sum.known_pico for line in lines)]
    figure = go.Figure(go.Scatter(x=axis, y=values, mode="lines+markers", fill="tozeroy"))
    figure.update_layout(**LAYOUT)
    _days(figure, axis)
    figure.update_yaxes(tickprefix="$", exponentformat="none", rangemode="tozero")
    return figure


def tokens(lines: Sequence[SpendLine]) -> Any:
    """Tokens by kind, stacked per day: prompt without cached, cached, answer, reasoning."""
    import plotly.graph_objects as go

    axis = [line.label for line in lines]
    kinds = {
        "prompt": [s.sum.prompt_tokens - s.sum.cached_tokens for s in lines],
        "cached prompt": [s.sum.cached_tokens for s in lines],
        "answer": [s.sum.completion_tokens - s.sum.reasoning_tokens for s in lines],
        "reasoning": [s.sum.reasoning_tokens for s in lines],
    }
    figure = go.Figure([go.Bar(x=axis, y=values, name=kind) for kind, values in kinds.items() if any(values)])
    figure.update_layout(barmode="stack", legend=LEGEND, **LAYOUT)
    _days(figure, axis)
    return figure


def _days(figure: Any, axis: Sequence[str]) -> None:
    """A time axis: days without calls are gaps; with few days a mark on each, never on hours."""
    few = {"dtick": DAY_MS} if len(axis) <= 10 else {}
    figure.update_xaxes(type="date", tickformat="%d %b", hoverformat="%Y-%m-%d", **few)
    if len(axis) == 1:
        figure.update_xaxes(tickvals=axis)
