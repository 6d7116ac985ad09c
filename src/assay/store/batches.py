"""Batches of a run at the gateway, and the calls that they carry.

A call of a batch outlives the process that handed it in: its owner is the batch, so that no restart takes it for an
orphan. It is settled when the batch's answers are fetched, or withdrawn when the gateway never got it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from assay.store.ledger import new_id, now_ms, withdraw
from assay.store.owner import BATCH_OWNER
from assay.store.tables import CALL, GATEWAY_BATCH

MISSED = "missed"
"""The state of a batch that the gateway did not know when it was last asked."""
FOUND = "found"
"""The state of a batch that was found in the gateway's list by its looks: it may be another's."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch of a run."""

    id: str
    contestant: int
    remote_id: str | None
    state: str
    calls: int
    answered: int
    created_ms: int
    expires_ms: int | None
    account: str = ""
    """Whose key handed it in, as the gateway names the account; empty: nobody knows."""

    @property
    def owner(self) -> str:
        """The owner of its calls."""
        return owner_of(self.id)


def owner_of(batch_id: str) -> str:
    """The name under which a batch owns its calls."""
    return f"{BATCH_OWNER}{batch_id}"


def open_batch(connection: Connection, run_id: str, *, contestant: int, calls: int, account: str = "") -> str:
    """Stores a batch about to be handed in, before its calls' intents, and returns its id."""
    batch_id = new_id()
    connection.execute(
        insert(GATEWAY_BATCH).values(
            id=batch_id,
            run_id=run_id,
            contestant=contestant,
            state="submitting",
            calls=calls,
            answered=0,
            created_ms=now_ms(),
            account=account,
        )
    )
    return batch_id


def batches_of(connection: Connection, run_id: str, *, live_only: bool = False) -> list[StoredBatch]:
    """The batches of a run, oldest first; live_only: those that are not over."""
    columns = [GATEWAY_BATCH.c[name] for name in StoredBatch.__slots__]
    query = select(*columns).where(GATEWAY_BATCH.c.run_id == run_id).order_by(GATEWAY_BATCH.c.id)
    rows = connection.execute(query.where(GATEWAY_BATCH.c.state != "ended") if live_only else query)
    return [StoredBatch(*row) for row in rows]


def accepted(
    connection: Connection,
    batch_id: str,
    *,
    remote_id: str,
    expires_ms: int | None,
    calls: int | None = None,
    state: str = "waiting",
) -> None:
    """Notes that the gateway has a batch."""
    values: dict[str, Any] = {"remote_id": remote_id, "state": state, "expires_ms": expires_ms}
    if calls is not None:
        values["calls"] = calls
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(values))


def not_ours(connection: Connection, batch_id: str) -> None:
    """Notes that what the gateway had was taken for a batch and is another."""
    values = {"remote_id": None, "state": "submitting", "expires_ms": None, "answered": 0}
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(values))


def told(connection: Connection, batch_id: str, *, answered: int) -> None:
    """Notes how many requests of a batch the gateway has answered."""
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(answered=answered))


def missed(connection: Connection, batch_id: str) -> None:
    """Notes that the gateway does not know a batch, and that a person is told so."""
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(state=MISSED))


def found_again(connection: Connection, batch_id: str) -> None:
    """Notes that the gateway knows a batch after all."""
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(state="waiting"))


def end_batch(connection: Connection, batch_id: str) -> None:
    """Notes that a batch is over: every call of it is settled or withdrawn."""
    connection.execute(update(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id).values(state="ended"))


@dataclass(frozen=True, slots=True)
class BatchCall:
    """A call of a batch that is not settled."""

    id: str
    cell: int


def open_calls(connection: Connection, run_id: str, batch_id: str) -> list[BatchCall]:
    """The calls of a batch that wait for their answer."""
    rows = connection.execute(
        select(CALL.c.id, CALL.c.cell)
        .where(CALL.c.run_id == run_id, CALL.c.owner == owner_of(batch_id), CALL.c.state == "sent")
        .order_by(CALL.c.cell)
    )
    return [BatchCall(row.id, row.cell) for row in rows]


def withdraw_batch(connection: Connection, run_id: str, batch_id: str) -> None:
    """Takes back a batch that the gateway never got, with the intents of its calls."""
    for call in open_calls(connection, run_id, batch_id):
        withdraw(connection, call.id)
    connection.execute(delete(GATEWAY_BATCH).where(GATEWAY_BATCH.c.id == batch_id))


def known_remotes(connection: Connection, remote_ids: Sequence[str]) -> set[str]:
    """Those of the gateway's ids that some batch here bears."""
    rows = connection.execute(select(GATEWAY_BATCH.c.remote_id).where(GATEWAY_BATCH.c.remote_id.in_(remote_ids)))
    return {row.remote_id for row in rows}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run has at the gateway's batch endpoint."""

    calls: int
    answered: int
    expires_ms: int | None
    """When the last of them is due."""


def waiting(connection: Connection, run_id: str) -> Waiting | None:
    """What a run waits for; None: for nothing."""
    row = connection.execute(
        select(
            func.sum(GATEWAY_BATCH.c.calls), func.sum(GATEWAY_BATCH.c.answered), func.max(GATEWAY_BATCH.c.expires_ms)
        ).where(GATEWAY_BATCH.c.run_id == run_id, GATEWAY_BATCH.c.state != "ended")
    ).one()
    return Waiting(int(row[0]), int(row[1]), row[2]) if row[0] is not None else None
