"""A budget that several runs share, on a real SQLite file: together they never pass it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.domain.completion import UNBILLED, UNKNOWN_COST, Cost
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.errors import AssayError, BudgetExceeded, NotFound
from assay.store import ledger, runs, shared_budgets
from assay.store.engine import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(f"sqlite:///{tmp_path}/assay.db")
    yield opened
    opened.close()


def shared(store: Store, pico: int) -> str:
    """A budget to be shared."""
    return store.writer.call(lambda c: shared_budgets.create_shared_budget(c, "nightly", pico, actor="local"))


def new_run(store: Store, budget_id: str | None, *, own: int | None = None) -> str:
    """A run that shares a budget."""
    plan = RunPlan("d", 10, (Prompt("{{x}}"),), (Contestant("a/b"),), budget_pico=own)
    return store.writer.call(lambda c: runs.create_run(c, plan, name="test", shared_budget_id=budget_id))


def opened(store: Store, *bounds: tuple[str, int | None]) -> list[AssayError | None]:
    """What comes of opening calls of runs with bounds, all in one transaction; their ids are 0, 1 ..."""
    openings = [
        ledger.Opening(
            ledger.Intent(
                id=f"{run}-{n}",
                created_ms=ledger.now_ms(),
                gateway="sandbox",
                purpose="run",
                model="a/b",
                owner="me",
                bound_pico=bound,
                run_id=run,
            )
        )
        for n, (run, bound) in enumerate(bounds)
    ]
    return store.writer.call(lambda c: ledger.open_intents(c, openings))


def settle(store: Store, call_id: str, cost: Cost) -> None:
    """Ends a call at a cost."""
    done = ledger.Settlement(call_id=call_id, settled_ms=ledger.now_ms(), outcome="ok", cost=cost)
    store.writer.call(lambda c: ledger.settle_many(c, [done]))


def money(store: Store, budget_id: str) -> tuple[int, int]:
    """Settled and reserved of a shared budget."""
    with store.read() as connection:
        found = shared_budgets.get_shared_budget(connection, budget_id)
    return found.settled_pico, found.reserved_pico


def test_runs_reserve_from_one_budget_within_one_transaction(store: Store) -> None:
    """The third call would pass it, whichever run it is of; another run's own budget is not asked for."""
    budget = shared(store, 100)
    first, second, free = new_run(store, budget), new_run(store, budget), new_run(store, None)

    outcomes = opened(store, (first, 40), (second, 40), (first, 40), (second, 20), (free, 1_000))

    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), BudgetExceeded, type(None), type(None)]
    assert "nightly" in str(outcomes[2])
    assert money(store, budget) == (0, 100)


def test_settled_and_unbilled_calls_give_back_what_they_did_not_cost(store: Store) -> None:
    """An unknown cost holds its bound."""
    budget = shared(store, 100)
    first, second = new_run(store, budget), new_run(store, budget)
    opened(store, (first, 40), (second, 40), (second, 20))

    settle(store, f"{first}-0", Cost(10, "billed"))
    settle(store, f"{second}-1", UNKNOWN_COST)
    settle(store, f"{second}-2", UNBILLED)

    assert money(store, budget) == (50, 0)
    assert [type(one) for one in opened(store, (first, 51))] == [BudgetExceeded]


def test_own_budget_of_a_run_holds_beside_the_shared_one(store: Store) -> None:
    """The narrower of the two decides."""
    budget = shared(store, 100)
    narrow = new_run(store, budget, own=30)

    assert [type(one) for one in opened(store, (narrow, 30), (narrow, 1))] == [type(None), BudgetExceeded]
    assert money(store, budget) == (0, 30)


def test_call_of_unknown_bound_is_refused_under_a_shared_budget(store: Store) -> None:
    """Nothing is sent that nobody can bound."""
    run = new_run(store, shared(store, 100))

    assert [type(one) for one in opened(store, (run, None))] == [BudgetExceeded]


def test_many_threads_never_pass_a_shared_budget(store: Store) -> None:
    """Eight runs open calls at once, nine each; there is room for 33."""
    budget = shared(store, 1_000)
    made = [new_run(store, budget) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda run: opened(store, *[(run, 30)] * 9), made))

    assert sum(one is None for got in outcomes for one in got) == 33
    assert money(store, budget) == (0, 990)


def test_shared_budget_is_raised_and_not_lowered_below_what_is_held(store: Store) -> None:
    """Setting it counts what is in flight."""
    budget = shared(store, 100)
    run = new_run(store, budget)
    opened(store, (run, 80))

    with pytest.raises(BudgetExceeded, match="spent or in flight"):
        store.writer.call(lambda c: shared_budgets.set_shared_budget(c, budget, 79))
    store.writer.call(lambda c: shared_budgets.set_shared_budget(c, budget, 200))

    assert [type(one) for one in opened(store, (run, 121), (run, 120))] == [BudgetExceeded, type(None)]
    with store.read() as connection:
        assert shared_budgets.runs_of(connection, budget) == [run]


def test_run_names_its_parent_and_purpose(store: Store) -> None:
    """A parent that is not there is refused; a beginning of its id is enough."""
    plan = RunPlan("d", 1, (Prompt("{{x}}"),), (Contestant("a/b"),))
    parent = new_run(store, None)
    child = store.writer.call(
        lambda c: runs.create_run(c, plan, name="better", purpose="improve", parent_id=parent, actor="ann")
    )

    with store.read() as connection:
        row = runs.get_run(connection, child)
        first = runs.get_run(connection, parent)
    assert (row.purpose, row.parent_id, row.actor) == ("improve", parent, "ann")
    assert (first.purpose, first.parent_id, first.actor) == ("batch", None, "local")
    with pytest.raises(NotFound):
        store.writer.call(lambda c: runs.create_run(c, plan, name="x", parent_id="nobody"))
    with pytest.raises(NotFound):
        store.writer.call(lambda c: runs.create_run(c, plan, name="x", shared_budget_id="nothing"))
