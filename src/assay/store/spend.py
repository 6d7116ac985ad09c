"""Sums over the ledger. Known money and unknown money never mix.

They are read from the sums of ended calls (store/spend_slots.py) and the few calls in flight; a filter whose times are
not on a quarter of an hour, which the sums cannot tell apart, is read from the ledger itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Subquery, case, func, literal, select, text, union_all

from assay.domain.completion import Cost, names_of
from assay.store import ledger
from assay.store.spend_slots import SLOT_MS, SUMS, TOKENS
from assay.store.tables import CALL, RUN, SPEND_SLOT

Dimension = Literal["day", "model", "provider", "purpose", "run"]
_DAY_MS = 86_400_000
_UNKNOWN = CALL.c.cost_pico.is_(None)
_TEXTS = ("gateway", "purpose", "model", "provider", "run_id")


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
    """Calls whose cost is not known; those in flight too, where they are summed."""
    unknown_bound_pico: int
    """The most that the unknown ones cost, where a bound is known."""
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    upstream_pico: int = 0
    """The part of the known costs that providers charge to one's own keys."""


_OF_A_CALL: list[ColumnElement[Any]] = [
    literal(1),
    func.coalesce(CALL.c.cost_pico, 0),
    case((_UNKNOWN, 1), else_=0),
    case((_UNKNOWN, func.coalesce(CALL.c.bound_pico, 0)), else_=0),
    *(func.coalesce(CALL.c[name], 0) for name in (*TOKENS, "upstream_pico")),
]
"""What one call adds to each of SUMS."""


def _lines(chosen: SpendFilter, *, in_flight: bool = True) -> Subquery:
    """Lines of sums that add up to the chosen calls: at_ms, the texts (never null), and SUMS."""
    texts = [func.coalesce(CALL.c[name], "").label(name) for name in _TEXTS]
    sums = [value.label(name) for name, value in zip(SUMS, _OF_A_CALL, strict=True)]
    calls = select(CALL.c.created_ms.label("at_ms"), *texts, *sums).where(*chosen.conditions())
    if (chosen.start_ms or 0) % SLOT_MS or (chosen.end_ms or 0) % SLOT_MS:
        return (calls if in_flight else calls.where(CALL.c.state != "sent")).subquery()
    ended = select(
        (SPEND_SLOT.c.slot * SLOT_MS).label("at_ms"), *(SPEND_SLOT.c[name] for name in (*_TEXTS, *SUMS))
    ).where(*_of_slots(chosen))
    return (union_all(ended, calls.where(CALL.c.state == "sent")) if in_flight else ended).subquery()


