"""Sums over the ledger. Known money and unknown money never mix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Integer, Row, case, cast, func, literal, select

from assay.store.tables import CALL, RUN

Dimension = Literal["day", "model", "provider", "purpose", "run", "gateway"]
_DAY_MS = 86_400_000
_UNKNOWN = CALL.c.cost_pico.is_(None)


@dataclass(frozen=True, slots=True)
class SpendFilter:
    """Which calls count; None: all. Times in ms UTC, start included, end not."""

    start_ms: int | None = None
    end_ms: int | None = None
    model: str | None = None
    provider: str | None = None
    purpose: str | None = None
    run_id: str | None = None
    gateway: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.start_ms is not None:
            found.append(CALL.c.created_ms >= self.start_ms)
        if self.end_ms is not None:
            found.append(CALL.c.created_ms < self.end_ms)
        for name in ("model", "provider", "purpose", "run_id", "gateway"):
            value = getattr(self, name)
            if value is not None:
                column = CALL.c[name]
                found.append(column.is_(None) if value == "" else column == value)
        return found


@dataclass(frozen=True, slots=True)
class SpendSum:
    """A sum over calls."""

    key: str
    calls: int
    known_pico: int
    """Sum of known costs."""
    unknown_calls: int
    """Calls whose cost is not known, those in flight included."""
    unknown_bound_pico: int
    """The most that the unknown ones cost, where a bound is known."""
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int


def _sums() -> list[ColumnElement[Any]]:
    return [
        func.count(),
        func.coalesce(func.sum(CALL.c.cost_pico), 0),
        func.coalesce(func.sum(case((_UNKNOWN, 1), else_=0)), 0),
        func.coalesce(func.sum(case((_UNKNOWN, CALL.c.bound_pico), else_=0)), 0),
        *(
            func.coalesce(func.sum(CALL.c[f"{kind}_tokens"]), 0)
            for kind in ("prompt", "completion", "reasoning", "cached")
        ),
    ]


def spend_sum(connection: Connection, chosen: SpendFilter) -> SpendSum:
    """The sum over all chosen calls; no calls: zeros."""
    row = connection.execute(select(*_sums()).where(*chosen.conditions())).one()
    return SpendSum("", *(int(value) for value in row))


def spend_by(
    connection: Connection, dimension: Dimension, chosen: SpendFilter, *, offset_ms: int = 0
) -> list[SpendSum]:
    """Sums per value of a dimension: days in order, everything else dearest first.

    offset_ms: local time minus UTC, for days; a day's key is its number since 1970 as text.
    """
    key = _key(dimension, offset_ms)
    query = select(key.label("key"), *_sums()).where(*chosen.conditions()).group_by("key")
    rows = connection.execute(query).all()
    sums = [SpendSum("" if row[0] is None else str(row[0]), *(int(value) for value in row[1:])) for row in rows]
    if dimension == "day":
        return sorted(sums, key=lambda s: int(s.key))
    return sorted(sums, key=lambda s: (-s.known_pico, s.key))


def _key(dimension: Dimension, offset_ms: int) -> ColumnElement[Any]:
    if dimension == "day":
        return cast((CALL.c.created_ms + literal(offset_ms)) / literal(_DAY_MS), Integer)
    return CALL.c["run_id" if dimension == "run" else dimension]


def spend_by_day_and_model(connection: Connection, chosen: SpendFilter, *, offset_ms: int = 0) -> list[Row[Any]]:
    """(day number since 1970, model, pico-dollars known), days in order."""
    day = cast((CALL.c.created_ms + literal(offset_ms)) / literal(_DAY_MS), Integer).label("day")
    query = select(day, CALL.c.model, func.coalesce(func.sum(CALL.c.cost_pico), 0).label("pico"))
    return list(connection.execute(query.where(*chosen.conditions()).group_by("day", CALL.c.model).order_by("day")))


@dataclass(frozen=True, slots=True)
class ContestantSpend:
    """What one contestant's calls of one purpose cost, as known from one source."""

    contestant_key: str
    purpose: str
    provenance: str
    sum: SpendSum


def spend_by_contestant(connection: Connection, run_id: str) -> list[ContestantSpend]:
    """Sums of a run per contestant, purpose and provenance, judges under the contestant they judged."""
    keys = [CALL.c.contestant_key, CALL.c.purpose, CALL.c.provenance]
    query = select(*keys, *_sums()).where(CALL.c.run_id == run_id).group_by(*keys).order_by(*keys)
    return [
        ContestantSpend(row[0], row[1], row[2], SpendSum(row[0], *(int(value) for value in row[3:])))
        for row in connection.execute(query)
    ]


def run_names(connection: Connection, run_ids: list[str]) -> dict[str, str]:
    """Names of runs by id."""
    return {row.id: row.name for row in connection.execute(select(RUN.c.id, RUN.c.name).where(RUN.c.id.in_(run_ids)))}


def count_calls(connection: Connection, chosen: SpendFilter) -> int:
    """How many calls are chosen."""
    return int(connection.execute(select(func.count()).select_from(CALL).where(*chosen.conditions())).scalar_one())


def ledger_page(connection: Connection, chosen: SpendFilter, *, page: int = 1, size: int = 100) -> list[Row[Any]]:
    """Rows of the ledger, newest first; pages count from 1."""
    query = select(CALL).where(*chosen.conditions()).order_by(CALL.c.created_ms.desc(), CALL.c.id.desc())
    return list(connection.execute(query.limit(size).offset((max(page, 1) - 1) * size)))


def first_call_ms(connection: Connection, chosen: SpendFilter) -> int | None:
    """When the first chosen call was made; None without calls."""
    value = connection.execute(select(func.min(CALL.c.created_ms)).where(*chosen.conditions())).scalar()
    return None if value is None else int(value)
