"""Grader specifications and the scores that graders give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class GraderSpec:
    """Which grader with which settings, as frozen into a run's plan."""

    kind: str
    """equals, contains, regex, numeric, json, json_schema, row_assertions or judge."""
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """Shown name; the kind when empty."""

    @property
    def label(self) -> str:
        """The shown name."""
        return self.name or self.kind

    def as_json(self) -> dict[str, Any]:
        """The specification as JSON for the store."""
        return {"kind": self.kind, "params": dict(self.params), "name": self.name}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GraderSpec:
        """The specification that `as_json` wrote."""
        return cls(value["kind"], value.get("params", {}), value.get("name", ""))


@dataclass(frozen=True, slots=True)
class Score:
    """A grader's verdict on one result. Unscored is value None, distinct from wrong (0.0)."""

    grader: str
    value: float | None
    """0..1, or None when the grader could not score."""
    passed: bool | None
    reason: str
    """What was measured and what was expected, in words."""
    left_out: bool = False
    """Without a value because its row gives nothing to score by: the other graders decide."""


NOT_GRADED = "Not graded yet."
"""Reason of a score whose answer is kept and whose grader has still to look at it."""
NOT_ASKED = "The judge has not been asked yet."
"""The same of a judge, followed by why it was not asked."""


def value_of(scores: Sequence[Score]) -> float | None:
    """The value of a cell: the mean of its scores. None where one of them could not be made, or there is none.

    A grader that its row gives nothing to score by is left out. One that failed is not: the mean of the others would be
    a score of something else.
    """
    values = [score.value for score in scores if not score.left_out]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def passed_of(scores: Sequence[Score]) -> bool | None:
    """Whether every score of a cell is a pass. None where one of them could not be made, or there is none."""
    verdicts = [score.passed for score in scores if not score.left_out]
    return None if not verdicts or None in verdicts else all(verdicts)
