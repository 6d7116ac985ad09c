"""What the ledger's ended calls sum to, per quarter of an hour: what pages read instead of the ledger.

A call enters its line when it ends (settled, or orphan), in the transaction that ends it, and changes lines when its
cost is recovered. Calls in flight are in no line; who sums reads them from the ledger, through its index on `state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from assay.store.prepared import Prepared
from assay.store.tables import CALL, SPEND_SLOT

SLOT_MS = 900_000
"""Local days begin on a quarter of an hour in every time zone of today."""
KEYS = ("slot", "gateway", "purpose", "model", "provider", "run_id")
TOKENS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
SUMS = ("calls", "known_pico", "unknown_calls", "unknown_bound_pico", *TOKENS, "upstream_pico")
_NAMES = KEYS + SUMS
AT_ONCE = 512
"""Calls that one statement names."""


class SlotChanges:
    """What ending calls add to their lines, added up in memory and written as one statement."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], list[int]] = {}

    def add(self, call: Any, ended: Mapping[str, Any]) -> None:
        """Notes a call that ends. call: its ledger row as it was; ended: the columns that it gets."""
        provider = ended["provider"] or ""
        key = (call.created_ms // SLOT_MS, call.gateway, call.purpose, call.model, provider, call.run_id or "")
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * len(SUMS)
        sums[0] += 1
        cost = ended["cost_pico"]
        if cost is None:
            sums[2] += 1
            sums[3] += call.bound_pico or 0
        else:
            sums[1] += cost
        for place, name in enumerate(TOKENS, start=4):
            sums[place] += ended[name] or 0
        sums[-1] += ended["upstream_pico"] or 0

    def write(self, connection: Connection) -> None:
        """Adds the sums to their lines."""
        _add(connection, [(*key, *sums) for key, sums in sorted(self._sums.items())])


def put_in(connection: Connection, ids: Sequence[str]) -> None:
    """Adds ended calls, as they now stand in the ledger, to their lines."""
    for part in _parts(ids):
        _move(connection, CALL.c.id.in_(part), 1)


def take_out(connection: Connection, ids: Sequence[str]) -> None:
    """Takes calls, as they now stand in the ledger, out of their lines, before they change."""
    for part in _parts(ids):
        _move(connection, CALL.c.id.in_(part), -1)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids in parts that a statement can name."""
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def put_in_run(connection: Connection, run_id: str) -> None:
    """Adds all ended calls of a run that came with its calls."""
    _move(connection, CALL.c.run_id == run_id, 1)


def _move(connection: Connection, chosen: ColumnElement[bool], sign: int) -> None:
    found = connection.execute(sums_of_calls().where(chosen)).all()
    _add(connection, [(*row[: len(KEYS)], *(sign * int(value) for value in row[len(KEYS) :])) for row in found])


def sums_of_calls() -> Select[Any]:
    """The lines as the ledger's ended calls make them: exactly what the table must hold."""
    unknown = CALL.c.cost_pico.is_(None)
    keys: list[ColumnElement[Any]] = [
        CALL.c.created_ms // SLOT_MS,
        CALL.c.gateway,
        CALL.c.purpose,
        CALL.c.model,
        func.coalesce(CALL.c.provider, ""),
        func.coalesce(CALL.c.run_id, ""),
    ]
    sums: list[ColumnElement[Any]] = [
        func.count(),
        func.coalesce(func.sum(CALL.c.cost_pico), 0),
        func.sum(case((unknown, 1), else_=0)),
        func.coalesce(func.sum(case((unknown, CALL.c.bound_pico), else_=0)), 0),
        *(func.coalesce(func.sum(CALL.c[name]), 0) for name in (*TOKENS, "upstream_pico")),
    ]
    names = [key.label(name) for key, name in zip(keys, KEYS, strict=True)]
    return select(*names, *sums).where(CALL.c.state != "sent").group_by(*keys)


@cache
def _added(dialect: str) -> Prepared:
    """The statement that adds sums to their lines, making those that are missing."""
    # Only the dialect in use: importing the other's takes a twentieth of the command line's start.
    added = import_module(f"sqlalchemy.dialects.{dialect}").insert(SPEND_SLOT)
    sums = {name: SPEND_SLOT.c[name] + added.excluded[name] for name in SUMS}
    return Prepared(added.on_conflict_do_update(index_elements=list(KEYS), set_=sums), _NAMES)


def _add(connection: Connection, lines: Iterable[tuple[Any, ...]]) -> None:
    rows = (dict(zip(_NAMES, line, strict=True)) for line in lines)
    _added(connection.dialect.name).many(connection, rows)
