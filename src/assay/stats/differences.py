"""Differences of a family: tested together, adjusted for their number, and held against missing answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.stats import power
from assay.stats.arrays import Floats
from assay.stats.families import Adjusted, holm
from assay.stats.pairs import Pairs
from assay.stats.values import CONFIDENCE, Difference, MarginCheck, RowsNeeded, Side


class Block(NamedTuple):
    """Pairs of the same rows; a family may have several."""

    names: Sequence[tuple[str, str]]
    """Keys of the first and the second of each pair."""
    pairs: Pairs
    if_failed: Pairs
    """The same pairs with 0 for missing scores; the same object where none is missing."""


def differences(blocks: Sequence[Block], *, confidence: float = CONFIDENCE) -> list[Difference]:
    """Every pair of every block with its interval and its p, after Holm's adjustment over all of them."""
    chances = np.concatenate([block.pairs.method.p() for block in blocks])
    adjusted = holm(chances.tolist())
    failed = _adjusted_if_failed(blocks, adjusted)
    found: list[Difference] = []
    for block in blocks:
        here = slice(len(found), len(found) + len(block.names))
        found += _of_block(block, chances[here], adjusted[here], failed[here], 1 - confidence)
    return found


def _adjusted_if_failed(blocks: Sequence[Block], adjusted: list[Adjusted]) -> list[Adjusted]:
    if all(block.if_failed is block.pairs for block in blocks):
        return adjusted
    return holm(np.concatenate([block.if_failed.method.p() for block in blocks]).tolist())


def _of_block(
    block: Block, chances: Floats, adjusted: Sequence[Adjusted], failed: Sequence[Adjusted], alpha: float
) -> list[Difference]:
    pairs, missing = block.pairs, block.if_failed
    level = np.full(chances.size, alpha)
    low, high = pairs.method.interval(level)
    times = np.array([each.times for each in adjusted])
    family = (low, high) if np.all(times == 1) else pairs.method.interval(level / times)
    same_sign = np.sign(missing.value) == np.sign(pairs.value)
    return [
        Difference(
            first=first,
            second=second,
            value=float(pairs.value[at]),
            low=float(low[at]),
            high=float(high[at]),
            family_low=float(family[0][at]),
            family_high=float(family[1][at]),
            p=float(chances[at]),
            p_adjusted=adjusted[at].p,
            p_if_failed=failed[at].p,
            real=bool(max(adjusted[at].p, failed[at].p) < alpha and same_sign[at] and pairs.enough[at]),
            n=pairs.n,
            better=int(pairs.better[at]),
            worse=int(pairs.worse[at]),
            ties=pairs.n - int(pairs.better[at]) - int(pairs.worse[at]),
            mean_square=float(pairs.mean_square[at]),
            enough=bool(pairs.enough[at]),
            method=pairs.method.method,
            detectable=_detectable(pairs, at, alpha),
        )
        for at, (first, second) in enumerate(block.names)
    ]


def _detectable(pairs: Pairs, at: int, alpha: float) -> float | None:
    if pairs.mean_square[at] == 0:
        return None
    return power.detectable(pairs.n, float(pairs.worth[at]), alpha=alpha, wider=pairs.wider)


def margin_checks(
    blocks: Sequence[Block],
    margin: float,
    *,
    confidence: float = CONFIDENCE,
    costs: Sequence[float | None] = (),
) -> list[MarginCheck]:
    """Whether the first of each pair is worse than the second by more than the margin; Holm over all of them.

    The lower end of the two-sided interval decides. costs: per pair what a row of both costs, to say what more rows
    would cost.
    """
    alpha = 1 - confidence
    adjusted = holm(np.concatenate([_p_not_worse(block.pairs, margin) for block in blocks]).tolist())
    failed = holm(np.concatenate([_p_not_worse(block.if_failed, margin) for block in blocks]).tolist())
    found: list[MarginCheck] = []
    for block in blocks:
        here = slice(len(found), len(found) + len(block.names))
        low, high = block.pairs.method.interval(np.array([alpha / each.times for each in adjusted[here]]))
        for at, one in enumerate(adjusted[here]):
            holds = failed[here][at].p < alpha
            side = _side(float(low[at]), float(high[at]), margin, holds=holds)
            needed = None
            if side == "open" and one.p >= alpha:
                rows = _rows_not_worse(block.pairs, at, margin, alpha / len(adjusted))
                needed = beyond(rows, block.pairs.n, costs[here][at] if costs else None)
            found.append(MarginCheck(margin, side, float(low[at]), float(high[at]), one.p, holds, needed))
    return found


def _p_not_worse(pairs: Pairs, margin: float) -> Floats:
    """The two-sided p of lying at -margin or below."""
    return np.minimum(1.0, 2 * pairs.method.p_above(-margin))


def _side(low: float, high: float, margin: float, *, holds: bool) -> Side:
    if high < -margin:
        return "worse"
    return "not_worse" if low > -margin and holds else "open"


def _rows_not_worse(pairs: Pairs, at: int, margin: float, alpha: float) -> int | None:
    return power.rows_not_worse(-float(pairs.value[at]), float(pairs.worth[at]), margin, alpha=alpha, wider=pairs.wider)


def beyond(rows: int | None, n: int, cost_per_row: float | None) -> RowsNeeded | None:
    """Rows in all, and those beyond the n that there are with what they cost; there are enough already: None."""
    if rows is None or rows <= n:
        return None
    return RowsNeeded(rows, rows - n, None if cost_per_row is None else (rows - n) * cost_per_row)
