"""The list of runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.domain.plan import RunPurpose
from assay.money import format_usd
from assay.store import runs as stored
from assay.store.cell_costs import NOTHING, CellCost, run_costs
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A line of the list of runs."""

    id: str
    name: str
    state: str
    created_ms: int
    cells: int
    done: int
    failed: int
    cost: CellCost
    """Known costs of its answers and of its judges' calls; what is unknown stands apart."""
    gateway: str
    tags: tuple[str, ...]
    purpose: RunPurpose = "batch"
    parent_id: str | None = None
    """The run that it came from."""
    actor: str = "local"
    """Who started it."""
    waits: str = ""
    """Which gateway it waits for, in words; empty: for none."""

    @property
    def spent_pico(self) -> int:
        """Known spend on all of its calls that have ended."""
        return self.cost.known_pico + self.cost.judging_pico

    @property
    def unknown_calls(self) -> int:
        """Calls of unknown cost."""
        return self.cost.unknown_calls + self.cost.judging_unknown

    @property
    def unknown_bound_pico(self) -> int:
        """The most that they cost together."""
        return self.cost.unknown_bound_pico + self.cost.judging_bound_pico

    @property
    def spent_words(self) -> str:
        """What is known, and what is not."""
        at_most = f", at most {format_usd(self.unknown_bound_pico)} more" if self.unknown_bound_pico else ""
        unknown = f" + {self.unknown_calls:,} unknown{at_most}" if self.unknown_calls else ""
        return format_usd(self.spent_pico) + unknown


def list_runs(session: Session, *, limit: int = 50, offset: int = 0, live_only: bool = False) -> list[RunSummary]:
    """Runs, newest first."""
    with session.store.read() as connection:
        rows = stored.list_runs(connection, limit=limit, offset=offset, live_only=live_only)
        found = summaries(connection, rows)
    return [replace(run, waits=waits_for(session, row)) for run, row in zip(found, rows, strict=True)]


def summaries(connection: Any, rows: Sequence[Any]) -> list[RunSummary]:
    """Lines of the list of runs, of their rows."""
    costs = run_costs(connection, [r.id for r in rows])
    return [
        RunSummary(
            r.id,
            r.name,
            r.state,
            r.created_ms,
            r.cells,
            r.done,
            r.failed,
            costs.get(r.id, NOTHING),
            r.gateway,
            tuple(json.loads(r.tags_json)),
            r.purpose,
            r.parent_id,
            r.actor,
        )
        for r in rows
    ]
