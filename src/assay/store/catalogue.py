"""The latest catalogue of each gateway, and every price that changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from assay.store.tables import CATALOGUE_SNAPSHOT, PRICE_CHANGE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A catalogue as it was fetched."""

    fetched_ms: int
    rows: list[Mapping[str, Any]]


def dump_json(value: object) -> str:
    """JSON text in which a Decimal keeps its digits."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON.")


def load_snapshot(connection: Connection, gateway: str) -> Snapshot | None:
    """The stored catalogue of a gateway; None when it was never fetched."""
    row = connection.execute(select(CATALOGUE_SNAPSHOT).where(CATALOGUE_SNAPSHOT.c.gateway == gateway)).one_or_none()
    return None if row is None else Snapshot(row.fetched_ms, json.loads(row.models_json))


def save_snapshot(connection: Connection, gateway: str, rows: Sequence[Mapping[str, Any]], *, now_ms: int) -> int:
    """Replaces a gateway's catalogue and keeps each price that is new or changed; returns how many were."""
    before = load_snapshot(connection, gateway)
    known = {row.get("id"): dump_json(row.get("pricing")) for row in before.rows} if before else {}
    changed = [
        {"gateway": gateway, "model": str(row.get("id")), "seen_ms": now_ms, "pricing_json": pricing}
        for row in rows
        if known.get(row.get("id")) != (pricing := dump_json(row.get("pricing")))
    ]
    connection.execute(delete(CATALOGUE_SNAPSHOT).where(CATALOGUE_SNAPSHOT.c.gateway == gateway))
    connection.execute(
        insert(CATALOGUE_SNAPSHOT).values(gateway=gateway, fetched_ms=now_ms, models_json=dump_json(list(rows)))
    )
    if changed:
        connection.execute(insert(PRICE_CHANGE), changed)
    return len(changed)


def price_history(connection: Connection, gateway: str, model: str) -> list[tuple[int, dict[str, Any]]]:
    """(first seen in ms, pricing object) of a model, oldest first."""
    rows = connection.execute(
        select(PRICE_CHANGE.c.seen_ms, PRICE_CHANGE.c.pricing_json)
        .where(PRICE_CHANGE.c.gateway == gateway, PRICE_CHANGE.c.model == model)
        .order_by(PRICE_CHANGE.c.seen_ms)
    )
    return [(seen, json.loads(pricing)) for seen, pricing in rows]
