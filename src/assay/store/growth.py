"""A run that grows in place: its plan, the new numbers of its cells, and what is kept about each change.

A cell's number is arithmetic on its place in the grid, so a longer axis gives every cell a new one. The texts, scores
and calls of a cell follow it in the same transaction; its ledger and totals stay what they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from assay.domain.plan import RunPlan
from assay.errors import RunError
from assay.store.ledger import now_ms
from assay.store.prompts import link_prompts
from assay.store.runs import LIVE, get_run, plan_of
from assay.store.tables import CALL, RESULT, RESULT_TEXT, RUN, RUN_CHANGE, SCORE

KEYED = (RESULT, RESULT_TEXT, SCORE)
"""Tables in whose primary key a cell's number stands."""
NUMBERED = (*KEYED, CALL)
"""All tables that hold numbers of cells."""
ADDED, BEFORE = "grown", "before"


@dataclass(frozen=True, slots=True)
class RunChange:
    """One change of a run, as it is kept."""

    at_ms: int
    kind: str
    detail: Mapping[str, Any]


def grow_run(
    connection: Connection,
    run_id: str,
    grown: RunPlan,
    *,
    before: RunPlan,
    detail: Mapping[str, Any],
    budget_pico: int | None = None,
) -> None:
    """Gives a run that nobody works the grown plan, and queues it.

    before: the plan that it grew from; detail: what is kept about the change; budget_pico: a new budget, None leaves
    the present one. No engine that worked it earlier can write any more: its fencing token is spent. Raises RunError,
    having written nothing, when the run is being worked or is not the one that the plan grew from.
    """
    run = growable(connection, run_id, before=before)
    budget = run.budget_pico if budget_pico is None else budget_pico
    connection.execute(
        insert(RUN_CHANGE).values(
            run_id=run.id,
            at_ms=now_ms(),
            kind=ADDED,
            detail_json=json.dumps({**detail, BEFORE: before.as_json()}, ensure_ascii=False),
        )
    )
    connection.execute(
        update(RUN)
        .where(RUN.c.id == run.id)
        .values(
            plan_json=json.dumps(grown.as_json(), ensure_ascii=False),
            dataset_id=grown.dataset_id,
            cells=grown.cell_count,
            budget_pico=budget,
            state="queued",
            command="",
            reason="",
            finished_ms=None,
            lease_owner="",
            lease_until_ms=0,
            lease_token=RUN.c.lease_token + 1,
        )
    )
    added = len(before.prompts)
    link_prompts(connection, run.id, grown.prompts[added:], first=added)
    _renumber(connection, run.id, before, grown)


def growable(connection: Connection, run_id: str, *, before: RunPlan) -> Row[Any]:
    """The row of a run that may grow now. Raises RunError when it is being worked or has another plan than before."""
    run = get_run(connection, run_id)
    check_idle(run)
    if plan_of(run) != before:
        raise RunError("The run was changed by somebody else meanwhile.", cure="Look at it again, then repeat.")
    return run


def check_idle(run: Any) -> None:
    """Raises RunError, with the cure, when a run is being worked."""
    if run.state in LIVE and run.lease_until_ms > now_ms():
        raise RunError(f"The run is {run.state}, and only a run at rest can grow.", cure="Pause it first.")


def _renumber(connection: Connection, run_id: str, old: RunPlan, new: RunPlan) -> None:
    if _widths(old) == _widths(new):
        return
    for table in KEYED:
        # Two steps, so that no cell takes a number that another one still has: first below zero, then back.
        mine = update(table).where(table.c.run_id == run_id)
        connection.execute(mine.values(cell=-1 - _moved(table.c.cell, old, new)))
        connection.execute(mine.values(cell=-1 - table.c.cell))
    calls = update(CALL).where(CALL.c.run_id == run_id, CALL.c.cell.is_not(None))
    connection.execute(calls.values(cell=_moved(CALL.c.cell, old, new)))


def _widths(plan: RunPlan) -> tuple[int, int, int]:
    """The axes that a cell's number depends on; rows are outermost, so more of them change none."""
    return plan.samples, len(plan.prompts), len(plan.contestants)


def _moved(cell: ColumnElement[int], old: RunPlan, new: RunPlan) -> ColumnElement[Any]:
    """`RunPlan.moved` as an expression: the same on SQLite and PostgreSQL, for cells are never negative here."""
    contestants, prompts, samples = len(old.contestants), len(old.prompts), old.samples
    contestant, rest = cell % contestants, cell // contestants
    prompt, rest = rest % prompts, rest // prompts
    sample, row = rest % samples, rest // samples
    return ((row * new.samples + sample) * len(new.prompts) + prompt) * len(new.contestants) + contestant


def asked_cells(connection: Connection, run_id: str) -> list[int]:
    """Cells whose call was sent and not answered yet: those that wait in a batch of a run at rest."""
    query = select(CALL.c.cell).where(CALL.c.run_id == run_id, CALL.c.state == "sent", CALL.c.cell.is_not(None))
    return [int(cell) for cell in connection.execute(query).scalars()]


def changes_of(connection: Connection, run_id: str) -> list[RunChange]:
    """The changes of a run, oldest first."""
    rows = connection.execute(select(RUN_CHANGE).where(RUN_CHANGE.c.run_id == run_id).order_by(RUN_CHANGE.c.id))
    return [RunChange(row.at_ms, row.kind, json.loads(row.detail_json)) for row in rows]
