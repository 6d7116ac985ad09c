"""The ledger: intents, settlements, budgets (DESIGN 5). Every function takes the writer's connection.

What a call counts for in a budget:
    sent      its bound, as reserved
    settled   its cost; its bound where the cost is unknown
    orphan    its bound, as settled, until it is recovered
Totals that people see use costs only and show the unknown apart.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from assay.domain.completion import UNKNOWN_COST, Cost
from assay.errors import BudgetExceeded, NotFound
from assay.money import format_usd
from assay.store.owner import is_surely_dead
from assay.store.tables import CALL, MONTH_SPEND, RUN


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """An id of 32 hex digits that sorts by time."""
    return f"{now_ms():012x}{secrets.token_hex(10)}"


def month_of(ms: int) -> str:
    """The UTC month, YYYY-MM."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m")


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
    first_token_ms: float | None = None
    total_ms: float | None = None
    finish_reason: str | None = None
    error_kind: str | None = None
    error: str | None = None
    http_status: int | None = None


_INSERT = insert(CALL)
_ADD_RUN = (
    update(RUN)
    .where(RUN.c.id == bindparam("run"))
    .values(
        settled_pico=RUN.c.settled_pico + bindparam("settled"),
        reserved_pico=RUN.c.reserved_pico + bindparam("reserved"),
    )
)
_ADD_MONTH = (
    update(MONTH_SPEND)
    .where(MONTH_SPEND.c.month == bindparam("of"))
    .values(
        settled_pico=MONTH_SPEND.c.settled_pico + bindparam("settled"),
        reserved_pico=MONTH_SPEND.c.reserved_pico + bindparam("reserved"),
    )
)
_RUN_MONEY = select(RUN.c.budget_pico, RUN.c.settled_pico, RUN.c.reserved_pico).where(RUN.c.id == bindparam("run"))
_CALL_MONEY = select(
    CALL.c.state, CALL.c.run_id, CALL.c.created_ms, CALL.c.bound_pico, CALL.c.cost_pico, CALL.c.generation_id
).where(CALL.c.id == bindparam("call"))


def open_intent(connection: Connection, intent: Intent, *, monthly_budget_pico: int | None = None) -> None:
    """Makes a call's intent durable and reserves its bound, if the budgets of its run and of the month allow it.

    The check and the reservation are one transaction, so spend never passes a budget at any concurrency.
    Raises BudgetExceeded, having written nothing; also when a budget is set and the bound is unknown.
    """
    month = month_of(intent.created_ms)
    if intent.run_id is not None:
        run = connection.execute(_RUN_MONEY, {"run": intent.run_id}).one_or_none()
        if run is None:
            raise NotFound(f"There is no run {intent.run_id!r}.")
        _check(intent, run.budget_pico, run.settled_pico + run.reserved_pico, "run")
    spent = connection.execute(select(MONTH_SPEND).where(MONTH_SPEND.c.month == month)).one_or_none()
    _check(intent, monthly_budget_pico, spent.settled_pico + spent.reserved_pico if spent else 0, "month")
    if spent is None:
        connection.execute(insert(MONTH_SPEND).values(month=month, settled_pico=0, reserved_pico=0))
    connection.execute(_INSERT, {name: getattr(intent, name) for name in _INTENT_COLUMNS} | _OPEN)
    _book(connection, intent.run_id, month, settled=0, reserved=intent.bound_pico or 0)


_INTENT_COLUMNS = tuple(name for name in Intent.__slots__)
_OPEN = {"state": "sent", "provenance": "unknown"}
_SETTLED_COLUMNS = tuple(name for name in Settlement.__slots__ if name not in ("call_id", "cost"))


def _check(intent: Intent, budget: int | None, committed: int, whose: str) -> None:
    if budget is None:
        return
    cure = "Raise the budget, then continue." if whose == "run" else "Raise ASSAY_MONTHLY_BUDGET_USD or wait."
    if intent.bound_pico is None:
        raise BudgetExceeded(
            f"The price of {intent.model} is unknown, so the {whose}'s budget of {format_usd(budget)} cannot be held.",
            cure="Remove the budget or the model.",
        )
    if committed + intent.bound_pico > budget:
        raise BudgetExceeded(
            f"The {whose}'s budget of {format_usd(budget)} is reached: {format_usd(committed)} is spent or in flight, "
            f"and the next call could cost {format_usd(intent.bound_pico)}.",
            cure=cure,
        )


def _book(connection: Connection, run_id: str | None, month: str, *, settled: int, reserved: int) -> None:
    if not settled and not reserved:
        return
    change = {"settled": settled, "reserved": reserved}
    if run_id is not None:
        connection.execute(_ADD_RUN, {"run": run_id, **change})
    connection.execute(_ADD_MONTH, {"of": month, **change})


