"""Where the contestants of a run stand: the decision and the scoreboard, counted once for all who look.

Counting reads every cell of a run. What came of it is kept: of a run that nobody works in the store too, until anything
that it was counted from changes, and of one that is worked for so long that counting takes a small part of the time,
however many pages look at it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import assay
from assay.errors import AssayError, SettingsError
from assay.money import format_usd
from assay.stats.sentences import verdict_lines
from assay.stats.values import Decision, Look
from assay.store import boards, growth, runs
from assay.store import results as stored
from assay.store.cell_costs import cost_by_place, run_cost
from assay.workbench.memo import Fresh, Kind
from assay.workbench.results.board import ContestantScore, counted, rows_by_place
from assay.workbench.results.cells import get_run

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from assay.workbench.session import Session

FORMAT = 1
"""Of what is kept in the store; another one, once something is counted otherwise."""
LONGEST_REASON = 160


@dataclass(frozen=True, slots=True)
class Standing:
    """What the cells of a run say at a moment."""

    decision: Decision
    """Costs in pico-dollars; a contestant's key is `PROMPT.CONTESTANT`, by their places in the plan."""
    board: tuple[ContestantScore, ...]
    """In the order of the decision: best score first, the left out last."""
    has_graders: bool
    reasons: tuple[str, ...] = ()
    """Where no contestant passed a row: the first reasons of the graders. They quote answers."""

    @property
    def verdict_lines(self) -> tuple[str, ...]:
        """The decision in sentences, the main one first."""
        return decision_lines(self.decision, has_graders=self.has_graders)

    @property
    def verdict(self) -> str:
        """The same as one text."""
        return " ".join(self.verdict_lines)


def decision_lines(decision: Decision, *, has_graders: bool = True) -> tuple[str, ...]:
    """The sentences of a decision, the main one first."""
    if not has_graders:
        return ("Nothing can be decided: this run has no graders.",)
    return tuple(verdict_lines(decision, lambda pico: format_usd(round(pico))))


STANDINGS: Kind[Standing] = Kind("standings", kept=32)
FRESH = Fresh(least_s=2.0, share=20)


def standing(session: Session, run_id: str) -> Standing:
    """The decision and the scoreboard of a run. Raises NotFound."""
    with session.store.read() as connection:
        row = runs.get_run(connection, run_id)
        state = state_of(connection, row)
    is_live = row.state in runs.LIVE
    fresh = FRESH if is_live else None

    def count(_: Standing | None) -> Standing:
        return _counted(session, row.id) if is_live else _kept(session, row.id, state)

    return session.memos.of(STANDINGS).get(row.id, count, state=state, fresh=fresh)


def state_of(connection: Any, row: Any) -> str:
    """What a standing follows from: whatever changes results, costs or the margin changes it."""
    spent, margin = run_cost(connection, row.id), runs.plan_of(row).margin
    return json.dumps([
        FORMAT, assay.__version__, row.state, row.cells, row.done, row.failed, spent, row.finished_ms, row.lease_token,
        margin,
    ])  # fmt: skip


def _kept(session: Session, run_id: str, state: str) -> Standing:
    """The standing of a run that nobody works: as it is kept, or else counted and kept."""
    with session.store.read() as connection:
        kept = boards.kept_board(connection, run_id, state=state)
    if kept is not None:
        with suppress(ValueError):  # another version of Assay wrote it
            return _adapter().validate_json(kept)
    found = _counted(session, run_id)
    text = _adapter().dump_json(found).decode()
    with suppress(AssayError):  # a full disk keeps nobody from looking
        session.store.writer.call(lambda c: boards.keep_board(c, run_id, state=state, standing_json=text))
    return found


@cache
def _adapter() -> TypeAdapter[Standing]:
    from pydantic import TypeAdapter

    return TypeAdapter(Standing)


def _counted(session: Session, run_id: str) -> Standing:
    run = get_run(session, run_id)
    with session.store.read() as connection:
        cells = stored.cell_scores(connection, run.id)
        sums = stored.place_sums(connection, run.id)
        of_results = {place: cost for place, (_, cost) in sums.items()}
        costs = cost_by_place(connection, run.id, run.plan, of_results=of_results)
        look = look_of(connection, run.id, run.state)
        rows = rows_by_place(run.plan, cells, ended=run.state == "done")
        numbers = {place: found for place, (found, _) in sums.items()}
        decision, board = counted(run.plan, rows, numbers, costs, look=look)
        reasons = stored.first_reasons(connection, run.id) if decision.all_zero else []
    said = tuple(f"{reason[:LONGEST_REASON]}…" if len(reason) > LONGEST_REASON else reason for reason in reasons)
    return Standing(decision, board, bool(run.plan.graders), said)


def look_of(connection: Any, run_id: str, state: str) -> Look:
    """When a run is looked at: one that has got more rows or samples was looked at before."""
    if state != "done":
        return "early"
    changes = [change.detail for change in growth.changes_of(connection, run_id)]
    grown = any(before != after for detail in changes for before, after in (detail["rows"], detail["samples"]))
    return "grown" if grown else "planned"


def scoreboard(session: Session, run_id: str) -> tuple[ContestantScore, ...]:
    """The scoreboard, best score first. Raises NotFound."""
    return standing(session, run_id).board


def verdict(session: Session, run_id: str) -> str:
    """The decision in words."""
    return standing(session, run_id).verdict


def set_margin(session: Session, run_id: str, margin: float) -> None:
    """Keeps another margin with a run: points worse, as a share, that still count as good enough.

    Raises NotFound, SettingsError.
    """
    check_margin(margin)
    session.store.writer.call(lambda c: runs.set_margin(c, run_id, margin))


def check_margin(margin: float) -> None:
    """Raises SettingsError for what is no margin."""
    if not 0 < margin < 1:
        raise SettingsError(f"The margin {margin!r} is not between 0 and 1.", cure="0.05 is five points.")
