"""The kept sums of spend on a real SQLite file: whatever happens to calls, they are the ledger's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assay.domain.completion import UNBILLED, Cost
from assay.store import ledger, spend
from assay.store.engine import HEAD, Store, open_store
from assay.store.migrations.upgrade import config
from assay.store.spend_slots import SLOT_MS
from store_steps import open_intent

HOUR = 3_600_000
STEPS = ("settle", "estimated", "refused", "own key", "unknown", "orphan", "recover", "withdraw", "late", "together")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(f"sqlite:///{tmp_path}/assay.db")
    yield opened
    opened.close()


def opened_call(store: Store, number: int = 0, *, at_ms: int | None = None) -> ledger.Intent:
    """A call in flight, of one of three models in turn, an hour after the one before it."""
    intent = ledger.Intent(
        id=ledger.new_id(),
        created_ms=at_ms if at_ms is not None else 10**12 + number * HOUR,
        gateway="sandbox",
        purpose=("run", "judge")[number % 2],
        model=f"a/{number % 3}",
        owner="gone",
        bound_pico=100 + number,
    )
    store.writer.call(lambda c: open_intent(c, intent))
    return intent


def ended(call_id: str, cost: Cost, *, provider: str | None = "Northwind") -> ledger.Settlement:
    """A settlement with tokens."""
    return ledger.Settlement(
        call_id=call_id,
        settled_ms=1,
        outcome="ok",
        cost=cost,
        provider=provider,
        prompt_tokens=30,
        completion_tokens=5,
        cached_tokens=7,
    )


def act(store: Store, step: str, call_id: str) -> None:
    """Does to a call what its step says."""
    settled = ended(call_id, Cost(9, "billed"))
    unknown = ended(call_id, Cost(None, "unknown"), provider=None)
    found = Cost(4, "recovered")
    own, estimated = ended(call_id, Cost(9, "upstream", 7)), ended(call_id, Cost(9, "estimated"))
    refused = replace(ended(call_id, UNBILLED), outcome="failed")
    work: dict[str, Callable[..., object]] = {
        "settle": lambda c: ledger.settle(c, settled),
        "estimated": lambda c: ledger.settle(c, estimated),
        "refused": lambda c: ledger.settle(c, refused),
        "own key": lambda c: ledger.settle(c, own),
        "unknown": lambda c: ledger.settle(c, unknown),
        "orphan": lambda c: ledger.mark_orphans(c),
        "recover": lambda c: ledger.recover(c, call_id, found, provider="Eastbay"),
        "withdraw": lambda c: ledger.withdraw(c, call_id),
        "late": lambda c: ledger.settle_many(c, [settled, replace(settled, outcome="failed")]),
        "together": lambda c: [ledger.settle(c, unknown), ledger.recover(c, call_id, found)],
    }
    store.writer.call(work[step])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=14))
def test_sums_are_the_ledgers_whatever_happens(
    store: Store, sums_agree: Callable[[Store], None], steps: list[tuple[str, int]]
) -> None:
    """Settlements, unknown costs, orphans, recoveries, late answers and withdrawals leave sums and rows the same."""
    calls = [opened_call(store, number) for number in range(4)]
    for step, number in steps:
        act(store, step, calls[number].id)

    sums_agree(store)


def test_sums_on_quarters_and_off_them_are_the_same(store: Store) -> None:
    """A filter that the kept sums can answer and one that only the ledger can give the same, calls in flight too."""
    start = 10**12 // SLOT_MS * SLOT_MS
    for number in range(6):
        call = opened_call(store, number, at_ms=start + number * HOUR + 1)
        if number % 3:
            act(store, ("settle", "unknown")[number % 2], call.id)
    on, off = spend.SpendFilter(start_ms=start + HOUR), spend.SpendFilter(start_ms=start + HOUR + 1)
    assert start % SLOT_MS == 0

    with store.read() as connection:
        assert spend.spend_sum(connection, on) == spend.spend_sum(connection, off)
        assert spend.spend_sum(connection, on).calls == 5
        ended = spend.spend_sum(connection, on, in_flight=False)
        assert ended == spend.spend_sum(connection, off, in_flight=False)
        pieces = [spend.spend_pieces(connection, chosen, offsets=lambda *_: [(2**62, HOUR)]) for chosen in (on, off)]
        assert sorted(pieces[0]) == sorted(pieces[1])
        assert sum(piece.sums[0] for piece in pieces[0]) == ended.calls == 5 - spend.in_flight(connection, on).calls


def test_older_database_gets_the_sums_of_its_calls(tmp_path: Path, sums_agree: Callable[[Store], None]) -> None:
    """A database from before the sums is filled when it is opened."""
    url = f"sqlite:///{tmp_path}/old.db"
    old = open_store(url)
    for number, step in enumerate(("settle", "unknown", "orphan", "settle")):
        act(old, step, opened_call(old, number).id)
    opened_call(old)
    old.writer.call(lambda c: command.downgrade(config(c), "0005"))
    old.close()

    new = open_store(url)
    with new.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        assert spend.spend_sum(connection, spend.SpendFilter()).calls == 5
    sums_agree(new)
    new.close()


def test_older_database_counts_estimates_at_their_bounds(tmp_path: Path, sums_agree: Callable[[Store], None]) -> None:
    """What an older version held against budgets is raised when it is opened; what was never billed stays nothing."""
    url = f"sqlite:///{tmp_path}/old.db"
    old = open_store(url)
    for number, step in enumerate(("settle", "estimated", "unknown", "refused")):
        act(old, step, opened_call(old, number).id)
    sums_agree(old)
    assert held(old) == (9 + 101 + 102, 1)
    old.writer.call(lambda c: command.downgrade(config(c), "0015"))
    assert held(old) == (9 + 9 + 102, 0)
    old.close()

    new = open_store(url)
    assert held(new) == (9 + 101 + 102, 1)
    sums_agree(new)
    new.close()


def held(store: Store) -> tuple[int, int]:
    """What is settled in all months, and the calls that are told as not billed."""
    with store.read() as connection:
        settled = connection.execute(text("SELECT sum(settled_pico) FROM month_spend")).scalar_one()
        return settled, connection.execute(text("SELECT count(*) FROM call WHERE provenance = 'unbilled'")).scalar_one()
