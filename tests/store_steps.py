"""Single steps of the store, as tests take them: the engine takes many at once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from assay.store import ledger, saving


def open_intent(connection: Connection, intent: ledger.Intent, *, monthly_budget_pico: int | None = None) -> None:
    """Makes one call's intent durable. Raises what refuses it."""
    (refused,) = ledger.open_intents(connection, [ledger.Opening(intent, monthly_budget_pico)])
    if refused is not None:
        raise refused


def save_results(connection: Connection, records: Sequence[saving.ResultRecord], *, token: int | None = None) -> None:
    """Stores results without a settlement. Raises the first refusal."""
    refusals = saving.save_all(connection, [saving.Saving(record, None, token) for record in records])
    for refused in filter(None, refusals):
        raise refused
