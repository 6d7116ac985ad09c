"""A decision as plain values, to be stored and printed as JSON, and back."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from assay.stats.values import Comparison, Decision

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def decision_json(decision: Decision) -> dict[str, Any]:
    """Every field under its name, as lists, numbers and texts; each standing with its coverage."""
    found = asdict(decision)
    for line, standing in zip(found["standings"], decision.standings, strict=True):
        line["coverage"] = standing.coverage
    return found


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Every field under its name, and the claim."""
    return {**asdict(comparison), "claim": comparison.claim}


def decision_from(stored: dict[str, Any]) -> Decision:
    """The decision that `decision_json` wrote. Raises pydantic.ValidationError where it is not one."""
    return _adapter().validate_python(stored)


@cache
def _adapter() -> TypeAdapter[Decision]:
    from pydantic import TypeAdapter  # slow to import

    return TypeAdapter(Decision)
