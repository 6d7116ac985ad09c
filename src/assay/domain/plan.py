"""The frozen plan of a run and the grid it spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec

RunMode = Literal["normal", "floor", "flex", "batch"]
"""How contestants are asked. normal: at once. floor: at once, the cheapest provider first. flex: at the slower, cheaper
service tier where a model has one. batch: through the gateway's batch endpoint, answered within a day."""


class Cell(NamedTuple):
    """One place of a run's grid: indices into rows, prompts, contestants and samples, all from 0."""

    number: int
    row: int
    prompt: int
    contestant: int
    sample: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run does; frozen at its start."""

    dataset_id: str
    row_count: int
    prompts: tuple[Prompt, ...]
    contestants: tuple[Contestant, ...]
    graders: tuple[GraderSpec, ...] = ()
    samples: int = 1
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Template variable -> dataset column, where the names differ."""
    expected_column: str | None = None
    budget_pico: int | None = None
    concurrency: int | None = None
    """Calls in flight at most, over all contestants; None: adaptive."""
    cache: bool = False
    """Send identical requests of the run only once (never across samples)."""
    gateway: str = "openrouter"
    data_policy: Mapping[str, Any] = field(default_factory=dict)
    """Provider routing that every call carries, judges included (zdr, data_collection, only)."""
    mode: RunMode = "normal"

    @property
    def cell_count(self) -> int:
        """Cells of the whole grid."""
        return self.row_count * len(self.prompts) * len(self.contestants) * self.samples

    def cell(self, number: int) -> Cell:
        """The cell of a number: rows outermost, then samples, prompts, and contestants innermost, so that a
        partial run is already a fair comparison. Raises IndexError outside 0..cell_count-1."""
        if not 0 <= number < self.cell_count:
            raise IndexError(f"Cell {number} is outside the grid of {self.cell_count} cells.")
        rest, contestant = divmod(number, len(self.contestants))
        rest, prompt = divmod(rest, len(self.prompts))
        row, sample = divmod(rest, self.samples)
        return Cell(number, row, prompt, contestant, sample)

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON for the store."""
        return {
            "dataset_id": self.dataset_id,
            "row_count": self.row_count,
            "prompts": [p.as_json() for p in self.prompts],
            "contestants": [c.as_json() for c in self.contestants],
            "graders": [g.as_json() for g in self.graders],
            "samples": self.samples,
            "mapping": dict(self.mapping),
            "expected_column": self.expected_column,
            "budget_pico": self.budget_pico,
            "concurrency": self.concurrency,
            "cache": self.cache,
            "gateway": self.gateway,
            "data_policy": dict(self.data_policy),
            "mode": self.mode,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunPlan:
        """The plan that `as_json` wrote."""
        return cls(
            **{
                **value,
                "prompts": tuple(Prompt.from_json(p) for p in value["prompts"]),
                "contestants": tuple(Contestant.from_json(c) for c in value["contestants"]),
                "graders": tuple(GraderSpec.from_json(g) for g in value["graders"]),
            }
        )
