"""Decides a family of comparisons: who is best, who leads together, which cheaper one is good enough.

decide    the contestants of a run on the rows that all of them have scored: verdict and scoreboard
compare   several pairs, each on the rows that both have scored: Compare and gates

Errors are missing data: contestants with a score on less than 95 % of the rows that they were asked leave first, and
what is called real is so also when every missing answer counts as a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.stats import power
from assay.stats.candidates import cheaper
from assay.stats.clustered import FEW
from assay.stats.differences import Block, beyond, differences, margin_checks
from assay.stats.ranking import COVERED, Ranked, coverage, in_order, ranked
from assay.stats.standings import estimates, standings
from assay.stats.table import Clusters, table_of
from assay.stats.values import (
    CONFIDENCE,
    MARGIN,
    Claim,
    Comparison,
    ContestantRows,
    Decision,
    Difference,
    Family,
    Look,
    RowsNeeded,
    Sensitivity,
)

FEWEST = 3
"""Common rows below which nothing can be decided."""


def decide(
    contestants: Sequence[ContestantRows],
    *,
    clusters: Clusters | None = None,
    cluster_name: str = "cluster",
    margin: float = MARGIN,
    look: Look = "planned",
    rows_planned: int | None = None,
    confidence: float = CONFIDENCE,
) -> Decision:
    """The decision on contestants that were asked the same rows; nobody: `nothing`.

    clusters: row -> the value of the column whose rows belong together; cluster_name: that column. margin: points
    worse, as a share, that still count as good enough. look: early or grown gives intervals that are valid at every
    look. rows_planned: for the sentence of an early look.
    """
    anytime = look != "planned"
    order = ranked([c for c in contestants if coverage(c) >= COVERED], clusters)
    all_zero = order.n > 0 and not order.scores.any()
    block = order.every_pair(anytime=anytime) if order.n >= FEWEST and len(order.contestants) > 1 else None
    found = differences([block], confidence=confidence) if block is not None else []
    beaten = [(d.first, d.second) if d.value > 0 else (d.second, d.first) for d in found if d.real]
    leaders = tuple(key for key in order.keys if all(loser != key for _, loser in beaten)) if order.n else ()
    lines = standings(order, contestants, clusters, beaten, confidence, anytime=anytime, decided=block is not None)
    claim = _claim(found, leaders, all_zero=all_zero)
    groups = None if order.codes is None else int(order.codes.max(initial=-1)) + 1
    return Decision(
        claim=claim,
        unit="row" if clusters is None else "cluster",
        n=order.n,
        clusters=groups,
        cluster_name=cluster_name,
        few_clusters=groups is not None and groups < FEW,
        method=next((line.score.method for line in lines if line.score is not None), ""),
        test=block.pairs.method.method if block is not None else "",
        family=_family([c.label for c in order.contestants], len(found)),
        margin=margin,
        confidence=confidence,
        standings=lines,
        differences=tuple(found),
        leaders=leaders,
        candidates=()
        if block is None or all_zero
        else cheaper(order, leaders, found, margin, confidence, anytime=anytime),
        rows_needed=_rows_needed(block, found, order, leaders, confidence) if block and len(leaders) > 1 else None,
        sensitivity=_sensitivity(order, leaders),
        all_zero=all_zero,
        look=look,
        rows_planned=rows_planned,
    )


class PairRows(NamedTuple):
    """Two contestants whose rows are joined by the same keys."""

    first: ContestantRows
    """The one that is judged."""
    second: ContestantRows
    """The baseline."""


def compare(
    pairs: Sequence[PairRows],
    *,
    clusters: Clusters | None = None,
    margin: float = MARGIN,
    look: Look = "planned",
    confidence: float = CONFIDENCE,
) -> list[Comparison | None]:
    """Each first against its second on the rows that both have scored, adjusted over all pairs.

    A pair without a common scored row: None. What is real is so, too, when every missing answer counts as a failure;
    below 95 % coverage nobody is best.
    """
    anytime = look != "planned"
    orders = [in_order(table_of(pair, clusters), pair) for pair in pairs]
    used = [at for at, order in enumerate(orders) if order.n]
    if not used:
        return [None] * len(pairs)
    blocks = [orders[at].every_pair(anytime=anytime) for at in used]
    costs = [_sum_of(pairs[at].first, pairs[at].second) for at in used]
    found = differences(blocks, confidence=confidence)
    checks = margin_checks(blocks, margin, confidence=confidence, costs=costs)
    compared: list[Comparison | None] = [None] * len(pairs)
    for at, difference, check in zip(used, found, checks, strict=True):
        order = orders[at]
        first, second = estimates(order.scores, order.codes, confidence, anytime=anytime)
        gaps = np.isnan(order.table.asked).sum(axis=1).tolist()
        asked = order.table.asked.shape[1]
        covered = (asked - max(gaps)) / asked >= COVERED
        compared[at] = Comparison(difference, first, second, check, (gaps[0], gaps[1]), covered)
    return compared


def _claim(found: Sequence[Difference], leaders: Sequence[str], *, all_zero: bool) -> Claim:
    if not found or all_zero:
        return "nothing"
    if len(leaders) == 1:
        return "best"
    return "lead_together" if _between(found, leaders).enough else "open"


def _between(found: Sequence[Difference], leaders: Sequence[str]) -> Difference:
    """The difference of the first two leaders."""
    return next(d for d in found if (d.first, d.second) == (leaders[0], leaders[1]))


def _family(labels: Sequence[str], size: int) -> Family:
    if size == 0:
        return Family(0, "no comparison", "none")
    if size == 1:
        return Family(1, f"one comparison: {labels[0]} with {labels[1]}", "none")
    return Family(size, f"all {size:,} pairs of {len(labels):,} contestants", "Holm")


def _rows_needed(
    block: Block, found: Sequence[Difference], order: Ranked, leaders: Sequence[str], confidence: float
) -> RowsNeeded | None:
    """To tell the first two leaders apart."""
    one = _between(found, leaders)
    square, alpha = float(block.pairs.worth[found.index(one)]), (1 - confidence) / len(found)
    known = {c.key: c for c in order.contestants}
    cost = _sum_of(known[one.first], known[one.second])
    rows = power.rows_to_show(one.value, square, alpha=alpha, wider=block.pairs.wider)
    return beyond(rows, one.n, cost)


def _sum_of(one: ContestantRows, other: ContestantRows) -> float | None:
    costs = one.cost_per_row, other.cost_per_row
    return None if costs[0] is None or costs[1] is None else costs[0] + costs[1]


def _sensitivity(order: Ranked, leaders: Sequence[str]) -> Sensitivity:
    missing = np.isnan(order.table.asked).sum(axis=1)
    if not leaders:
        return Sensitivity(int(missing.sum()), 0, None, False)
    best = order.keys[int(order.table.if_failed.mean(axis=1).argmax())]
    return Sensitivity(int(missing.sum()), int(missing[0]), best, best != order.keys[0])
