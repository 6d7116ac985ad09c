"""The ledger: intents, settlements, budgets (DESIGN 5). Every function takes the writer's connection.

What a call counts for in a budget:
    sent      its bound, as reserved
    settled   its cost; its bound where the cost is unknown or only estimated (`books.counted_pico`)
    orphan    its bound, as settled, until it is recovered
Totals that people see use costs only, estimates among them, and show the unknown apart.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from assay.domain.completion import UNKNOWN_COST, Cost
from assay.errors import AssayError, BudgetExceeded, LeaseLost, NotFound
from assay.money import format_usd
from assay.store.books import (
    ESTIMATED,
    Books,
    RunBudget,
    SharedBudget,
    book,
    counted_pico,
    month_committed,
    month_of,
    run_money,
    shared_money,
)
from assay.store.cell_costs import refresh, refresh_run
from assay.store.owner import BATCH_OWNER, is_surely_dead
from assay.store.prepared import Prepared, PreparedIn
from assay.store.sent_marks import unsent
from assay.store.spend_slots import put_in, put_in_run, take_out
from assay.store.tables import CALL


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


_random = random.Random(secrets.randbits(256))  # noqa: S311 - ids are unique, not secret; asking the system costs a call


def new_id() -> str:
    """An id of 32 hex digits that sorts by time."""
    return f"{now_ms():012x}{_random.getrandbits(80):020x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A call about to be sent."""

    id: str
    created_ms: int
    gateway: str
    purpose: str
    model: str
    owner: str
    bound_pico: int | None
    """The most it can cost; None: unknown."""
    prompt_chars: int | None = None
    """Characters of its messages; None where they hold more than text."""
    run_id: str | None = None
    cell: int | None = None
    comparison_id: str | None = None
    contestant_key: str = ""
    attempt: int = 1
    tags_json: str = "[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a call ended."""

    call_id: str
    settled_ms: int
    outcome: str
    """ok, failed or cancelled."""
    cost: Cost = UNKNOWN_COST
    answered_by: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    is_byok: bool | None = None
    cost_details_json: str | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    finish_reason: str | None = None
    failed_providers_json: str | None = None
    error_kind: str | None = None
    error: str | None = None
    http_status: int | None = None


DIED = "The process died before the answer came."
FREE = Cost(0, "estimated")
"""What a call costs that can cost nothing at most, whatever became of it."""
_NOTE = Prepared(
    update(CALL)
    .where(CALL.c.id == bindparam("call"), CALL.c.generation_id.is_(None))
    .values(generation_id=bindparam("generation"))
)
_SETTLED_COLUMNS = tuple(name for name in Settlement.__slots__ if name not in ("call_id", "cost"))
_SETTLE = Prepared(
    update(CALL)
    .where(CALL.c.id == bindparam("call"))
    .values(
        {name: bindparam(name) for name in (*_SETTLED_COLUMNS, "state", "cost_pico", "provenance", "upstream_pico")}
    )
)


class _CallMoney(NamedTuple):
    """What of a call settling needs to know."""

    id: str
    state: str
    run_id: str | None
    cell: int | None
    created_ms: int
    bound_pico: int | None
    cost_pico: int | None
    provenance: str
    generation_id: str | None
    gateway: str
    purpose: str
    model: str

    @property
    def is_told(self) -> bool:
        """Whether somebody who knows has said what it cost."""
        return self.cost_pico is not None and self.provenance != ESTIMATED

    @property
    def counted_pico(self) -> int:
        """What it counts for in budgets once it has ended."""
        return counted_pico(self.cost_pico, self.provenance, self.bound_pico)


_CALLS_MONEY = PreparedIn(select(*(CALL.c[name] for name in _CallMoney._fields)), CALL.c.id)


def _calls_money(connection: Connection, ids: Sequence[str]) -> dict[str, _CallMoney]:
    return {row[0]: _CallMoney(*row) for row in _CALLS_MONEY.rows(connection, ids)}


