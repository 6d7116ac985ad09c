"""Grader specifications and the scores that graders give."""

from __future__ import annotations

from collections.abc import Mapping
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
