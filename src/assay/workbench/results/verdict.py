"""The decision of a run in words: who is best, by how much, whether that is more than noise, and at what price.

Prices are compared per scored cell: a contestant that failed half of its cells is not half as dear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from assay.stats.paired import PairedComparison, compare_paired
from assay.workbench.results.board import COVERED, ContestantScore

SIGNIFICANT = 0.05
ALIKE = 1.15
"""Prices are about the same when neither is so many times the other."""
FEWEST = 20
"""Common rows below which nobody is recommended for a price: so few hide any gap in noise."""
MOST_BEHIND = 0.1
"""Points behind the best, as a share, beyond which nobody is recommended for a price."""
Values = Callable[[ContestantScore], Mapping[int, float]]
"""The mean value of each scored row of a line of the board."""


def in_words(board: Sequence[ContestantScore], values: Values) -> str:
    """The verdict on the scored lines of a board, best first; at least one."""
    best = board[0]
    score = best.score
    assert score is not None  # noqa: S101 - the caller has looked
    if score.mean == 0:
        return _nothing_right(board)
    said = f"{best.label} scores best: {score.mean:.2f} ({score.low:.2f} to {score.high:.2f} with 95 % confidence)"
    if len(board) == 1:
        return f"{said}, on {_rows(score.n)}."
    found = _beside(values, best, board[1])
    known = [best, board[1]] if found is not None and _no_worse(found) else [best]
    return f"{said}. {_against(found, best, board[1])}{_cheapest(values, known, board[2:])}"


def _nothing_right(board: Sequence[ContestantScore]) -> str:
    """What to say where the best has a mean of 0: nobody is best, and often the grader asks for something else."""
    who = f"All {len(board)} score" if len(board) > 1 else f"{board[0].label} scores"
    rows = max(line.score.n for line in board if line.score is not None)
    return f"{who} 0.00, on {_rows(rows)}: no answer is right. Read some answers: do prompt and grader fit each other?"


def _beside(values: Values, best: ContestantScore, other: ContestantScore) -> PairedComparison | None:
    """The best against another; None without common rows."""
    return compare_paired(values(other), values(best))


def _no_worse(found: PairedComparison) -> bool:
    """Whether the other lies behind the best by no more than noise."""
    return found.delta <= 0 or found.p >= SIGNIFICANT


def _cheapest(values: Values, known: Sequence[ContestantScore], rest: Sequence[ContestantScore]) -> str:
    """The cheapest of the rest that loses by no more than noise; empty where it saves little over those `known`."""
    best, costs = known[0], [line.cost_per_scored_pico for line in known]
    most = min([cost for cost in costs if cost is not None], default=0.0)
    if not most or None in costs:
        return ""
    cheaper = [
        (cost, line)
        for line in rest
        if (cost := line.cost_per_scored_pico) is not None and cost * ALIKE <= most and line.coverage >= COVERED
    ]
    for _, line in sorted(cheaper, key=lambda each: each[0]):
        found = _beside(values, best, line)
        if found is not None and found.n >= FEWEST and found.delta <= MOST_BEHIND and _no_worse(found):
            sure = f"on {found.n:,} rows" + (f", p = {found.p:.2f}" if found.delta else "")
            return f" The cheapest within noise is {line.label}: {_gap(found)}{_price(best, line)} ({sure})."
    return ""


def _gap(found: PairedComparison) -> str:
    """How far the other is behind the best, on the rows that both have."""
    if found.delta == 0:
        return "the same score"
    points = round(abs(found.delta) * 100)
    size = "less than a point" if points == 0 else f"{points} point{'s' if points != 1 else ''}"
    return f"{size} {'behind' if found.delta > 0 else 'ahead on common rows'}"


def _against(found: PairedComparison | None, best: ContestantScore, other: ContestantScore) -> str:
    if found is None:
        return f"It shares no scored row with {other.label}, so the two cannot be compared."
    if found.delta == 0:
        return f"{other.label} scores the same{_price(best, other)}, on {_rows(found.n)}."
    said = f"{other.label} is {_gap(found)}{_price(best, other)}"
    if found.p >= SIGNIFICANT:
        return f"{said}; on {_rows(found.n)} that is not more than noise (p = {found.p:.2f})."
    return f"{said}; the gap is real (p = {max(found.p, 0.001):.3f}, {found.n:,} rows)."


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _price(best: ContestantScore, other: ContestantScore) -> str:
    """What the other costs beside the best, per scored cell; empty where that is unknown or the best is free."""
    dear, cheap = best.cost_per_scored_pico, other.cost_per_scored_pico
    if not dear or cheap is None:
        return ""
    if cheap == 0:
        return " and free"
    ratio = dear / cheap
    if ratio >= ALIKE:
        return f" at 1/{ratio:.0f} of the cost" if ratio >= 2 else f" at {100 / ratio:.0f} % of the cost"
    if ratio > 1 / ALIKE:
        return " at about the same cost"
    return f" at {1 / ratio:.{0 if ratio < 0.1 else 1}f} times the cost"
