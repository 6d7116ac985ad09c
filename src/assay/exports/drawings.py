"""Charts as inline SVG: the score's intervals, and score against cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from assay.exports.scoreboard import ContestantScore
from assay.exports.streams import visible
from assay.money import format_usd, from_pico

WIDTH = 760
LINE = 54
"""Height of one contestant: its name above its bar."""
EDGE = 24
"""Room beside the bars for half of a mark's text."""
LABEL_LIMIT = 50


def interval_plot(board: Sequence[ContestantScore]) -> str:
    """One line per scored contestant: its score as a dot, its 95 % interval as a bar; empty without scores."""
    lines = [(n, line) for n, line in enumerate(board, 1) if line.score is not None]
    if not lines:
        return ""
    height = LINE * len(lines) + 34
    return _svg(height, "Score of each contestant with its 95 % interval", _intervals(lines, height))


def _intervals(lines: Sequence[tuple[int, ContestantScore]], height: int) -> Iterable[str]:
    def x(value: float) -> float:
        return EDGE + value * (WIDTH - 2 * EDGE)

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _rule(x(tick), 6, x(tick), height - 26)
        yield _text(x(tick), height - 6, f"{tick:g}", anchor="middle", css="tick")
    for place, (number, line) in enumerate(lines):
        score = line.score
        assert score is not None  # noqa: S101 - filtered above
        y = LINE * (place + 1) - 10
        yield _text(EDGE + 6, y - 16, f"{number}. {_short(line.label)}")
        yield (
            f'<line x1="{x(score.low):.1f}" y1="{y:.1f}" x2="{x(score.high):.1f}" y2="{y:.1f}" '
            f'stroke="{line.colour}" stroke-width="7" stroke-opacity=".4" stroke-linecap="round"/>'
        )
        words = f"{line.label}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
        yield _dot(x(score.value), y, line.colour, words)


def cost_plot(board: Sequence[ContestantScore]) -> str:
    """Score against the cost of the run, a numbered point per contestant; empty where fewer than two have both."""
    lines = [(n, x) for n, x in enumerate(board, 1) if x.score is not None and x.cost_pico is not None]
    if len(lines) < 2:
        return ""
    return _svg(330, "Score against the cost of the run", _points(lines))


def _points(lines: Sequence[tuple[int, ContestantScore]]) -> Iterable[str]:
    costs = [float(from_pico(line.cost_pico or 0)) for _, line in lines]
    positive = [cost for cost in costs if cost > 0]
    log = len(positive) == len(costs) and max(costs) / min(costs) > 8
    low, high = (math.log10(min(costs)), math.log10(max(costs))) if log else (0.0, max(costs) or 1.0)
    pad = (high - low) * 0.06 or 0.1

    def x(cost: float) -> float:
        place = math.log10(cost) if log else cost
        return 60 + (place - low + (pad if log else 0)) / (high - low + (2 if log else 1) * pad) * (WIDTH - 100)

    def y(score: float) -> float:
        return 270 - score * 245

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _rule(60, y(tick), WIDTH - 20, y(tick))
        yield _text(50, y(tick) + 4, f"{tick:g}", anchor="end", css="tick")
    for n in range(5):
        cost = 10 ** (low + (high - low) * n / 4) if log else high * n / 4
        yield _text(x(cost), 292, format_usd(round(cost * 10**12)), anchor="middle", css="tick")
    yield _text(WIDTH / 2, 320, f"Cost of the run{', logarithmic' if log else ''}", anchor="middle", css="tick")
    for (number, line), cost in zip(lines, costs, strict=True):
        score = line.score
        assert score is not None  # noqa: S101 - filtered above
        yield (
            f'<line x1="{x(cost):.1f}" y1="{y(score.low):.1f}" x2="{x(cost):.1f}" y2="{y(score.high):.1f}" '
            f'stroke="{line.colour}" stroke-width="2" stroke-opacity=".6"/>'
        )
        yield _dot(
            x(cost), y(score.value), line.colour, f"{line.label}: {score.value:.3f} at {format_usd(line.cost_pico)}"
        )
        yield _text(x(cost) + 11, y(score.value) + 4, str(number), css="number")


def _svg(height: float, title: str, parts: Iterable[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_escaped(title)}">{body}</svg>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="rule" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", css: str = "name") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escaped(text)}</text>'


def _dot(x: float, y: float, colour: str, words: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"><title>{_escaped(words)}</title></circle>'


def _escaped(text: str) -> str:
    return escape(visible(text))


def _short(text: str) -> str:
    return text if len(text) <= LABEL_LIMIT else f"{text[: LABEL_LIMIT - 1]}…"
