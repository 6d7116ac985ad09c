"""Charts of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.openrouter.catalogue import Model
from assay.views.charts.axes import dollars, log_axis, tokens


def price_against_context(models: Sequence[Model]) -> Any:
    """Context length across, USD per million completion tokens up, both logarithmic; free models are left out."""
    import plotly.graph_objects as go

    shown = [m for m in models if m.context_length and m.completion_usd_per_million]
    contexts = [float(m.context_length or 0) for m in shown]
    prices = [float(m.completion_usd_per_million or 0) for m in shown]
    figure = go.Figure(
        go.Scatter(
            x=contexts,
            y=prices,
            mode="markers",
            marker={"size": 10, "color": "#6366f1"},
            text=[m.id for m in shown],
            hovertemplate="%{text}<br>context %{x:,}<br>$%{y} per million<extra></extra>",
        )
    )
    figure.update_xaxes(title="Context, tokens", **(log_axis(min(contexts), max(contexts), tokens) if shown else {}))
    figure.update_yaxes(
        title="USD per million completion tokens", **(log_axis(min(prices), max(prices), dollars) if shown else {})
    )
    figure.update_layout(height=340, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    return figure
