"""The decision on a family of comparisons, and what is said of it."""

from __future__ import annotations

import random

from assay.stats.decision import PairRows, compare, decide
from assay.stats.sentences import verdict_lines
from assay.stats.values import ContestantRows


def rows(passed: int, n: int, *, first: int = 0) -> dict[int, float | None]:
    """Scores of n rows, of which so many pass, from a row on."""
    return {row: float((row - first) % n < passed) for row in range(n)}


def money(cents: float) -> str:
    """Cents in words."""
    return f"${cents / 100:.2f}"


def test_one_clear_winner_is_best() -> None:
    """A contestant that beats every other after adjustment is best, and the sentence says so."""
    found = decide([
        ContestantRows("a", "atlas", rows(182, 200)),
        ContestantRows("b", "bard", rows(120, 200)),
        ContestantRows("c", "cedar", rows(100, 200)),
    ])  # fmt: skip

    assert found.claim == "best"
    assert found.leaders == ("a",)
    assert verdict_lines(found, money)[0] == (
        "atlas is best: 0.91 (0.85 to 0.95), ahead of every other by more than noise on 200 rows."
    )


def test_leaders_that_are_not_told_apart_lead_together() -> None:
    """Two that differ by noise lead together, with the rows that would tell and what they cost."""
    rng = random.Random(2)
    found = decide([
        ContestantRows("a", "atlas", {row: float(rng.random() < 0.91) for row in range(200)}, 2.0),
        ContestantRows("b", "bard", {row: float(rng.random() < 0.9) for row in range(200)}, 1.0),
    ])  # fmt: skip

    assert found.claim == "lead_together"
    assert found.rows_needed is not None
    assert found.rows_needed.cost == found.rows_needed.more * 3.0
    assert " lead together: " in verdict_lines(found, money)[0]


def test_pair_without_a_common_row_is_not_compared() -> None:
    """Compare says None for a pair that shares no scored row, and judges the others."""
    new, old = ContestantRows("n", "new", rows(80, 100)), ContestantRows("o", "old", rows(80, 100))

    found = compare([PairRows(new, ContestantRows("x", "other", {"z": 1.0})), PairRows(new, old)])

    assert found[0] is None
    assert found[1] is not None
    assert found[1].check.side == "not_worse"
