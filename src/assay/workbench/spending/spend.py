"""Spend: where every cent went, computed from the ledger; the unknown stands apart."""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from assay.datasets.export import write_csv
from assay.errors import DataError, NotFound
from assay.money import exact_usd, format_usd
from assay.store import spend as stored
from assay.store.books import month_committed_now, month_of
from assay.store.ledger import calls_of, now_ms
from assay.store.spend import Dimension, InFlight, SpendFilter, SpendSum
from assay.store.spend_slots import SUMS
from assay.workbench.spending.days import UTC_ZONE, Zone, today

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["Dimension", "SpendFilter", "SpendSum"]
FORECAST_DAYS = 2
"""Days of the month that must have passed before a forecast is made."""
STATED_AT_ONCE = 200
"""Calls that one transaction settles by a person's word."""


def month_start_ms(zone: Zone) -> int:
    """When the local month began, in ms UTC."""
    day = today(zone)
    return zone.start_ms(day - (_date(day).day - 1))


def today_start_ms(zone: Zone) -> int:
    """When the local day began, in ms UTC."""
    return zone.start_ms(today(zone))


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


def spent(session: Session, chosen: SpendFilter) -> SpendSum:
    """The sum over the chosen calls that have ended; none: zeros."""
    with session.store.read() as connection:
        return stored.spend_sum(connection, chosen, in_flight=False)


def this_month(session: Session, *, zone: Zone = UTC_ZONE) -> SpendSum:
    """The sum of this month's calls that have ended."""
    return spent(session, SpendFilter(start_ms=month_start_ms(zone)))


def forecast_pico(month_pico: int, *, zone: Zone) -> int | None:
    """Spend of the whole month at the pace of its part so far; None: too early in the month."""
    local = datetime.fromtimestamp(time.time(), UTC).astimezone(zone.info)
    days = calendar.monthrange(local.year, local.month)[1]
    passed = local.day - 1 + (local.hour * 60 + local.minute) / 1440
    if passed < FORECAST_DAYS:
        return None
    return round(month_pico * days / passed)


@dataclass(frozen=True, slots=True)
class BudgetMonth:
    """The month that the monthly budget counts: a month of UTC, whoever looks."""

    name: str
    """Such as `November 2026 (UTC)`."""
    known_pico: int
    held_pico: int
    """What its calls in flight, and those without a bill, hold up to their upper bounds beyond the known: no spend."""
    budget_pico: int | None


def budget_month(session: Session) -> BudgetMonth:
    """What stands against the monthly budget now."""
    with session.store.read() as connection:
        committed = month_committed_now(connection, month_of(now_ms()))
    known = this_month(session).known_pico
    name = f"{datetime.now(UTC):%B %Y} (UTC)"
    return BudgetMonth(name, known, max(committed - known, 0), session.dispatcher.monthly_budget_pico)


def recover(session: Session, *, days: int = 30) -> int:
    """Asks the gateway for every cost of the last days that it may still tell; returns how many are now known."""
    return session.wait(session.dispatcher.recover_all(since_ms=now_ms() - days * 86_400_000))


def state_costs(
    session: Session,
    *,
    run_id: str | None = None,
    call_id: str | None = None,
    at_bound: bool,
    each_pico: int = 0,
    before_ms: int | None = None,
) -> SpendSum:
    """A person's word on calls of unknown cost that have ended: they cost an amount each, or their upper bound.

    run_id, call_id: of a run, or one call alone. A call without a bound stays unknown when the bound is meant.
    Returns the sum of the calls that were settled so.
    """
    chosen = SpendFilter(run_id=run_id, end_ms=before_ms)
    part = partial(
        stored.state_costs, chosen=chosen, at_bound=at_bound, each_pico=each_pico, call_id=call_id, most=STATED_AT_ONCE
    )
    calls = pico = 0
    while (stated := session.store.writer.call(part)).calls:  # between two parts runs write what they must
        calls += stated.calls
        pico += stated.known_pico
    return replace(stated, calls=calls, known_pico=pico)


