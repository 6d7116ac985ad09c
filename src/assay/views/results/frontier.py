"""Quality against cost or latency, and what to take for what a point is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from assay.exports.scoreboard import ContestantScore
from assay.money import format_usd, to_pico, usd
from assay.views import words
from assay.views.charts.results import quality_against_cost
from assay.workbench.results.worth import Offer, frontier, offers, recommended, turning_points, usd_per_thousand

STEPS = (0.5, 0.8, 1.25, 2.0)
"""Values of a point that are offered around each turning point."""


def frontier_part(board: Sequence[ContestantScore], colours: Mapping[str, str]) -> None:
    """The chart, with the choice of what stands across and the value of a point beside it."""
    shown: str = (
        st.segmented_control(
            "Quality against",
            ["cost", "latency"],
            default="cost",
            format_func=str.capitalize,
            key="results.across",
        )
        or "cost"
    )
    compared = [offer for offer in offers(board, usd_per_thousand) if not offer.line.left_out]
    chosen = None
    if shown == "cost" and len(frontier(compared)) > 1:
        chosen = _worth(compared)
    st.plotly_chart(
        quality_against_cost(board, colours, across=shown, chosen=chosen.line.label if chosen else None),
        key="results.chart",
        config={"displaylogo": False, "displayModeBar": False},
        alt=f"Score with its interval against {shown}, one point per contestant; a line joins those nobody dominates",
    )


def _worth(compared: Sequence[Offer]) -> Offer | None:
    """The slider of a point's value, and the recommendation in words."""
    turns = turning_points(compared)
    values = sorted({0.0, *(_rounded(turn * step) for turn in turns for step in STEPS)})
    middle = values[len(values) // 2]
    value = st.select_slider(
        "Value of one point on 1,000 rows",
        values,
        value=middle,
        format_func=_usd,
        key="results.worth",
        help="What a score higher by 0.01 on 1,000 rows is worth to you. It moves the recommendation, not the scores.",
    )
    found = recommended(compared, float(value))
    if found is not None:
        st.markdown(words.label(_said(found, float(value), turns), 600))
    return found


def _said(found: Offer, value: float, turns: Sequence[float]) -> str:
    higher = [turn for turn in turns if turn > value]
    lower = [turn for turn in turns if turn <= value]
    until = f", until a point is worth {_usd(min(higher))}" if higher else ""
    since = f", from {_usd(max(lower))} on" if lower else ""
    return (
        f"If a point is worth {_usd(value)}, take {found.line.label}: {found.points / 100:.2f} at {_usd(found.price)} "
        f"per 1,000 rows{since}{until}. By the scores as measured; the verdict says which differences are real."
    )


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _usd(value: float) -> str:
    return format_usd(to_pico(usd(value)))
