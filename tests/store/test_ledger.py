"""The ledger on a real SQLite file: budgets hold, totals equal rows, nothing acknowledged is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

from assay.domain.completion import UNBILLED, UNKNOWN_COST, Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.errors import BudgetExceeded, LeaseLost, RunError, StoreError
from assay.store import books, ledger, runs, saving, spend
from assay.store.engine import HEAD, Store, open_store
from assay.store.migrations.upgrade import upgrade
from assay.store.tables import RUN
from store_steps import open_intent, save_results


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(f"sqlite:///{tmp_path}/assay.db")
    yield opened
    opened.close()


def new_run(store: Store, budget: int | None) -> str:
    """A run with a budget in pico-dollars."""
    plan = RunPlan("d", 10, (Prompt("{{x}}"),), (Contestant("a/b"),), budget_pico=budget)
    return store.writer.call(lambda c: runs.create_run(c, plan, name="test"))


def intent(run_id: str | None, bound: int | None, *, owner: str = "me") -> ledger.Intent:
    """An intent of a run."""
    return ledger.Intent(
        id=ledger.new_id(),
        created_ms=ledger.now_ms(),
        gateway="sandbox",
        purpose="run",
        model="a/b",
        owner=owner,
        bound_pico=bound,
        run_id=run_id,
    )


def settlement(call_id: str, cost: Cost) -> ledger.Settlement:
    """A settlement at a cost."""
    return ledger.Settlement(call_id=call_id, settled_ms=ledger.now_ms(), outcome="ok", cost=cost)


def schema(path: Path) -> list[tuple[str, str]]:
    """(name, columns and options) of every table and index of a database."""
    with create_engine(f"sqlite:///{path}").connect() as connection:
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"))
        return [(name, " ".join(sql.replace('"', "").split())) for name, sql in found if name != "alembic_version"]


def test_migrations_make_exactly_the_tables(store: Store, tmp_path: Path) -> None:
    """The migrated database, the models and a new database do not differ, indexes included."""
    migrated = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with migrated.begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    migrated.dispose()
    assert store.path is not None
    with store.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []

    assert [name for name, _ in schema(store.path)] == [name for name, _ in schema(tmp_path / "migrated.db")]


def test_sqlite_is_sound_and_durable(store: Store) -> None:
    """WAL with full synchronisation, on a version without the WAL-reset bug."""
    with store._writer_engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    assert store.health().sound


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    budget=st.integers(0, 500),
    steps=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 100), st.booleans()), max_size=25),
)
def test_spend_never_passes_the_budget(store: Store, budget: int, steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is asked for, in whatever order it is settled, settled spend stays within the budget."""
    run_id = new_run(store, budget)
    open_calls: list[tuple[str, int]] = []
    for bound, share, finish in steps:
        asked = intent(run_id, bound)
        try:
            store.writer.call(lambda c, asked=asked: open_intent(c, asked))
            open_calls.append((asked.id, bound))
        except BudgetExceeded:
            pass
        if finish and open_calls:
            call_id, most = open_calls.pop(0)
            done = settlement(call_id, Cost(most * share // 100, "billed"))
            store.writer.call(lambda c, done=done: ledger.settle(c, done))
        with store.read() as connection:
            run = runs.get_run(connection, run_id)
            known = spend.spend_sum(connection, spend.SpendFilter(run_id=run_id)).known_pico
        assert run.settled_pico + run.reserved_pico <= budget
        assert run.settled_pico == known


def test_budget_holds_for_concurrent_workers(store: Store) -> None:
    """Fifty threads that reserve at once never get more than the budget allows."""
    run_id = new_run(store, 1000)
    granted: list[int] = []

    def work() -> None:
        for _ in range(10):
            asked = intent(run_id, 7)
            try:
                store.writer.call(lambda c, asked=asked: open_intent(c, asked))
            except BudgetExceeded:
                return
            done = settlement(asked.id, Cost(7, "billed"))
            store.writer.call(lambda c, done=done: ledger.settle(c, done))
            granted.append(7)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 980 < sum(granted) <= 1000


def test_unknown_cost_counts_its_bound_and_is_never_zero(store: Store) -> None:
    """A call of unknown cost stands apart in sums and holds its bound in the budget, until it is recovered."""
    run_id = new_run(store, 100)
    asked = intent(run_id, 60)
    store.writer.call(lambda c: open_intent(c, asked))
    store.writer.call(lambda c: ledger.settle(c, settlement(asked.id, Cost(None, "unknown"))))

    with store.read() as connection:
        found = spend.spend_sum(connection, spend.SpendFilter(run_id=run_id))
        assert (found.known_pico, found.unknown_calls, found.unknown_bound_pico) == (0, 1, 60)
        assert runs.get_run(connection, run_id).settled_pico == 60
    with pytest.raises(BudgetExceeded, match="budget"):
        store.writer.call(lambda c: open_intent(c, intent(run_id, 50)))

    store.writer.call(lambda c: ledger.recover(c, asked.id, Cost(20, "recovered")))
    with store.read() as connection:
        assert runs.get_run(connection, run_id).settled_pico == 20
        assert spend.spend_sum(connection, spend.SpendFilter(run_id=run_id)).unknown_calls == 0


def test_call_of_a_lease_that_passed_on_is_refused(store: Store) -> None:
    """Nothing is written of it; one that is sent under the lease of today, or under none, is opened."""
    run_id = new_run(store, None)
    store.writer.call(lambda c: c.execute(RUN.update().values(lease_token=2)) and None)
    intents = [intent(run_id, 10) for _ in range(3)]
    openings = [ledger.Opening(call, lease=lease) for call, lease in zip(intents, (1, 2, None), strict=True)]

    outcomes = store.writer.call(lambda c: ledger.open_intents(c, openings))

    assert [type(outcome) for outcome in outcomes] == [LeaseLost, type(None), type(None)]
    with store.read() as connection:
        assert set(ledger.calls_of(connection, [call.id for call in intents])) == {call.id for call in intents[1:]}
        assert runs.get_run(connection, run_id).reserved_pico == 20


def test_orphan_that_was_never_sent_is_taken_back(store: Store) -> None:
    """Its process lives after all and knows: nothing of it stays in the sums."""
    run_id = new_run(store, 100)
    call = intent(run_id, 10, owner="elsewhere/1/1-a")
    store.writer.call(lambda c: open_intent(c, call))
    store.writer.call(lambda c: ledger.mark_orphans(c, run_id=run_id))

    store.writer.call(lambda c: ledger.withdraw(c, call.id))

    with store.read() as connection:
        run = runs.get_run(connection, run_id)
        assert (run.settled_pico, run.reserved_pico, ledger.calls_of(connection, [call.id])) == (0, 0, {})
        assert connection.execute(text("SELECT coalesce(sum(unknown_calls), 0) FROM spend_slot")).scalar() == 0


def test_lost_costs_are_stated_a_part_at_a_time(store: Store) -> None:
    """Each transaction settles some; one without a bound stays unknown where the bound is meant."""
    run_id = new_run(store, None)
    for bound in (10, 10, None, 10, 10, 10):
        call = intent(run_id, bound, owner="elsewhere/1/1-a")
        store.writer.call(lambda c, call=call: ledger.open_intents(c, [ledger.Opening(call)]))  # type: ignore[misc]
    store.writer.call(lambda c: ledger.mark_orphans(c, run_id=run_id))
    chosen = spend.SpendFilter(run_id=run_id)

    parts = [store.writer.call(lambda c: spend.state_costs(c, chosen, at_bound=True, most=2)) for _ in range(4)]

    assert [(part.calls, part.known_pico) for part in parts] == [(2, 20), (2, 20), (1, 10), (0, 0)]
    with store.read() as connection:
        left = spend.spend_sum(connection, chosen)
    assert (left.known_pico, left.unknown_calls) == (50, 1)


@pytest.mark.parametrize(
    ("cost", "counts"),
    [
        (Cost(20, "estimated"), 60),
        (Cost(0, "estimated"), 60),
        (Cost(70, "estimated"), 70),
        (Cost(20, "billed"), 20),
        (Cost(20, "stated"), 20),
        (UNBILLED, 0),
        (UNKNOWN_COST, 60),
    ],
    ids=lambda value: getattr(value, "provenance", ""),
)
def test_estimated_cost_counts_its_bound_until_it_is_recovered(store: Store, cost: Cost, counts: int) -> None:
    """No bill says what it was, so a budget of run or month takes the dearest; sums that people see keep the cost."""
    run_id = new_run(store, 100)
    asked = intent(run_id, 60)
    store.writer.call(lambda c: open_intent(c, asked))
    store.writer.call(lambda c: ledger.settle(c, settlement(asked.id, cost)))

    with store.read() as connection:
        assert spend.spend_sum(connection, spend.SpendFilter(run_id=run_id)).known_pico == (cost.pico or 0)
        assert runs.get_run(connection, run_id).settled_pico == counts
        assert books.month_settled(connection, books.month_of(asked.created_ms)) == counts
        told = cost.pico is not None and cost.provenance != "estimated"
        waiting = ledger.recoverable(connection, gateway="sandbox", since_ms=0)
        assert waiting == []  # it has no generation id
    assert store.writer.call(lambda c: ledger.recover(c, asked.id, Cost(30, "recovered"))) is not told
    with store.read() as connection:
        assert runs.get_run(connection, run_id).settled_pico == (counts if told else 30)
        assert books.month_settled(connection, books.month_of(asked.created_ms)) == (counts if told else 30)


def test_calls_without_a_bill_are_asked_for_later(store: Store) -> None:
    """Unknown and estimated costs, not those that are billed or surely nothing, and none that is in flight."""
    ids = {}
    for cost in (UNKNOWN_COST, Cost(3, "estimated"), Cost(0, "estimated"), UNBILLED, Cost(3, "billed"), None):
        asked = intent(None, 60)
        store.writer.call(lambda c, asked=asked: open_intent(c, asked))
        store.writer.call(lambda c, asked=asked: ledger.note_generations(c, [(asked.id, f"gen-{asked.id}")]))
        ids[asked.id] = cost
        if cost is not None:
            done = settlement(asked.id, cost)
            store.writer.call(lambda c, done=done: ledger.settle(c, done))

    with store.read() as connection:
        found = {call.id for call in ledger.recoverable(connection, gateway="sandbox", since_ms=0)}
    assert found == {call for call, cost in ids.items() if cost and cost.provenance in ("unknown", "estimated")}
    (flying,) = (call for call, cost in ids.items() if cost is None)
    assert not store.writer.call(lambda c: ledger.recover(c, flying, Cost(1, "recovered")))


def test_settling_twice_counts_once(store: Store) -> None:
    """A second settlement of a call changes nothing."""
    run_id = new_run(store, 100)
    asked = intent(run_id, 60)
    store.writer.call(lambda c: open_intent(c, asked))

    done = [store.writer.call(lambda c: ledger.settle(c, settlement(asked.id, Cost(5, "billed")))) for _ in range(2)]

    assert done == [True, False]
    with store.read() as connection:
        assert runs.get_run(connection, run_id).settled_pico == 5


def test_failing_operation_fails_only_its_caller(store: Store) -> None:
    """Operations that were queued together do not share their errors."""
    futures = [store.writer.submit(lambda c: c.execute(text("SELECT 1")).scalar()) for _ in range(3)]
    broken = store.writer.submit(lambda c: c.execute(text("INSERT INTO nowhere VALUES (1)")))
    futures.append(store.writer.submit(lambda c: c.execute(text("SELECT 1")).scalar()))

    assert [future.result() for future in futures] == [1] * 4
    with pytest.raises(StoreError, match="refused"):
        broken.result()


def test_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill -9 every intent that was acknowledged is there, as possibly paid, and the file is sound."""
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_ledger import intent, open_store; from assay.store.owner import new_owner\n"
        "from store_steps import open_intent\n"
        "s = open_store(sys.argv[1]); o = new_owner()\n"
        "while True:\n"
        "    i = intent(None, 5, owner=o); s.writer.call(lambda c: open_intent(c, i)); print(i.id, flush=True)\n"
    )
    url = f"sqlite:///{tmp_path}/a.db"
    here = Path(__file__).parent
    command = [sys.executable, "-c", script, url, str(here), str(here.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
    store = open_store(url)
    orphans = store.writer.call(lambda c: ledger.mark_orphans(c))
    with store.read() as connection:
        found = ledger.calls_of(connection, acknowledged)
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    store.close()

    assert len(found) == 40
    assert orphans >= 40
    assert {call.state for call in found.values()} == {"orphan"}


def test_cancelled_waiter_does_not_end_the_writer(tmp_path: Path) -> None:
    """A caller that gave up waiting leaves the writer alive, and its write is done all the same."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    gate = threading.Event()
    first = store.writer.submit(lambda _: gate.wait())
    done: list[int] = []
    second = store.writer.submit(lambda _: done.append(1))
    second.cancel()
    gate.set()

    assert first.result()
    assert store.writer.call(lambda _: 3) == 3
    assert done == [1]
    store.close()


def test_results_of_a_run_are_counted_though_another_is_refused(store: Store) -> None:
    """What stands of a run is in its counts: the refusal of the next leaves neither rows nor counts behind."""
    first, second = sorted((new_run(store, None), new_run(store, None)))
    records = [
        saving.ResultRecord(run_id=run_id, cell=0, row=0, prompt=0, contestant=0, sample=0, status="ok")
        for run_id in (second, first)
    ]
    token = store.writer.call(lambda c: runs.take_lease(c, first, "me", ttl_ms=60_000))
    with pytest.raises(RunError):
        store.writer.call(lambda c: save_results(c, records, token=token))

    with store.read() as connection:
        for run_id, count in ((first, 1), (second, 0)):
            stands = connection.execute(text("SELECT count(*) FROM result WHERE run_id = :run"), {"run": run_id})
            assert (stands.scalar_one(), runs.get_run(connection, run_id).done) == (count, count)