def unknown_of(session: Session, *, run_id: str | None = None, call_id: str | None = None) -> SpendSum:
    """The calls of unknown cost that have ended, as `state_costs` would settle them.

    Raises NotFound for a call that is not in the ledger, DataError for one whose cost is known or that has not ended.
    """
    if call_id is None:
        return spent(session, SpendFilter(run_id=run_id))
    with session.store.read() as connection:
        call = calls_of(connection, [call_id]).get(call_id)
    if call is None:
        raise NotFound(
            f"There is no call {call_id!r}.", cure="The ledger on Spend lists them, and its CSV has the ids."
        )
    if call.state == "sent":
        raise DataError(f"The call {call_id} is in flight.", cure="Wait until it has ended.")
    if call.cost_pico is not None:
        raise DataError(f"The cost of the call {call_id} is known: {format_usd(call.cost_pico)}, {call.provenance}.")
    return SpendSum("", 1, 0, 1, call.bound_pico or 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One bar or point of a spend chart."""

    label: str
    sum: SpendSum


@dataclass(frozen=True, slots=True)
class SpendReport:
    """The chosen calls from every side, of one reading of the ledger's sums: those that have ended."""

    sum: SpendSum
    by: Mapping[Dimension, Sequence[SpendLine]]
    """Days in order; models, providers, purposes and runs dearest first."""
    days_by_model: Sequence[tuple[str, str, int]]
    """(date, model, pico-dollars known), days in order."""
    in_flight: InFlight
    """The chosen calls that have not ended: in none of the sums."""

    def since(self, start_ms: int, *, zone: Zone) -> SpendSum:
        """The sum from a local day on."""
        first = zone.day_of(start_ms)
        return _added("", [stored.values_of(d.sum) for d in self.by["day"] if int(d.sum.key) >= first])


def report(session: Session, chosen: SpendFilter, *, zone: Zone = UTC_ZONE) -> SpendReport:
    """The chosen calls from every side; no calls: zeros and nothing."""
    with session.store.read() as connection:
        pieces = stored.spend_pieces(connection, chosen, offsets=zone.offsets)
        flying = stored.in_flight(connection, chosen)
        names = stored.run_names(connection, sorted({piece.run for piece in pieces} - {""}))
    by: dict[Dimension, Sequence[SpendLine]] = {}
    sides: tuple[Dimension, ...] = get_args(Dimension)
    for side in sides:
        groups: dict[str, list[tuple[int, ...]]] = {}
        for piece in pieces:
            groups.setdefault(str(getattr(piece, side)), []).append(piece.sums)
        sums = [_added(key, values) for key, values in groups.items()]
        if side != "day":
            sums.sort(key=lambda s: (-s.known_pico, s.key))
        by[side] = [SpendLine(_label(side, s.key, names), s) for s in sums]
    daily: Counter[tuple[int, str]] = Counter()
    for piece in pieces:
        daily[piece.day, piece.model] += piece.sums[1]
    return SpendReport(
        _added("", [piece.sums for piece in pieces]),
        by,
        [(day_text(d), m, pico) for (d, m), pico in daily.items()],
        flying,
    )


def _added(key: str, values: Iterable[tuple[int, ...]]) -> SpendSum:
    found = [sum(column) for column in zip(*values, strict=True)]
    return SpendSum(key, *(found or [0] * len(SUMS)))


def _label(dimension: Dimension, key: str, names: dict[str, str]) -> str:
    if dimension == "day":
        return day_text(int(key))
    if dimension == "run":
        return names.get(key, key) if key else "outside runs"
    return key or "not told"


def day_text(day: int) -> str:
    """The date of a day number since 1970, YYYY-MM-DD."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


def ledger_page(session: Session, chosen: SpendFilter, *, page: int = 1, size: int = 100) -> list[Any]:
    """Rows of the ledger, newest first."""
    with session.store.read() as connection:
        return stored.ledger_page(connection, chosen, page=page, size=size)


def count_calls(session: Session, chosen: SpendFilter) -> int:
    """How many calls are chosen."""
    with session.store.read() as connection:
        return stored.count_calls(connection, chosen)


def spend_csv(lines: Sequence[SpendLine], *, key: str) -> bytes:
    """The table behind a chart."""
    columns = [
        key,
        "calls",
        "known_usd",
        "unknown_calls",
        "unknown_at_most_usd",
        "prompt_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "cached_tokens",
    ]
    rows = [
        [
            line.label,
            line.sum.calls,
            exact_usd(line.sum.known_pico),
            line.sum.unknown_calls,
            exact_usd(line.sum.unknown_bound_pico),
            line.sum.prompt_tokens,
            line.sum.completion_tokens,
            line.sum.reasoning_tokens,
            line.sum.cached_tokens,
        ]
        for line in lines
    ]
    return write_csv(columns, rows)


LEDGER_COLUMNS = (
    "id",
    "created_ms",
    "gateway",
    "purpose",
    "run_id",
    "cell",
    "model",
    "answered_by",
    "provider",
    "generation_id",
    "attempt",
    "state",
    "outcome",
    "error_kind",
    "cost_pico",
    "provenance",
    "is_byok",
    "upstream_pico",
    "bound_pico",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "first_token_ms",
    "total_ms",
)


def ledger_csv(session: Session, chosen: SpendFilter) -> bytes:
    """Every chosen row of the ledger."""
    rows: list[list[object]] = []
    page = 1
    while found := ledger_page(session, chosen, page=page, size=5000):
        rows += [[getattr(row, name) for name in LEDGER_COLUMNS] for row in found]
        page += 1
    return write_csv(LEDGER_COLUMNS, rows)


def in_words(total: SpendSum) -> str:
    """A sum as text: what is known, and what is not."""
    known = format_usd(total.known_pico)
    if not total.unknown_calls:
        return known
    at_most = f", at most {format_usd(total.unknown_bound_pico)} more" if total.unknown_bound_pico else ""
    return f"{known} and {total.unknown_calls:,} call{'s' if total.unknown_calls > 1 else ''} of unknown cost{at_most}"


def in_short(total: SpendSum) -> str:
    """What is known of a sum, and of how many calls the cost is unknown."""
    return format_usd(total.known_pico) + (f" + {total.unknown_calls:,} unknown" if total.unknown_calls else "")


def since_days(days: int | None, *, zone: Zone = UTC_ZONE) -> SpendFilter:
    """The filter of the last local days, today included; None: all."""
    if days is None:
        return SpendFilter()
    return replace(SpendFilter(), start_ms=zone.start_ms(today(zone) - (days - 1)))
