"""Budgets before anything is sent: what has no room for a single call is refused, and one amount is never passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from assay.cli import running
from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import BudgetExceeded
from assay.money import format_usd_up, from_pico, usd
from assay.runs.estimate import Estimate
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import runs as stored
from assay.views.batch import form
from assay.workbench.datasets import kept
from assay.workbench.results import outcome
from assay.workbench.running import budgets, growth, runs
from assay.workbench.running.growth import Growth
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

CHEAP, DEAR = Contestant("sandbox/swift"), Contestant("sandbox/atlas-large")


def draft(session: Session, *, budget: Decimal | None = None, **more: Any) -> RunDraft:
    """Four rows, one of them long, to two models."""
    content = "q\n" + "".join(f"{'long ' * (200 if n == 2 else 1)}question {n}\n" for n in range(4))
    dataset = kept.save_table(
        session, kept.read_upload(session, content.encode(), filename="q.csv"), name="q", source="q"
    )
    values: dict[str, Any] = {"prompts": (Prompt("{{q}}"),), "contestants": (CHEAP, DEAR), **more}
    return RunDraft(dataset.id, budget_usd=budget, **values)


def dearest(session: Session, asked: RunDraft) -> int:
    """The bound of the dearest single call of a draft."""
    found = runs.estimate(session, asked).cost.dearest
    assert found is not None
    return found


def test_budget_below_the_dearest_call_is_refused_with_its_amount(session: Session) -> None:
    """One pico-dollar too little creates nothing and names the contestant; the exact amount starts."""
    amount = dearest(session, draft(session))

    with pytest.raises(BudgetExceeded, match="one call of atlas-large") as refused:
        runs.start_run(session, draft(session, budget=from_pico(amount - 1)))
    assert f"may cost up to {format_usd_up(amount)}" in str(refused.value)
    assert f"Give at least {format_usd_up(amount)}" in str(refused.value)
    assert runs.list_runs(session) == []
    run_id = runs.start_run(session, draft(session, budget=from_pico(amount)))
    assert runs.wait_for_run(session, run_id, timeout_s=60).done > 0


def test_dearest_call_of_an_estimate_is_what_the_ledger_reserves_at_most(session: Session) -> None:
    """Over samples and judges, the highest bound in the ledger is the estimate's: not less, and not far more."""
    asked = draft(session, samples=2, graders=(GraderSpec("judge", {"model": "sandbox/swift"}),), contestants=(DEAR,))
    foretold = dearest(session, asked)
    run_id = runs.start_run(session, asked)
    runs.wait_for_run(session, run_id, timeout_s=60)

    with session.store.read() as connection:
        reserved = connection.exec_driver_sql("SELECT max(bound_pico) FROM call").scalar_one()
    assert reserved <= foretold <= reserved * 1.05


def test_judge_that_does_not_fit_is_named(session: Session) -> None:
    """A run whose judge is dearer than its budget would pay for answers that nobody grades."""
    judge = GraderSpec("judge", {"model": DEAR.model_id})
    tiny = Contestant(CHEAP.model_id, {"max_tokens": 16})

    with pytest.raises(BudgetExceeded, match=f"one call of the judge {DEAR.model_id}"):
        runs.start_run(session, draft(session, budget=Decimal("0.0005"), contestants=(tiny,), graders=(judge,)))


