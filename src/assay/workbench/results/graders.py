"""What each grader of a run gave each contestant, counted once for all who look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.store import results as stored
from assay.store import runs
from assay.workbench.memo import Fresh, Kind
from assay.workbench.results.cells import get_run

if TYPE_CHECKING:
    from assay.workbench.session import Session


@dataclass(frozen=True, slots=True)
class GraderMeans:
    """The means of a run by grader."""

    names: tuple[str, ...]
    """Of the graders, in the plan's order."""
    means: dict[tuple[int, int, int], tuple[float, int]]
    """(prompt, contestant, grader) -> mean over its cells, and how many have a score; none: absent."""


MEANS: Kind[GraderMeans] = Kind("grader means", kept=32)
FRESH = Fresh(least_s=2.0, share=20)


def grader_means(session: Session, run_id: str) -> GraderMeans:
    """The means of a run by grader. Raises NotFound."""
    run = get_run(session, run_id)

    def count(_: GraderMeans | None) -> GraderMeans:
        with session.store.read() as connection:
            return GraderMeans(tuple(spec.label for spec in run.plan.graders), stored.grader_means(connection, run.id))

    fresh = FRESH if run.state in runs.LIVE else None
    state = (run.state, run.done, run.failed, len(run.plan.graders))
    return session.memos.of(MEANS).get(run.id, count, state=state, fresh=fresh)
