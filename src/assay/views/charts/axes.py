"""Logarithmic axes: marks that say their whole amount, instead of Plotly's lone digits between powers of ten."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

MOST_POWERS = 4
MARGIN = 0.08
"""Of the axis, free on both sides."""


def log_axis(low: float, high: float, written: Callable[[float], str]) -> dict[str, Any]:
    """Layout of a logarithmic axis that shows low to high, both > 0."""
    start, end = math.log10(low), math.log10(high)
    margin = max(end - start, 1.0) * MARGIN
    marks = log_marks(low, high)
    return {
        "type": "log",
        "range": [start - margin, end + margin],
        "tickvals": marks,
        "ticktext": [written(mark) for mark in marks],
    }


def log_marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten around low to high; of long ranges the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= MOST_POWERS else (1,)
    return [step * 10.0**power for power in powers for step in steps]


def dollars(amount: float) -> str:
    """A mark in USD, without zeros at its end."""
    return f"${amount:,.12f}".rstrip("0").rstrip(".")


def tokens(count: float) -> str:
    """A mark in tokens."""
    return f"{count / 1_000_000:g}M" if count >= 1_000_000 else f"{count / 1000:g}k" if count >= 1000 else f"{count:g}"