def test_month_without_room_for_a_call_is_refused(tmp_path: Path) -> None:
    """The month's budget is named, with the setting that raises it."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", monthly_budget_usd=Decimal("0.0001"))
    with open_session(settings, sandbox_speed=0) as session:
        session.ready()
        with pytest.raises(BudgetExceeded, match=r"The month's budget .* Raise ASSAY_MONTHLY_BUDGET_USD to at least"):
            runs.start_run(session, draft(session))
        assert runs.list_runs(session) == []


def test_continue_refuses_a_budget_without_room_and_changes_nothing(session: Session) -> None:
    """Below what is spent, or with too little beside it, for the present budget and a new one; enough goes on."""
    amount = dearest(session, draft(session, samples=20))
    run_id = runs.start_run(session, draft(session, budget=from_pico(amount), samples=20))
    paused = runs.wait_for_run(session, run_id, timeout_s=60)
    assert paused.state == "paused"

    refused: dict[str, Callable[[], None]] = {
        "has no room for one call of atlas-large": lambda: runs.continue_run(session, run_id),
        "leaves no room": lambda: runs.continue_run(session, run_id, budget_usd=from_pico(paused.spent_pico - 1)),
        "may cost up to": lambda: runs.continue_run(session, run_id, budget_usd=from_pico(amount + 1)),
    }
    for words, refuse in refused.items():
        with pytest.raises(BudgetExceeded, match=words):
            refuse()
    with session.store.read() as connection:
        row = stored.get_run(connection, run_id)
    assert (row.state, row.budget_pico) == ("paused", amount)
    runs.continue_run(session, run_id, budget_usd=Decimal(5))
    assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"


@given(st.integers(1, 10**17))
def test_limit_as_printed_is_not_below_the_exact_one(pico: int) -> None:
    """Rounded up at any size, by less than a tenth."""
    shown = usd(format_usd_up(pico).replace("$", "").replace(",", ""))

    assert from_pico(pico) <= shown < from_pico(pico) * Decimal("1.1")


def test_never_above_is_the_budget_where_one_is_given() -> None:
    """Without one it is what all tries cost at most; either is the budget that is held."""
    cost, unknown = Estimate(1, 2, 3, 10, retries=4), Estimate(None, None, None, None, ("m: a fee",))

    assert [budgets.never_above(cost, budget) for budget in (None, 5, 500)] == [14, 5, 500]
    assert budgets.never_words(5 * 10**12, cost) == "never above $5.00, every try counted"
    assert budgets.never_above(unknown, 500) is None
    assert budgets.never_words(None, unknown) == "no upper bound: m: a fee"


def once(session: Session) -> RunDraft:
    """One row to one model."""
    dataset = kept.save_table(session, kept.read_upload(session, b"q\nHello\n", filename="o.csv"), name="o", source="o")
    return RunDraft(dataset.id, (Prompt("{{q}}"),), (CHEAP,))


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_never_above_has_room_for_every_try_of_a_call(tmp_path: Path, attempts: int) -> None:
    """One call that breaks off each time, at an unknown cost, is tried as often as the settings say and then fails: the
    budget that a run gets, or one of the amount as it was printed, does not pause it."""
    faults = (Fault("truncated"),)
    with SandboxServer(SandboxConfig(speed=0, faults=faults, generation_delay_s=3_600)) as server:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", max_attempts=attempts)
        with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("k"))) as session:
            session.ready()
            cost = runs.estimate(session, once(session)).cost
            printed = budgets.never_words(budgets.never_above(cost, None), cost).split("$")[1].split(",")[0]
            for budget in (None, Decimal(printed)):
                run_id = runs.start_run(session, replace(once(session), budget_usd=budget))
                ended = runs.wait_for_run(session, run_id, timeout_s=60)
                assert (ended.state, ended.failed, ended.unknown_calls) == ("done", 1, attempts), ended.reason
    assert cost.worst is not None
    assert cost.never_above == attempts * cost.worst


def test_never_above_of_many_calls_is_not_a_multiple(session: Session) -> None:
    """Retries are limited to a share of the calls of a model, and so is their room; judges and batches have theirs."""
    few, many = (runs.estimate(session, draft(session, samples=n, contestants=(CHEAP,))).cost for n in (1, 100))
    judge = GraderSpec("judge", {"model": DEAR.model_id})
    judged = runs.estimate(session, draft(session, samples=100, contestants=(CHEAP,), graders=(judge,))).cost
    batch = runs.estimate(session, draft(session, contestants=(CHEAP,), mode="batch")).cost

    assert few.retries == 10 * (few.dearest or 0) > 0
    assert many.retries == 50 * (many.dearest or 0)
    assert judged.retries == many.retries + 50 * (judged.dearest or 0)
    assert batch.retries >= few.retries


@pytest.mark.parametrize("budget", [None, Decimal("0.77777")])
def test_every_face_prints_the_same_never_above(session: Session, budget: Decimal | None) -> None:
    """Command line, page, growth, and afterwards the run's own line and export: the amount that the ledger holds."""
    asked = draft(session, budget=budget)
    found = runs.estimate(session, asked)
    limit = budgets.never_above(found.cost, budgets.budget_pico(budget))
    words = f"never above {format_usd_up(limit or 0)}"
    run_id = runs.start_run(session, asked)
    runs.wait_for_run(session, run_id, timeout_s=60)
    ended = outcome.estimate_outcome(session, run_id)
    assert ended is not None

    with session.store.read() as connection:
        assert stored.get_run(connection, run_id).budget_pico == limit
    assert words in running.in_words(found, limit)
    assert words in form._summary(asked, found).replace("\\", "")
    assert words in growth.estimate_growth(session, run_id, Growth(samples=2)).never_words(None)
    assert words in ended.cost_words
    assert ended.as_json()["never_above_usd"] == from_pico(limit or 0)
    assert "never above" not in " ".join(running.by_contestant(found))


def test_run_whose_budget_was_taken_away_promises_nothing(session: Session) -> None:
    """What was a promise with a budget is none without."""
    asked = draft(session)
    run_id = runs.start_run(session, asked)
    runs.wait_for_run(session, run_id, timeout_s=60)
    runs.continue_run(session, run_id, no_budget=True)
    runs.wait_for_run(session, run_id, timeout_s=60)
    ended = outcome.estimate_outcome(session, run_id)

    assert ended is not None
    assert "never above" not in ended.cost_words
    assert "no upper bound" in growth.estimate_growth(session, run_id, Growth(samples=2)).never_words(None)
    assert budgets.never_words(5, replace(runs.estimate(session, asked).cost, worst=5)).startswith("never above")