def note_generation(connection: Connection, call_id: str, generation_id: str) -> None:
    """Keeps the generation id of a call in flight: what recovers its cost after a crash."""
    connection.execute(
        update(CALL).where(CALL.c.id == call_id, CALL.c.generation_id.is_(None)).values(generation_id=generation_id)
    )


def settle(connection: Connection, settlement: Settlement) -> bool:
    """Settles a call and releases its reservation; False, having done nothing, when it was settled before."""
    call = connection.execute(_CALL_MONEY, {"call": settlement.call_id}).one_or_none()
    if call is None or call.state == "settled":
        return False
    values: dict[str, Any] = {name: getattr(settlement, name) for name in _SETTLED_COLUMNS}
    values["generation_id"] = settlement.generation_id or call.generation_id
    values |= {"state": "settled", "cost_pico": settlement.cost.pico, "provenance": settlement.cost.provenance}
    connection.execute(update(CALL).where(CALL.c.id == settlement.call_id).values(values))
    bound = call.bound_pico or 0
    counts = bound if settlement.cost.pico is None else settlement.cost.pico
    was_orphan = call.state == "orphan"
    _book(
        connection,
        call.run_id,
        month_of(call.created_ms),
        settled=counts - (bound if was_orphan else 0),
        reserved=0 if was_orphan else -bound,
    )
    return True


def recover(connection: Connection, call_id: str, cost: Cost, *, provider: str | None = None) -> None:
    """Gives a settled or orphaned call of unknown cost the cost that the gateway told later."""
    call = connection.execute(_CALL_MONEY, {"call": call_id}).one_or_none()
    if call is None or call.cost_pico is not None or cost.pico is None:
        return
    values = {"cost_pico": cost.pico, "provenance": cost.provenance, "state": "settled"}
    if provider:
        values["provider"] = provider
    if call.state != "settled":
        values |= {"outcome": "failed", "settled_ms": now_ms(), "error": "The process died before the answer came."}
    connection.execute(update(CALL).where(CALL.c.id == call_id).values(values))
    reserved = -(call.bound_pico or 0) if call.state == "sent" else 0
    settled = cost.pico - (0 if call.state == "sent" else (call.bound_pico or 0))
    _book(connection, call.run_id, month_of(call.created_ms), settled=settled, reserved=reserved)


def mark_orphans(
    connection: Connection, *, living: frozenset[str], run_id: str | None = None, older_than_ms: int | None = None
) -> int:
    """Marks calls that were sent by a process that is gone: possibly paid, counted at their bound. Returns how many.

    living: owners of this process. run_id: all sent calls of a run whose lease was just taken over.
    older_than_ms: calls of other hosts that were sent before this moment are orphans too.
    """
    sent = connection.execute(
        select(CALL.c.id, CALL.c.owner, CALL.c.run_id, CALL.c.created_ms, CALL.c.bound_pico).where(
            CALL.c.state == "sent"
        )
    ).all()
    gone = [
        call
        for call in sent
        if call.owner not in living
        and (
            (run_id is not None and call.run_id == run_id)
            or is_surely_dead(call.owner, living=living)
            or (older_than_ms is not None and call.created_ms < older_than_ms)
        )
    ]
    for call in gone:
        connection.execute(update(CALL).where(CALL.c.id == call.id).values(state="orphan"))
        bound = call.bound_pico or 0
        _book(connection, call.run_id, month_of(call.created_ms), settled=bound, reserved=-bound)
    return len(gone)


@dataclass(frozen=True, slots=True)
class Recoverable:
    """A call whose cost may still be told by the gateway."""

    id: str
    generation_id: str


def recoverable(connection: Connection, *, gateway: str, since_ms: int, limit: int = 500) -> list[Recoverable]:
    """Calls of unknown cost with a generation id, newest first."""
    ended = or_(CALL.c.state == "orphan", and_(CALL.c.state == "settled", CALL.c.provenance == "unknown"))
    rows = connection.execute(
        select(CALL.c.id, CALL.c.generation_id)
        .where(ended, CALL.c.cost_pico.is_(None), CALL.c.generation_id.is_not(None))
        .where(CALL.c.gateway == gateway, CALL.c.created_ms >= since_ms)
        .order_by(CALL.c.created_ms.desc())
        .limit(limit)
    )
    return [Recoverable(row.id, row.generation_id) for row in rows]


def calls_of(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """Ledger rows by id."""
    rows = connection.execute(select(CALL).where(CALL.c.id.in_(list(ids))))
    return {row.id: row for row in rows}
