"""What is said of an estimate beside what was paid."""

from __future__ import annotations

import pytest

from assay.workbench.results.outcome import EstimateOutcome

CENT = 10**10


def outcome(*, high: int, limit: int | None) -> EstimateOutcome:
    """A run that was expected at ten cents and cost as much."""
    return EstimateOutcome(
        low=CENT,
        expected=10 * CENT,
        high=high,
        limit=limit,
        expected_s=1,
        spent=10 * CENT,
        billed=10 * CENT,
        unknown_calls=0,
        unknown_bound=0,
        taken_s=1,
        complete=True,
    )


@pytest.mark.parametrize(
    ("high", "limit", "words"),
    [
        (98 * CENT, 50 * CENT, "($0.010 to $0.50, never above $0.50)"),
        (20 * CENT, 50 * CENT, "($0.010 to $0.20, never"),
        (98 * CENT, None, "($0.010 to $0.98)"),
    ],
)
def test_range_never_ends_above_what_is_never_passed(high: int, limit: int | None, words: str) -> None:
    """A budget below the upper end is the upper end: "to $0.98, never above $0.50" cannot both be."""
    assert words in outcome(high=high, limit=limit).words
