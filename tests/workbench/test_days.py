"""Days of spend: of the viewer's zone, each with the offset of that day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.completion import Cost
from assay.store import ledger
from assay.workbench.session import Session
from assay.workbench.spending import spend
from assay.workbench.spending.days import DAY_MS, zone_of
from assay.workbench.spending.spend import SpendFilter
from store_steps import open_intent

ZONES = ("Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "UTC")


def at(zone: str, *moment: int) -> int:
    """A local moment in ms UTC."""
    return int(datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc, arg-type]


def paid(session: Session, created_ms: int) -> None:
    """A call of that moment."""
    call = ledger.Intent(
        id=ledger.new_id(),
        created_ms=created_ms,
        gateway="sandbox",
        purpose="api",
        model="a/b",
        owner="x",
        bound_pico=10,
    )
    session.store.writer.call(lambda c: open_intent(c, call))
    done = ledger.Settlement(call_id=call.id, settled_ms=created_ms, outcome="ok", cost=Cost(1, "billed"))
    session.store.writer.call(lambda c: ledger.settle(c, done))


@pytest.mark.parametrize("name", ZONES)
def test_days_are_local_in_summer_and_winter(session: Session, name: str) -> None:
    """Calls just after and just before midnight count to their own days, across a change of the clocks."""
    moments = [
        (2026, 7, 1, 0, 30),
        (2026, 3, 29, 23, 30),
        (2026, 10, 25, 0, 15),
        (2026, 10, 24, 23, 45),
        (2026, 12, 1, 0, 30),
        (2026, 4, 5, 23, 50),
    ]
    for moment in moments:
        paid(session, at(name, *moment))

    found = spend.report(session, SpendFilter(), zone=zone_of(name))

    days = {f"{year}-{month:02}-{day:02}" for year, month, day, *_ in moments}
    assert {line.label for line in found.by["day"]} == days


@given(name=st.sampled_from(ZONES), day=st.integers(7_000, 30_000), minute=st.integers(0, 1439))
def test_every_moment_lies_in_its_local_day(name: str, day: int, minute: int) -> None:
    """A moment is not before the start of its day, nor after that of the next, on days of 23 to 25 hours too."""
    zone, moment = zone_of(name), day * DAY_MS + minute * 60_000
    local = zone.day_of(moment)
    parts = list(zone.offsets(moment - 400 * DAY_MS, moment + 400 * DAY_MS))
    offset = next(offset for until, offset in parts if moment < until)

    assert zone.start_ms(local) <= moment < zone.start_ms(local + 1)
    assert offset == zone.offset_ms(moment)


def test_a_name_that_is_none_is_the_machines_zone() -> None:
    """What a browser tells is not believed to be a zone."""
    assert zone_of("../../etc/passwd").info is None
    assert zone_of("Nowhere/Land").info is None
    assert zone_of(None).info is None
