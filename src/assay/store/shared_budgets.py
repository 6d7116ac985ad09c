"""Budgets that several runs share: what all of them spend together never passes one amount."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from assay.errors import BudgetExceeded, NotFound
from assay.money import format_usd
from assay.store.books import SharedBudget, shared_money
from assay.store.ledger import new_id, now_ms
from assay.store.tables import RUN, SHARED_BUDGET


def create_shared_budget(connection: Connection, name: str, budget_pico: int, *, actor: str) -> str:
    """Makes a budget that runs may share, of so many pico-dollars, and returns its id."""
    budget_id = new_id()
    connection.execute(
        insert(SHARED_BUDGET).values(
            id=budget_id,
            name=name,
            created_ms=now_ms(),
            actor=actor,
            budget_pico=budget_pico,
            settled_pico=0,
            reserved_pico=0,
        )
    )
    return budget_id


def get_shared_budget(connection: Connection, budget_id: str) -> SharedBudget:
    """A shared budget with what counts against it. Raises NotFound."""
    found = shared_money(connection, budget_id)
    if found is None:
        raise NotFound(f"There is no shared budget {budget_id!r}.")
    return found


def set_shared_budget(connection: Connection, budget_id: str, budget_pico: int) -> None:
    """Raises or lowers a shared budget. Raises NotFound; BudgetExceeded below what is spent or in flight."""
    found = get_shared_budget(connection, budget_id)
    if budget_pico < found.committed_pico:
        raise BudgetExceeded(
            f"{format_usd(found.committed_pico)} of {found.name} is spent or in flight.",
            cure=f"Set at least {format_usd(found.committed_pico)}.",
        )
    connection.execute(update(SHARED_BUDGET).where(SHARED_BUDGET.c.id == budget_id).values(budget_pico=budget_pico))


def runs_of(connection: Connection, budget_id: str) -> list[str]:
    """The ids of the runs that share a budget, oldest first."""
    query = select(RUN.c.id).where(RUN.c.shared_budget_id == budget_id).order_by(RUN.c.created_ms, RUN.c.id)
    return list(connection.execute(query).scalars())