@dataclass(frozen=True, slots=True)
class Opening:
    """An intent with the month's budget that it must fit into."""

    intent: Intent
    monthly_budget_pico: int | None = None
    unbounded: str = ""
    """What of the call has no bound, in words, where its bound is unknown."""
    lease: int | None = None
    """The fencing token under which its run is worked; None: whoever works the run, it is sent."""


def open_intents(connection: Connection, openings: Sequence[Opening]) -> list[AssayError | None]:
    """Makes the intents of calls durable and reserves their bounds, as far as the budgets of run, of the runs that
    share one, and of the month allow.

    Each is checked against what is settled and reserved with all before it, in one transaction, so spend never passes
    a budget at any concurrency. For each: None, or why it is refused (BudgetExceeded, also when a budget is set and
    the bound is unknown; LeaseLost when its run is worked under another lease; NotFound for its run); nothing is
    written of a refused one.
    """
    runs: dict[str, RunBudget | None] = {}
    shared: dict[str, SharedBudget | None] = {}
    months: dict[str, int] = {}
    reserved: dict[str, int] = {}
    outcomes: list[AssayError | None] = []
    accepted: list[Intent] = []
    for opening in openings:
        intent = opening.intent
        month, run_id, bound = month_of(intent.created_ms), intent.run_id, intent.bound_pico or 0
        if month not in months:
            months[month] = month_committed(connection, month)
        if run_id is not None and run_id not in runs:
            runs[run_id] = run_money(connection, run_id)
        try:
            if run_id is not None:
                run = runs[run_id]
                if run is None:
                    raise NotFound(f"There is no run {run_id!r}.")
                if opening.lease not in (None, run.lease_token):
                    raise LeaseLost(f"Run {run_id} is worked by another process.")
                committed = run.settled_pico + run.reserved_pico + reserved.get(run_id, 0)
                _check(opening, run.budget_pico, committed, "run")
                if (shared_id := run.shared_budget_id) is not None:
                    if shared_id not in shared:
                        shared[shared_id] = shared_money(connection, shared_id)
                    if (all_runs := shared[shared_id]) is not None:
                        committed = all_runs.committed_pico + reserved.get(shared_id, 0)
                        _check(opening, all_runs.budget_pico, committed, all_runs.name)
            _check(opening, opening.monthly_budget_pico, months[month], "month")
        except AssayError as error:
            outcomes.append(error)
            continue
        months[month] += bound
        if run_id is not None:
            reserved[run_id] = reserved.get(run_id, 0) + bound
            if run is not None and run.shared_budget_id is not None:
                reserved[run.shared_budget_id] = reserved.get(run.shared_budget_id, 0) + bound
        accepted.append(intent)
        outcomes.append(None)
    if accepted:
        _INSERT.many(
            connection, ({name: getattr(intent, name) for name in _INTENT_COLUMNS} | _OPEN for intent in accepted)
        )
        books = Books()
        for intent in accepted:
            books.add(intent.run_id, month_of(intent.created_ms), reserved=intent.bound_pico or 0)
        books.write(connection)
    return outcomes


_INTENT_COLUMNS = tuple(name for name in Intent.__slots__)
_OPEN = {"state": "sent", "provenance": "unknown"}
_INSERT = Prepared(insert(CALL), (*_INTENT_COLUMNS, *_OPEN))


def _check(opening: Opening, budget: int | None, committed: int, whose: str) -> None:
    if budget is None:
        return
    intent = opening.intent
    named = f" of {month_of(intent.created_ms)} (UTC)" if whose == "month" else ""
    cure = "Raise ASSAY_MONTHLY_BUDGET_USD or wait." if whose == "month" else "Raise the budget, then continue."
    if intent.bound_pico is None:
        raise BudgetExceeded(
            f"The {whose}'s budget of {format_usd(budget)} cannot be held, for nobody knows what a call costs at most: "
            f"{opening.unbounded or intent.model}.",
            cure="Leave that out, or remove the budget.",
        )
    if committed + intent.bound_pico > budget:
        raise BudgetExceeded(
            f"The {whose}'s budget of {format_usd(budget)}{named} is reached: {format_usd(committed)} is spent or in "
            "flight, calls without a bill at their upper bounds, and the next call could cost "
            f"{format_usd(intent.bound_pico)}.",
            cure=cure,
        )


