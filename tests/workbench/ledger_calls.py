"""Paid calls for tests that make runs by hand: what a cell costs is what the ledger says."""

from __future__ import annotations

from typing import Any

from assay.domain.completion import Cost
from assay.store import ledger
from store_steps import open_intent


def paid(connection: Any, run_id: str, cell: int, cost: int | None, *, purpose: str = "run", key: str = "") -> str:
    """A settled call of a cell, of unknown cost where that is None; its id."""
    call = ledger.Intent(
        id=ledger.new_id(),
        created_ms=ledger.now_ms(),
        gateway="sandbox",
        purpose=purpose,
        model="a/b",
        owner="test",
        bound_pico=1000,
        run_id=run_id,
        cell=cell,
        contestant_key=key,
    )
    open_intent(connection, call)
    known = Cost(cost, "unknown" if cost is None else "billed")
    ledger.settle(connection, ledger.Settlement(call_id=call.id, settled_ms=1, outcome="ok", cost=known))
    return call.id
