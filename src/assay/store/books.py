"""What runs, months and lines of spend sum up: read before a call is opened, changed with the calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from assay.store.prepared import Prepared
from assay.store.spend_slots import SlotChanges
from assay.store.tables import MONTH_SPEND, RUN, SHARED_BUDGET

ESTIMATED = "estimated"


def month_of(ms: int) -> str:
    """The UTC month, YYYY-MM."""
    return _month_of_day(ms // 86_400_000)


@lru_cache(maxsize=64)
def _month_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m")


def counted_pico(cost_pico: int | None, provenance: str, bound_pico: int | None) -> int:
    """What an ended call counts for in budgets: its cost where somebody who knows has said it, else its bound.

    An estimate is no bill, which may have been dearer: it counts at the bound, too, or as itself where that is more.
    """
    if cost_pico is None:
        return bound_pico or 0
    return max(cost_pico, bound_pico or 0) if provenance == ESTIMATED else cost_pico


class RunBudget(NamedTuple):
    """A run's budget, None without one, what counts against it, in pico-dollars, and under which lease it is worked."""

    budget_pico: int | None
    settled_pico: int
    reserved_pico: int
    lease_token: int
    """Of whoever works it; of the last one where nobody does."""
    shared_budget_id: str | None


_RUN_MONEY = Prepared(select(*(RUN.c[name] for name in RunBudget._fields)).where(RUN.c.id == bindparam("run")))


class SharedBudget(NamedTuple):
    """A budget that several runs share, and what counts against it, in pico-dollars."""

    name: str
    budget_pico: int | None
    settled_pico: int
    reserved_pico: int

    @property
    def committed_pico(self) -> int:
        """Spent or in flight."""
        return self.settled_pico + self.reserved_pico


_SHARED_MONEY = Prepared(
    select(*(SHARED_BUDGET.c[name] for name in SharedBudget._fields)).where(SHARED_BUDGET.c.id == bindparam("budget"))
)
_CHANGE_SHARED = Prepared(
    update(SHARED_BUDGET)
    .where(SHARED_BUDGET.c.id == select(RUN.c.shared_budget_id).where(RUN.c.id == bindparam("run")).scalar_subquery())
    .values(
        settled_pico=SHARED_BUDGET.c.settled_pico + bindparam("settled"),
        reserved_pico=SHARED_BUDGET.c.reserved_pico + bindparam("reserved"),
    )
)
_MONTH_MONEY = Prepared(
    select(MONTH_SPEND.c.settled_pico + MONTH_SPEND.c.reserved_pico).where(MONTH_SPEND.c.month == bindparam("of"))
)
_ADD_MONTH_ROW = Prepared(insert(MONTH_SPEND), ("month", "settled_pico", "reserved_pico"))
_CHANGE_RUN = Prepared(
    update(RUN)
    .where(RUN.c.id == bindparam("run"))
    .values(
        settled_pico=RUN.c.settled_pico + bindparam("settled"),
        reserved_pico=RUN.c.reserved_pico + bindparam("reserved"),
        done=RUN.c.done + bindparam("more_done"),
        failed=RUN.c.failed + bindparam("more_failed"),
    )
)
_CHANGE_MONTH = Prepared(
    update(MONTH_SPEND)
    .where(MONTH_SPEND.c.month == bindparam("of"))
    .values(
        settled_pico=MONTH_SPEND.c.settled_pico + bindparam("settled"),
        reserved_pico=MONTH_SPEND.c.reserved_pico + bindparam("reserved"),
    )
)


def run_money(connection: Connection, run_id: str) -> RunBudget | None:
    """A run's money; None: there is no such run."""
    found = _RUN_MONEY.rows(connection, {"run": run_id})
    return RunBudget(*found[0]) if found else None


def shared_money(connection: Connection, budget_id: str) -> SharedBudget | None:
    """A shared budget's money; None: there is no such budget."""
    found = _SHARED_MONEY.rows(connection, {"budget": budget_id})
    return SharedBudget(*found[0]) if found else None


def month_committed(connection: Connection, month: str) -> int:
    """Settled and reserved in a month, whose row is made where it is missing."""
    found = _MONTH_MONEY.rows(connection, {"of": month})
    if not found:
        _ADD_MONTH_ROW.one(connection, {"month": month, "settled_pico": 0, "reserved_pico": 0})
        return 0
    return int(found[0][0])


@dataclass(slots=True)
class _Sums:
    settled: int = 0
    reserved: int = 0
    more_done: int = 0
    more_failed: int = 0


class Books:
    """Changes of runs, months and lines of spend, added up in memory and written as one statement each."""

    def __init__(self) -> None:
        self.slots = SlotChanges()
        self._runs: dict[str, _Sums] = {}
        self._months: dict[str, _Sums] = {}

    def add(self, run_id: str | None, month: str, *, settled: int = 0, reserved: int = 0) -> None:
        """Notes a change of a run's money and of its month's."""
        touched = [self._months.setdefault(month, _Sums())]
        if run_id is not None:
            touched.append(self._runs.setdefault(run_id, _Sums()))
        for sums in touched:
            sums.settled += settled
            sums.reserved += reserved

    def count(self, run_id: str, *, done: int, failed: int) -> None:
        """Notes cells of a run that have a result now."""
        sums = self._runs.setdefault(run_id, _Sums())
        sums.more_done += done
        sums.more_failed += failed

    def write(self, connection: Connection) -> None:
        """Writes the sums, always in one order: on a server, processes then wait for each other and not in a circle."""
        for run_id, s in sorted(self._runs.items(), key=itemgetter(0)):
            if s != _Sums():
                _CHANGE_RUN.one(
                    connection,
                    {
                        "run": run_id,
                        "settled": s.settled,
                        "reserved": s.reserved,
                        "more_done": s.more_done,
                        "more_failed": s.more_failed,
                    },
                )
            if s.settled or s.reserved:
                _CHANGE_SHARED.one(connection, {"run": run_id, "settled": s.settled, "reserved": s.reserved})
        for month, s in sorted(self._months.items(), key=itemgetter(0)):
            if s != _Sums():
                _CHANGE_MONTH.one(connection, {"of": month, "settled": s.settled, "reserved": s.reserved})
        self.slots.write(connection)


def month_committed_now(connection: Connection, month: str) -> int:
    """What is settled and reserved in a month, in pico-dollars; a month without calls: 0."""
    rows = _MONTH_MONEY.rows(connection, {"of": month})
    return int(rows[0][0]) if rows else 0


def month_settled(connection: Connection, month: str) -> int:
    """What is settled in a month, in pico-dollars, as `counted_pico` has it; a month without calls: 0."""
    found = connection.execute(select(MONTH_SPEND.c.settled_pico).where(MONTH_SPEND.c.month == month)).scalar()
    return int(found or 0)


def book(connection: Connection, run_id: str | None, month: str, *, settled: int, reserved: int) -> None:
    """Writes one change of a run's money and of its month's."""
    books = Books()
    books.add(run_id, month, settled=settled, reserved=reserved)
    books.write(connection)
