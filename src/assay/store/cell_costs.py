"""What the cells of runs cost, kept beside their results and always as their calls in the ledger say.

Whatever ends a call, or changes one that has ended, calls `refresh` in the same transaction; who stores a result asks
`costs_of`. A contestant's own calls (every attempt, of every time that the cell was asked) and its judges' stand apart.
Calls in flight count once they have ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, literal_column, select, update

from assay.domain.plan import RunPlan
from assay.store.prepared import Prepared, PreparedIn
from assay.store.tables import CALL, RESULT, SPEND_SLOT

AT_ONCE = 512
_JUDGE: ColumnElement[Any] = literal_column("'judge'")
_ONE: ColumnElement[Any] = literal_column("1")
_ZERO: ColumnElement[Any] = literal_column("0")
"""Written out: a prepared statement takes parameters by name only."""


class CellCost(NamedTuple):
    """What a cell, or a sum of cells, cost: known in full, and what is unknown apart."""

    known_pico: int = 0
    unknown_calls: int = 0
    unknown_bound_pico: int = 0
    """The most that the unknown ones cost, where a bound is known."""
    judging_pico: int = 0
    """Known costs of judges' calls; in none of the above."""
    judging_unknown: int = 0
    judging_bound_pico: int = 0

    @property
    def cost_pico(self) -> int | None:
        """The contestant's own cost; None when any of it is unknown."""
        return None if self.unknown_calls else self.known_pico

    def plus(self, other: CellCost) -> CellCost:
        """Both together."""
        return CellCost(*(a + b for a, b in zip(self, other, strict=True)))


NAMES = CellCost._fields
NOTHING = CellCost()


def _sums() -> list[ColumnElement[Any]]:
    """SQL for the fields of CellCost over chosen calls that have ended."""
    found: list[ColumnElement[Any]] = []
    for mine in (CALL.c.purpose != _JUDGE, CALL.c.purpose == _JUDGE):
        unknown = mine & CALL.c.cost_pico.is_(None)
        parts = (
            case((mine, CALL.c.cost_pico)),
            case((unknown, _ONE)),
            case((unknown, CALL.c.bound_pico)),
        )
        found += [func.coalesce(func.sum(part), _ZERO) for part in parts]
    return found


_COSTS = PreparedIn(
    select(CALL.c.cell, *_sums())
    .where(CALL.c.run_id == bindparam("run"), CALL.c.state != literal_column("'sent'"))
    .group_by(CALL.c.cell),
    CALL.c.cell,
)
_UPDATE = Prepared(
    update(RESULT)
    .where(RESULT.c.run_id == bindparam("run"), RESULT.c.cell == bindparam("of"))
    .values({name: bindparam(name) for name in (*NAMES, "cost_pico")})
)


def costs_of(connection: Connection, run_id: str, cells: Sequence[int]) -> dict[int, CellCost]:
    """What cells of a run cost, by their numbers; a cell without a call is left out: it cost nothing."""
    found: dict[int, CellCost] = {}
    for start in range(0, len(cells), AT_ONCE):
        for row in _COSTS.rows(connection, cells[start : start + AT_ONCE], {"run": run_id}):
            found[row[0]] = CellCost(*map(int, row[1:]))
    return found


def columns_of(cost: CellCost) -> dict[str, int | None]:
    """The columns of a result that hold its cost."""
    return {**cost._asdict(), "cost_pico": cost.cost_pico}


def refresh(connection: Connection, cells: Iterable[tuple[str | None, int | None]]) -> None:
    """Writes the costs of cells, (run, cell), beside their results; a call outside of runs, or without a result, is
    passed over."""
    by_run: dict[str, set[int]] = {}
    for run_id, cell in cells:
        if run_id is not None and cell is not None:
            by_run.setdefault(run_id, set()).add(cell)
    for run_id, numbers in sorted(by_run.items()):
        costs = costs_of(connection, run_id, sorted(numbers))
        lines = [{"run": run_id, "of": number, **columns_of(cost)} for number, cost in costs.items()]
        _UPDATE.many(connection, lines)


def refresh_run(connection: Connection, run_id: str) -> None:
    """Writes the costs of all cells of a run that came with its calls."""
    connection.execute(update(RESULT).where(RESULT.c.run_id == run_id).values(columns_of(NOTHING)))
    numbers = connection.execute(select(RESULT.c.cell).where(RESULT.c.run_id == run_id)).scalars()
    refresh(connection, [(run_id, number) for number in numbers])


class Place(NamedTuple):
    """A contestant with one prompt version."""

    prompt: int
    contestant: int


def summed_costs() -> list[ColumnElement[Any]]:
    """SQL for the fields of CellCost over chosen results."""
    return [func.coalesce(func.sum(RESULT.c[name]), 0) for name in NAMES]


def cost_by_place(
    connection: Connection, run_id: str, plan: RunPlan, *, of_results: Mapping[Place, CellCost]
) -> dict[Place, CellCost]:
    """What each contestant with each prompt version cost: all of its calls that have ended, also of cells that have no
    result. None: left out.

    of_results: the same of cells that have one, as `results.place_sums` sums it.
    """
    found = dict(of_results)
    total = NOTHING
    for cost in found.values():
        total = total.plus(cost)
    if total != run_cost(connection, run_id):  # each call of the run is looked at in an index: only where it must be
        _add_without_result(connection, run_id, plan, found)
    return found


def _add_without_result(connection: Connection, run_id: str, plan: RunPlan, found: dict[Place, CellCost]) -> None:
    # Indexes alone tell which cells have no result: of a run at work they are the few that are asked just now.
    asked = select(CALL.c.cell).where(CALL.c.run_id == run_id, CALL.c.cell.is_not(None))
    open_cells = connection.execute(asked.except_(select(RESULT.c.cell).where(RESULT.c.run_id == run_id))).scalars()
    for number, cost in costs_of(connection, run_id, [n for n in open_cells if 0 <= n < plan.cell_count]).items():
        cell = plan.cell(number)
        place = Place(cell.prompt, cell.contestant)
        found[place] = found.get(place, NOTHING).plus(cost)


def run_cost(connection: Connection, run_id: str) -> CellCost:
    """What all calls of a run that have ended cost, from the kept sums."""
    return run_costs(connection, [run_id]).get(run_id, NOTHING)


def run_costs(connection: Connection, run_ids: Sequence[str]) -> Mapping[str, CellCost]:
    """What all calls of runs that have ended cost, by run; a run without one is left out."""
    names = ("known_pico", "unknown_calls", "unknown_bound_pico")
    rows = connection.execute(
        select(SPEND_SLOT.c.run_id, SPEND_SLOT.c.purpose, *(func.sum(SPEND_SLOT.c[name]) for name in names))
        .where(SPEND_SLOT.c.run_id.in_(run_ids))
        .group_by(SPEND_SLOT.c.run_id, SPEND_SLOT.c.purpose)
    )
    found: dict[str, CellCost] = {}
    for run_id, purpose, *sums in rows:
        part = [int(value) for value in sums]
        cost = CellCost(0, 0, 0, *part) if purpose == "judge" else CellCost(*part)
        found[run_id] = found.get(run_id, NOTHING).plus(cost)
    return found