def book_restored(connection: Connection, run_id: str, spent: Mapping[str, int]) -> None:
    """Books what the calls of a run that came with them count for: month -> pico-dollars (`books.counted_pico`)."""
    books = Books()
    for month, pico in spent.items():
        month_committed(connection, month)
        books.add(run_id, month, settled=pico)
    books.write(connection)
    put_in_run(connection, run_id)
    refresh_run(connection, run_id)


def note_generations(connection: Connection, notes: Iterable[tuple[str, str]]) -> None:
    """Keeps the generation ids of calls in flight, (call id, generation id): what recovers costs after a crash."""
    _NOTE.many(connection, ({"call": call_id, "generation": generation} for call_id, generation in notes))


def settle(connection: Connection, settlement: Settlement) -> bool:
    """Settles a call and releases its reservation; False, having done nothing, when it was settled before."""
    return settle_many(connection, [settlement])[0]


def settle_many(connection: Connection, settlements: Sequence[Settlement], *, books: Books | None = None) -> list[bool]:
    """Settles calls and releases their reservations; False, having done nothing, for one that was settled before.

    books: where the changes of sums are noted, for a caller who writes them, and the costs of the cells, with others
    of its own.
    """
    found = _calls_money(connection, [settlement.call_id for settlement in settlements])
    noted = Books() if books is None else books
    changes, outcomes, orphans = [], [], []
    cells: list[tuple[str | None, int | None]] = []
    for settlement in settlements:
        call = found.pop(settlement.call_id, None)
        outcomes.append(call is not None and call.state != "settled")
        if call is None or call.state == "settled":
            continue
        values: dict[str, Any] = {name: getattr(settlement, name) for name in _SETTLED_COLUMNS}
        values["generation_id"] = settlement.generation_id or call.generation_id
        cost = FREE if settlement.cost.pico is None and call.bound_pico == 0 else settlement.cost
        values |= {
            "state": "settled",
            "cost_pico": cost.pico,
            "provenance": cost.provenance,
            "upstream_pico": cost.upstream_pico,
        }
        changes.append(values | {"call": settlement.call_id})
        noted.slots.add(call, values)
        cells.append((call.run_id, call.cell))
        bound, was_orphan = call.bound_pico or 0, call.state == "orphan"
        if was_orphan:
            orphans.append(settlement.call_id)
        counts, month = counted_pico(cost.pico, cost.provenance, bound), month_of(call.created_ms)
        if was_orphan:
            noted.add(call.run_id, month, settled=counts - bound)
        else:
            noted.add(call.run_id, month, settled=counts, reserved=-bound)
    if changes:
        if orphans:
            take_out(connection, orphans)
        _SETTLE.many(connection, changes)
        if books is None:
            noted.write(connection)
            refresh(connection, cells)
    return outcomes


def withdraw(connection: Connection, call_id: str) -> None:
    """Takes back the intent of a call that was never sent, with its reservation; a settled call stays.

    So it is with one that another process took for possibly paid meanwhile, for it could not know.
    """
    call = _calls_money(connection, [call_id]).get(call_id)
    if call is None or call.state not in ("sent", "orphan"):
        return
    bound, was_orphan = call.bound_pico or 0, call.state == "orphan"
    if was_orphan:
        take_out(connection, [call_id])
    connection.execute(delete(CALL).where(CALL.c.id == call_id))
    month = month_of(call.created_ms)
    book(connection, call.run_id, month, settled=-bound if was_orphan else 0, reserved=0 if was_orphan else -bound)
    if was_orphan:
        refresh(connection, [(call.run_id, call.cell)])


