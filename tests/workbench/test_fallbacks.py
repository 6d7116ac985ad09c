"""Contestants with fallback models: they run within the dearest's bound, and say who answered."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.errors import BudgetExceeded, RunError
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.datasets import kept as datasets
from assay.workbench.results import cells
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

DOWN, NEXT = "sandbox/swift", "sandbox/scribe"
CHAIN = Contestant(DOWN, {"models": [NEXT], "max_tokens": 50})
SEARCHING = Contestant(NEXT, {"plugins": [{"id": "web"}], "max_tokens": 50})


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench before a gateway on which one model is down."""
    config = SandboxConfig(speed=0, faults=(Fault("503", model=DOWN),))
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
    with (
        SandboxServer(config) as server,
        open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("k"))) as opened,
    ):
        opened.ready()
        yield opened


def draft(session: Session, *contestants: Contestant, budget: Decimal | None = None) -> RunDraft:
    """Three tickets before contestants."""
    dataset = datasets.open_dataset(session, "support_tickets")
    return RunDraft(dataset.id, (Prompt("Classify: {{ticket}}"),), contestants, limit=3, budget_usd=budget)


def test_contestant_with_fallbacks_is_bounded_by_the_dearest(session: Session) -> None:
    """Its bound is that of the dearer model; a fallback that the gateway does not have is refused before the start."""
    chain, alone, dear = (
        runs.estimate(session, draft(session, c)).cost.worst
        for c in (CHAIN, Contestant(DOWN, {"max_tokens": 50}), Contestant(NEXT, {"max_tokens": 50}))
    )

    assert chain is not None
    assert alone is not None
    assert dear is not None
    assert chain >= max(alone, dear)
    with pytest.raises(RunError, match="sandbox/none"):
        runs.start_run(session, draft(session, Contestant(DOWN, {"models": ["sandbox/none"]})))


@pytest.mark.parametrize("param", ["plugins", "tools", "web_search_options"])
def test_unbounded_contestant_runs_without_a_budget_and_is_refused_with_one(session: Session, param: str) -> None:
    """With a budget nothing is created, in words that name the cause; without one the run is done."""
    value = {"plugins": [{"id": "web"}], "tools": [{"type": "openrouter:web_search"}], "web_search_options": {}}[param]
    contestant = Contestant(NEXT, {param: value, "max_tokens": 50})

    with pytest.raises(BudgetExceeded, match=NEXT):
        runs.start_run(session, draft(session, contestant, budget=Decimal(1)))
    assert runs.list_runs(session) == []
    run_id = runs.start_run(session, draft(session, contestant))
    done = runs.wait_for_run(session, run_id, timeout_s=30)
    assert (done.state, done.done, done.budget_pico) == ("done", 3, None)
    with pytest.raises(BudgetExceeded, match="cannot be held"):
        runs.continue_run(session, run_id, budget_usd=Decimal(1))


def test_answers_of_a_chain_say_which_model_gave_them(session: Session) -> None:
    """The ledger keeps who answered, and the run sums it."""
    run_id = runs.start_run(session, draft(session, CHAIN))
    done = runs.wait_for_run(session, run_id, timeout_s=30)
    with session.store.read() as connection:
        kept = set(connection.execute(text("SELECT answered_by FROM call WHERE outcome = 'ok'")).scalars())

    assert done.state == "done"
    told = cells.answered_by(session, run_id)[CHAIN.name]
    assert {model for model, _ in told} == kept
    assert sum(count for _, count in told) == done.done - done.failed
