"""Charts of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from assay.exports.scoreboard import ContestantScore
from assay.stats.values import Estimate
from assay.views.charts.axes import dollars, log_axis
from assay.views.charts.point_labels import Point, sides
from assay.workbench.results.worth import Offer, frontier, offers, usd_per_thousand

LOG_FROM = 8
"""Prices that lie further apart than so many times are drawn on a logarithmic axis."""
SCORES = (-0.08, 1.08)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")
"""By prompt version: the colour is the contestant's."""
GREY = "#8b90a0"
"""Of what somebody dominates, and surely is not best."""
NAMED = 12
"""Points up to which all are named; of more, those on the frontier and those that are possibly best."""


class Across(NamedTuple):
    """What stands across: less of it is better."""

    title: str
    price: Callable[[ContestantScore], float | None]
    written: Callable[[float], str]
    high: Callable[[ContestantScore], float | None] = lambda _: None
    """The far end of a range that is drawn to the right; None: no range."""


def _s(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


ACROSS: Mapping[str, Across] = {
    "cost": Across("Cost of 1,000 rows, USD", usd_per_thousand, dollars),
    "latency": Across(
        "Latency, seconds: the median, and a line to p95",
        lambda x: _s(x.p50_ms),
        lambda s: f"{s:g} s",
        lambda x: _s(x.p95_ms),
    ),
}


def quality_against_cost(
    board: Sequence[ContestantScore], colours: Mapping[str, str], *, across: str = "cost", chosen: str | None = None
) -> Any:
    """Cost or latency across (logarithmic where it spans), score with its 95 % interval up; one point per contestant.

    A line joins those that nobody dominates; who is dominated is grey, unless it is possibly best. chosen: label of one
    that is ringed. Contestants without a score, or of unknown cost, are left out.
    """
    import plotly.graph_objects as go

    shown = ACROSS[across]
    placed = [offer for offer in offers(board, shown.price) if not offer.line.left_out]
    best = frontier(placed)
    axis = _axis([offer.price for offer in placed], shown)
    kept = {offer.line.label for offer in best} | {o.line.label for o in placed if o.line.rank_low == 1}
    named = [offer for offer in placed if len(placed) <= NAMED or offer.line.label in kept]
    places = dict(zip([o.line.label for o in named], sides(_points(named, axis)), strict=True))
    figure = go.Figure()
    if len(best) > 1:
        figure.add_trace(_line(go, best))
    for offer in sorted(placed, key=lambda o: o.line.label in kept):
        look = _Look(colours[offer.line.key] if offer.line.label in kept else GREY, places.get(offer.line.label), shown)
        figure.add_trace(_point(go, offer, look, ringed=offer.line.label == chosen))
    figure.update_xaxes(title=shown.title, **axis)
    figure.update_yaxes(title="Score", range=list(SCORES), zeroline=False)
    figure.update_layout(height=400, margin={"l": 10, "r": 10, "t": 20, "b": 10}, showlegend=False)
    return figure


class _Look(NamedTuple):
    colour: str
    side: str | None
    """Where its name stands; None: it is not named."""
    across: Across


def _line(go: Any, best: Sequence[Offer]) -> Any:
    """The best score that so much buys."""
    return go.Scatter(
        x=[offer.price for offer in best],
        y=[offer.points / 100 for offer in best],
        mode="lines",
        line={"shape": "hv", "width": 1.2, "dash": "dot", "color": GREY},
        hoverinfo="skip",
        name="frontier",
    )


def _point(go: Any, offer: Offer, look: _Look, *, ringed: bool) -> Any:
    line, score = offer.line, _score(offer.line)
    far = look.across.high(line)
    marker = {"size": 12, "color": look.colour, "symbol": SYMBOLS[line.prompt % len(SYMBOLS)]}
    if ringed:
        marker |= {"size": 16, "line": {"width": 3, "color": "#f59e0b"}}
    return go.Scatter(
        x=[offer.price],
        y=[score.value],
        mode="markers+text",
        text=[line.label if look.side else ""],
        name=line.label,
        textposition=look.side or "middle right",
        cliponaxis=False,
        marker=marker,
        error_y={
            "type": "data",
            "array": [score.high - score.value],
            "arrayminus": [score.value - score.low],
            "thickness": 1.4,
            "width": 5,
            "color": look.colour,
        },
        error_x=None
        if far is None
        else {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, far - offer.price)],
            "arrayminus": [0],
            "thickness": 1.4,
            "width": 4,
            "color": look.colour,
        },
        hovertemplate=f"%{{fullData.name}}<br>score %{{y:.3f}}<br>{look.across.written(offer.price)}<extra></extra>",
    )


def _score(line: ContestantScore) -> Estimate:
    assert line.score is not None  # noqa: S101 - offers have one
    return line.score


def _axis(prices: Sequence[float], shown: Across) -> dict[str, Any]:
    known = [price for price in prices if price > 0]
    if len(known) > 1 and max(known) / min(known) > LOG_FROM:
        return log_axis(min(known), max(known), shown.written)
    prefix = {"tickprefix": "$"} if shown is ACROSS["cost"] else {}
    return {"type": "linear", "exponentformat": "none", "range": [0, 1.15 * max(known, default=1.0)], **prefix}


def _points(placed: Sequence[Offer], axis: Mapping[str, Any]) -> list[Point]:
    """The points as shares of the plot; on a logarithmic axis a price of 0 is not drawn and stands at its left end."""
    (start, end), (bottom, top) = axis["range"], SCORES

    def across(price: float) -> float:
        place = price if axis["type"] == "linear" else math.log10(price) if price else start
        return float((place - start) / (end - start))

    def up(score: float) -> float:
        return (score - bottom) / (top - bottom)

    return [
        Point(across(o.price), up(_score(o.line).value), up(_score(o.line).low), up(_score(o.line).high), o.line.label)
        for o in placed
    ]
