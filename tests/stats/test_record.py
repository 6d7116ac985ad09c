"""A decision is stored and comes back the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from assay.stats.decision import PairRows, compare, decide
from assay.stats.record import comparison_json, decision_from, decision_json
from assay.stats.values import ContestantRows, Decision


def lines(k: int, n: int) -> list[ContestantRows]:
    """Contestants with some missing answers and costs."""
    rng = np.random.default_rng(k)
    scores = rng.choice([0.0, 1.0, np.nan], (k, n), p=[0.2, 0.78, 0.02])
    return [
        ContestantRows(f"{at}", f"m{at}", {r: None if np.isnan(v) else float(v) for r, v in enumerate(line)}, at + 1.0)
        for at, line in enumerate(scores)
    ]


@pytest.mark.parametrize(
    "found",
    [
        decide([]),
        decide(lines(1, 30)),
        decide(lines(4, 300)),
        decide(lines(3, 60), look="early", rows_planned=90),
        decide(lines(3, 60), clusters={row: row // 7 for row in range(60)}),
    ],
)
def test_decision_comes_back_from_json(found: Decision) -> None:
    """Every number to the last digit, whatever the decision."""
    assert decision_from(json.loads(json.dumps(decision_json(found), allow_nan=False))) == found


def test_comparison_has_what_a_script_needs() -> None:
    """The difference, its p values, the margin and the claim, by name."""
    first, second = lines(2, 100)
    (found,) = compare([PairRows(first, second)])
    assert found is not None

    written = json.loads(json.dumps(comparison_json(found), allow_nan=False))
    assert set(written["difference"]) >= {"value", "low", "high", "p", "p_adjusted", "n", "method"}
    assert written["check"]["margin"] == 0.05
    assert written["claim"] == found.claim


def test_what_is_no_decision_is_refused() -> None:
    """A stored value of another shape says so."""
    with pytest.raises(ValidationError):
        decision_from({"claim": "best"})
