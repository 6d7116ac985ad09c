"""Where the contestants of a run stand: the scoreboard and the decision in words.

Counting reads every cell of a run. What came of it is kept: for good once the run has ended, and while it is worked for
so long that counting takes a small part of the time, however many pages look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from assay.store import results as stored
from assay.store import runs
from assay.store.cell_costs import cost_by_place, run_cost
from assay.store.results import CellRow
from assay.workbench.memo import Fresh, Kind
from assay.workbench.results.board import ContestantScore, by_row, ranked
from assay.workbench.results.cells import RunRecord, get_run
from assay.workbench.results.verdict import in_words

if TYPE_CHECKING:
    from assay.workbench.session import Session


class Standing(NamedTuple):
    """What the cells of a run say at a moment."""

    board: tuple[ContestantScore, ...]
    """Best score first; errors are missing data, shown as coverage."""
    verdict: str


STANDINGS: Kind[Standing] = Kind("standings", kept=32)
FRESH = Fresh(least_s=2.0, share=20)


def standing(session: Session, run_id: str) -> Standing:
    """The scoreboard and the verdict of a run. Raises NotFound."""
    with session.store.read() as connection:
        row = runs.get_run(connection, run_id)
        spent = run_cost(connection, row.id)
    state = (row.cells, row.done, row.failed, spent, row.finished_ms, row.lease_token)
    fresh = FRESH if row.state in runs.LIVE else None
    return session.memos.of(STANDINGS).get(row.id, lambda _: _counted(session, row.id), state=state, fresh=fresh)


def _counted(session: Session, run_id: str) -> Standing:
    run = get_run(session, run_id)
    with session.store.read() as connection:
        cells = stored.cell_rows(connection, run.id)
        costs = cost_by_place(connection, run.id, run.plan)
    board = ranked(run, cells, costs)
    return Standing(board, _verdict(run, board, cells))


def _verdict(run: RunRecord, board: Sequence[ContestantScore], cells: Sequence[CellRow]) -> str:
    scored = [line for line in board if line.score is not None]
    if not scored:
        return "Nothing is scored yet, so nothing can be decided." if run.plan.graders else "This run has no graders."

    @cache
    def values(line: ContestantScore) -> dict[int, float]:
        return by_row([c for c in cells if (c.prompt, c.contestant) == (line.prompt, line.contestant)])

    return in_words(scored, values)


def scoreboard(session: Session, run_id: str) -> tuple[ContestantScore, ...]:
    """The scoreboard, best score first. Raises NotFound."""
    return standing(session, run_id).board


def verdict(session: Session, run_id: str) -> str:
    """The decision in words: who is best, by how much, whether that is more than noise, at what price."""
    return standing(session, run_id).verdict