def _of_slots(chosen: SpendFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.start_ms is not None:
        found.append(SPEND_SLOT.c.slot >= chosen.start_ms // SLOT_MS)
    if chosen.end_ms is not None:
        found.append(SPEND_SLOT.c.slot < chosen.end_ms // SLOT_MS)
    for name in _TEXTS:
        value = getattr(chosen, name)
        if value is not None:
            found.append(SPEND_SLOT.c[name] == value)
    return found


def _summed(lines: Subquery) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(lines.c[name]), 0) for name in SUMS]


def values_of(total: SpendSum) -> tuple[int, ...]:
    """A sum as plain values, in the order of SUMS."""
    return tuple(getattr(total, name) for name in SUMS)


def spend_sum(connection: Connection, chosen: SpendFilter, *, in_flight: bool = True) -> SpendSum:
    """The sum over all chosen calls, those in flight (of unknown cost until they end) where wanted; none: zeros."""
    row = connection.execute(select(*_summed(_lines(chosen, in_flight=in_flight)))).one()
    return SpendSum("", *(int(value) for value in row))


@dataclass(frozen=True, slots=True)
class InFlight:
    """Calls that are under way: what they cost is not known yet, and not lost."""

    calls: int
    bound_pico: int
    """The most they cost together, where a bound is known."""


def in_flight(connection: Connection, chosen: SpendFilter) -> InFlight:
    """The chosen calls that are under way, from the index on their state."""
    query = select(func.count(), func.coalesce(func.sum(CALL.c.bound_pico), 0))
    row = connection.execute(query.where(CALL.c.state == "sent", *chosen.conditions())).one()
    return InFlight(int(row[0]), int(row[1]))


Offsets = Callable[[int, int], Iterable[tuple[int, int]]]
"""Of a time in ms UTC: the parts in which local time minus UTC is one, as (until, that offset in ms), in order."""


def _day(connection: Connection, lines: Subquery, offsets: Offsets | None) -> ColumnElement[Any]:
    """The local day of a line, in days since 1970; None: by UTC."""
    if offsets is None:
        return lines.c.at_ms // _DAY_MS
    first, last = connection.execute(select(func.min(lines.c.at_ms), func.max(lines.c.at_ms))).one()
    *before, (_, rest) = offsets(int(first or 0), int(last or 0))
    if not before:
        return (lines.c.at_ms + rest) // _DAY_MS
    offset = case(*((lines.c.at_ms < until, literal(known)) for until, known in before), else_=literal(rest))
    return (lines.c.at_ms + offset) // _DAY_MS


class SpendPiece(NamedTuple):
    """The sums of chosen calls of one local day, model, provider, purpose and run."""

    day: int
    """Number of the day since 1970."""
    model: str
    provider: str
    purpose: str
    run: str
    sums: tuple[int, ...]
    """In the order of SUMS."""


def spend_pieces(connection: Connection, chosen: SpendFilter, *, offsets: Offsets | None = None) -> list[SpendPiece]:
    """The chosen calls that have ended, in the smallest pieces that a page adds up, days in order."""
    lines = _lines(chosen, in_flight=False)
    day = _day(connection, lines, offsets).label("day")
    keys = (day, lines.c.model, lines.c.provider, lines.c.purpose, lines.c.run_id)
    query = select(*keys, *_summed(lines)).group_by(text("day"), *keys[1:]).having(func.sum(lines.c.calls) > 0)
    found = [
        SpendPiece(int(row[0]), row[1], row[2], row[3], row[4], tuple(map(int, row[5:])))
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda piece: piece.day)


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
    sums = [func.sum(value) for value in _OF_A_CALL]
    query = select(*keys, *sums).where(CALL.c.run_id == run_id).group_by(*keys).order_by(*keys)
    return [
        ContestantSpend(row[0], row[1], row[2], SpendSum(row[0], *(int(value) for value in row[3:])))
        for row in connection.execute(query)
    ]


class Orphans(NamedTuple):
    """Calls of a run whose process ended before their answer came: possibly paid."""

    calls: int = 0
    bound_pico: int = 0
    """The most that they cost, where a bound is known."""
    askable: int = 0
    """Those with a generation id, by which the gateway may still tell the cost."""


def orphans_of(connection: Connection, run_id: str) -> Orphans:
    """The orphans of a run, through the index on the calls' state; none: zeros."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(CALL.c.bound_pico), 0), func.count(CALL.c.generation_id)).where(
            CALL.c.state == "orphan",
            func.coalesce(CALL.c.run_id, "") == run_id,  # not the index on runs: it would walk all calls of the run
        )
    ).one()
    return Orphans(*map(int, row))


def upstream_of(connection: Connection, run_id: str) -> int:
    """The part of a run's known costs, in pico-dollars, that providers charge to one's own keys."""
    query = select(func.coalesce(func.sum(SPEND_SLOT.c.upstream_pico), 0)).where(SPEND_SLOT.c.run_id == run_id)
    return int(connection.execute(query).scalar_one())


def failed_providers_of(connection: Connection, run_id: str) -> list[tuple[str, int]]:
    """(provider with its status, answers before which it failed) of a run, the most frequent first."""
    found: Counter[str] = Counter()
    query = (
        select(CALL.c.failed_providers_json, func.count())
        .where(CALL.c.run_id == run_id, CALL.c.failed_providers_json.is_not(None))
        .group_by(CALL.c.failed_providers_json)
    )
    for names, count in connection.execute(query):
        for name in names_of(names):
            found[name] += count
    return found.most_common()


def answered_by_of(connection: Connection, run_id: str, contestant_key: str) -> list[tuple[str, int]]:
    """(model that answered, answers) of a contestant's own calls, the most frequent first; untold ones are left out."""
    query = (
        select(CALL.c.answered_by, func.count())
        .where(CALL.c.run_id == run_id, CALL.c.contestant_key == contestant_key, CALL.c.purpose == "run")
        .where(CALL.c.outcome == "ok", CALL.c.answered_by.is_not(None))
        .group_by(CALL.c.answered_by)
        .order_by(func.count().desc(), CALL.c.answered_by)
    )
    return [(model, count) for model, count in connection.execute(query)]


def state_costs(
    connection: Connection,
    chosen: SpendFilter,
    *,
    at_bound: bool,
    each_pico: int = 0,
    call_id: str | None = None,
    most: int,
) -> SpendSum:
    """Settles the chosen calls that have ended at an unknown cost by a person's word: at an amount each, or at their
    bounds; a call without a bound then stays unknown. call_id: that one alone. most: how many of them at once.
    Returns their sum."""
    unknown = [CALL.c.cost_pico.is_(None), CALL.c.state != "sent"]
    if call_id is not None:
        unknown.append(CALL.c.id == call_id)
    if at_bound:
        unknown.append(CALL.c.bound_pico.is_not(None))
    query = select(CALL.c.id, CALL.c.bound_pico).where(*unknown, *chosen.conditions()).limit(most)
    calls = connection.execute(query).all()
    for call_id, bound in calls:
        ledger.recover(connection, call_id, Cost(bound if at_bound else each_pico, "stated"))
    total = sum(bound for _, bound in calls) if at_bound else each_pico * len(calls)
    return SpendSum("", len(calls), total, 0, 0, 0, 0, 0, 0)


def run_names(connection: Connection, run_ids: list[str]) -> dict[str, str]:
    """Names of runs by id."""
    return {row.id: row.name for row in connection.execute(select(RUN.c.id, RUN.c.name).where(RUN.c.id.in_(run_ids)))}


def count_calls(connection: Connection, chosen: SpendFilter) -> int:
    """How many calls are chosen."""
    return spend_sum(connection, chosen).calls


def ledger_page(connection: Connection, chosen: SpendFilter, *, page: int = 1, size: int = 100) -> list[Row[Any]]:
    """Rows of the ledger, newest first; pages count from 1."""
    query = select(CALL).where(*chosen.conditions()).order_by(CALL.c.created_ms.desc(), CALL.c.id.desc())
    return list(connection.execute(query.limit(size).offset((max(page, 1) - 1) * size)))