def recover(connection: Connection, call_id: str, cost: Cost, *, provider: str | None = None) -> bool:
    """Gives a call that ended without a bill the cost that the gateway told later; whether it did.

    A call in flight is left alone: what it was must not stand in the way of its own settlement.
    """
    call = _calls_money(connection, [call_id]).get(call_id)
    if call is None or call.state == "sent" or call.is_told or cost.pico is None:
        return False
    values: dict[str, Any] = {
        "cost_pico": cost.pico,
        "provenance": cost.provenance,
        "upstream_pico": cost.upstream_pico,
        "state": "settled",
    }
    if provider:
        values["provider"] = provider
    if call.state != "settled":
        values |= {"outcome": "failed", "settled_ms": now_ms(), "error": DIED}
    take_out(connection, [call_id])
    connection.execute(update(CALL).where(CALL.c.id == call_id).values(values))
    put_in(connection, [call_id])
    refresh(connection, [(call.run_id, call.cell)])
    book(connection, call.run_id, month_of(call.created_ms), settled=cost.pico - call.counted_pico, reserved=0)
    return True


def mark_orphans(
    connection: Connection, *, run_id: str | None = None, taker: str = "", older_than_ms: int | None = None
) -> int:
    """Marks calls that were sent by a process that is gone: possibly paid, counted at their bound. Returns how many.

    Those that its process had certainly not begun to send (store/sent_marks.py) are taken back with their reservation.

    run_id, taker: all sent calls of a run whose lease was just taken over, but for those of its taker.
    older_than_ms: calls of other hosts that were sent before this moment are orphans too.
    """
    sent = connection.execute(
        select(CALL.c.id, CALL.c.owner, CALL.c.run_id, CALL.c.cell, CALL.c.created_ms, CALL.c.bound_pico).where(
            CALL.c.state == "sent"
        )
    ).all()
    gone = [
        call
        for call in sent
        if not call.owner.startswith(BATCH_OWNER)
        and (
            (run_id is not None and call.run_id == run_id and call.owner != taker)
            or is_surely_dead(call.owner)
            or (older_than_ms is not None and call.created_ms < older_than_ms)
        )
    ]
    taken_back = _unsent(connection, gone)
    if taken_back:
        gone = [call for call in gone if call.id not in taken_back]
        for call_id in sorted(taken_back):
            withdraw(connection, call_id)
    for call in gone:
        lost: dict[str, Any] = {"state": "orphan"}
        if call.bound_pico == 0:
            lost = {
                "state": "settled",
                "outcome": "failed",
                "settled_ms": now_ms(),
                "error": DIED,
                "cost_pico": 0,
                "provenance": FREE.provenance,
            }
        connection.execute(update(CALL).where(CALL.c.id == call.id).values(lost))
        bound = call.bound_pico or 0
        book(connection, call.run_id, month_of(call.created_ms), settled=bound, reserved=-bound)
    put_in(connection, [call.id for call in gone])
    refresh(connection, [(call.run_id, call.cell) for call in gone])
    return len(gone)


def _unsent(connection: Connection, gone: Sequence[Any]) -> set[str]:
    """The calls of dead processes of this machine that were certainly not sent."""
    by_owner: dict[str, list[str]] = {}
    for call in gone:
        if is_surely_dead(call.owner):
            by_owner.setdefault(call.owner, []).append(call.id)
    found = (unsent(connection.engine.url, owner, ids) for owner, ids in by_owner.items())
    return set().union(*found)


@dataclass(frozen=True, slots=True)
class Recoverable:
    """A call whose cost may still be told by the gateway."""

    id: str
    generation_id: str


def recoverable(connection: Connection, *, gateway: str, since_ms: int, limit: int = 500) -> list[Recoverable]:
    """Calls that ended without a bill and have a generation id, newest first."""
    untold = or_(CALL.c.cost_pico.is_(None), CALL.c.provenance == ESTIMATED)
    ended = CALL.c.state.in_(("orphan", "settled"))
    rows = connection.execute(
        select(CALL.c.id, CALL.c.generation_id)
        .where(ended, untold, CALL.c.generation_id.is_not(None))
        .where(CALL.c.gateway == gateway, CALL.c.created_ms >= since_ms)
        .order_by(CALL.c.created_ms.desc())
        .limit(limit)
    )
    return [Recoverable(row.id, row.generation_id) for row in rows]


def calls_of(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """Ledger rows by id."""
    rows = connection.execute(select(CALL).where(CALL.c.id.in_(list(ids))))
    return {row.id: row for row in rows}
