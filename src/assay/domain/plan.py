"""The frozen plan of a run and the grid it spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from assay.domain.contestant import Contestant, Prompt, names_of, numbered
from assay.domain.score import GraderSpec
from assay.errors import RunError

RunMode = Literal["normal", "floor", "flex", "batch"]
"""How contestants are asked. normal: at once. floor: at once, the cheapest provider first. flex: at the slower, cheaper
service tier where a model has one. batch: through the gateway's batch endpoint, answered within a day."""


RunPurpose = Literal["batch", "improve", "schedule"]
"""What a run is for. batch: somebody asked for it. improve: a step of the search for a better prompt. schedule: its
time had come."""


class Cell(NamedTuple):
    """One place of a run's grid: indices into rows, prompts, contestants and samples, all from 0."""

    number: int
    row: int
    prompt: int
    contestant: int
    sample: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run does; frozen at its start. It only ever grows, at the end of its axes."""

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
    gates: Mapping[str, Any] = field(default_factory=dict)
    """The suite's conditions with the baselines found at the start, as `workbench/gates.py` wrote them."""
    pilot: bool = False
    """Pause once the rows of the pilot are done, so that their bill is seen before the rest is paid."""
    margin: float = 0.05
    """Points worse, as a share, that still count as good enough; it may change later."""

    def with_budget(self, budget_pico: int | None) -> RunPlan:
        """The same plan within another budget, in pico-dollars; None: without one."""
        return replace(self, budget_pico=budget_pico)

    @property
    def cell_count(self) -> int:
        """Cells of the whole grid."""
        return self.row_count * len(self.prompts) * len(self.contestants) * self.samples

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each contestant, no two the same."""
        return names_of(self.contestants)

    @property
    def prompt_names(self) -> tuple[str, ...]:
        """A name for each prompt, no two the same."""
        return numbered(prompt.name or f"prompt {n}" for n, prompt in enumerate(self.prompts, 1))

    def cell(self, number: int) -> Cell:
        """The cell of a number: rows outermost, then samples, prompts, and contestants innermost, so that a
        partial run is already a fair comparison. Raises IndexError outside 0..cell_count-1."""
        if not 0 <= number < self.cell_count:
            raise IndexError(f"Cell {number} is outside the grid of {self.cell_count} cells.")
        rest, contestant = divmod(number, len(self.contestants))
        rest, prompt = divmod(rest, len(self.prompts))
        row, sample = divmod(rest, self.samples)
        return Cell(number, row, prompt, contestant, sample)

    def number(self, *, row: int, prompt: int, contestant: int, sample: int) -> int:
        """The number of a cell: `cell` turned round."""
        return ((row * self.samples + sample) * len(self.prompts) + prompt) * len(self.contestants) + contestant

    def moved(self, number: int, grown: RunPlan) -> int:
        """The number that a cell of this plan has in a plan grown from it."""
        cell = self.cell(number)
        return grown.number(row=cell.row, prompt=cell.prompt, contestant=cell.contestant, sample=cell.sample)

    def spread(self, done: bytes | bytearray, grown: RunPlan) -> bytearray:
        """One byte per cell of a plan grown from this one: the byte that `done` has for the cell, 0 for a new cell."""
        found, width = bytearray(grown.cell_count), len(self.contestants)
        for start in range(0, self.cell_count, width):
            place = self.moved(start, grown)
            found[place : place + width] = done[start : start + width]
        return found

    def grown(
        self,
        *,
        contestants: Sequence[Contestant] = (),
        prompts: Sequence[Prompt] = (),
        samples: int | None = None,
        row_count: int | None = None,
        dataset_id: str | None = None,
    ) -> RunPlan:
        """The plan with more of everything: what is added stands at the end, so that rows, prompts, contestants and
        samples that are there keep their places.

        dataset_id: a version that begins with this plan's rows. Raises RunError for what is there already, for less
        than there is, and when nothing is added.
        """
        _refuse_doubles("contestant", [c.key for c in self.contestants], [(c.key, c.name) for c in contestants])
        _refuse_doubles("prompt", [p.key for p in self.prompts], [(p.key, p.name or p.user) for p in prompts])
        _refuse_less("samples", self.samples, samples)
        _refuse_less("rows", self.row_count, row_count)
        found = replace(
            self,
            contestants=(*self.contestants, *contestants),
            prompts=(*self.prompts, *prompts),
            samples=samples or self.samples,
            row_count=row_count or self.row_count,
            dataset_id=dataset_id or self.dataset_id,
        )
        if found.cell_count == self.cell_count:
            raise RunError("Nothing would be added to the run.", cure="Name a model, a prompt, samples or rows.")
        return found

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
            "gates": dict(self.gates),
            "pilot": self.pilot,
            "margin": self.margin,
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


def _refuse_doubles(kind: str, there: Sequence[str], added: Sequence[tuple[str, str]]) -> None:
    """added: (key, shown name)."""
    seen = set(there)
    for key, name in added:
        if key in seen:
            raise RunError(f"The {kind} {name[:60]!r} is in the run already.", cure="Leave it out or change it.")
        seen.add(key)


def _refuse_less(kind: str, there: int, asked: int | None) -> None:
    if asked is not None and asked < there:
        raise RunError(f"The run has {there:,} {kind}; it cannot shrink to {asked:,}.", cure="Start a new run.")
