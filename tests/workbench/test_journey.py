"""Whole journeys through the workbench, over real HTTP to the sandbox and a real SQLite file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import DataError, RunError, TemplateError
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import results as stored
from assay.store import spend as sums
from assay.workbench import playground
from assay.workbench.datasets import kept
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.review import review
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

TRIO = tuple(Contestant(f"sandbox/{name}") for name in ("atlas-large", "swift", "scribe"))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench with a fast sandbox."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as opened:
        opened.ready()
        yield opened


def gateway_with(tmp_path: Path, server: SandboxServer, key: str = "key") -> tuple[Settings, Gateway]:
    """Settings and gateway for a sandbox of the test's own."""
    settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
    return settings, Gateway("sandbox", server.base_url, SecretStr(key))


def tickets(session: Session, **more: object) -> RunDraft:
    """A draft over the support tickets."""
    dataset = kept.open_dataset(session, "support_tickets")
    example = next(e for e in kept.examples() if e.name == "support_tickets")
    assert example.grader is not None
    values = {
        "prompts": (Prompt(example.user),),
        "contestants": TRIO,
        "graders": (example.grader,),
        "expected_column": "category",
        **more,
    }
    return RunDraft(dataset.id, **values)  # type: ignore[arg-type]


def test_recorded_systems_get_exactly_the_published_verdicts(session: Session) -> None:
    """The four recorded systems on the 200 GSM8K problems: every verdict is the one in the file."""
    systems = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    dataset = kept.open_dataset(session, "gsm8k_200")
    contestants = tuple(Contestant(f"recorded/gsm8k-{s.replace('_', '-')}") for s in systems)
    draft = RunDraft(
        dataset.id, (Prompt("{{question}}"),), contestants, (GraderSpec("numeric"),), expected_column="answer"
    )
    run_id = runs.start_run(session, draft)
    state = runs.wait_for_run(session, run_id, timeout_s=120)

    lines = resources.files("assay.sandbox").joinpath("recorded/gsm8k_200.jsonl").read_text("utf-8").splitlines()
    published = [json.loads(line) for line in lines]
    assert (state.done, state.failed) == (800, 0)
    with session.store.read() as connection:
        cells = stored.cell_rows(connection, run_id)
    for cell in cells:
        assert cell.passed == published[cell.row][systems[cell.contestant]]["is_correct"]


def test_run_totals_equal_the_ledger(session: Session) -> None:
    """Progress, spend, and the scoreboard with its judging apart show the sum of the ledger's rows."""
    judge = GraderSpec("judge", {"model": "sandbox/sage"})
    draft = tickets(session, graders=(GraderSpec("contains"), judge), limit=10)
    run_id = runs.start_run(session, draft)
    state = runs.wait_for_run(session, run_id, timeout_s=60)

    rows = spend.ledger_page(session, sums.SpendFilter(run_id=run_id), size=1000)
    total = sum(row.cost_pico for row in rows)
    assert len(rows) == 60
    assert state.spent_pico == total
    board = standing.scoreboard(session, run_id)
    own, judging = (
        sum(row.cost_pico for row in rows if (row.purpose == "judge") == judged) for judged in (False, True)
    )
    assert (sum(line.cost_pico for line in board), sum(line.judging_pico for line in board)) == (own, judging)
    assert spend.spent(session, sums.SpendFilter()).known_pico == total
    for dimension, lines in spend.report(session, sums.SpendFilter()).by.items():
        assert sum(line.sum.known_pico for line in lines) == total, dimension


def test_estimate_holds_what_was_billed(session: Session) -> None:
    """The bill of a run is never above the estimate's worst case."""
    draft = tickets(session, limit=20)
    estimate = runs.estimate(session, draft)
    state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)

    assert estimate.calls == 60
    assert estimate.cost.worst is not None
    assert state.spent_pico <= estimate.cost.worst


def test_budget_reached_pauses_and_raising_it_continues(session: Session) -> None:
    """The run pauses with the reason before the budget is passed, and goes on when it is raised."""
    budget = Decimal("0.05")
    run_id = runs.start_run(session, tickets(session, budget_usd=budget, concurrency=4))
    paused = runs.wait_for_run(session, run_id, timeout_s=60)

    assert paused.state == "paused"
    assert "budget" in paused.reason
    assert paused.spent_pico <= 50_000_000_000
    runs.continue_run(session, run_id, budget_usd=Decimal(10))
    assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"


def test_wrong_key_pauses_the_run_with_the_cure(tmp_path: Path) -> None:
    """A refused key stops the run at the first answer, in words."""
    with SandboxServer(SandboxConfig(speed=0, keys=frozenset({"right"}))) as server:
        settings, gateway = gateway_with(tmp_path, server, key="wrong")
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            state = runs.wait_for_run(session, runs.start_run(session, tickets(session)), timeout_s=60)
            sent = spend.spent(session, sums.SpendFilter()).calls

    assert state.state == "paused"
    assert "OPENROUTER_API_KEY" in state.reason
    assert sent <= 32


def test_spent_credits_pause_the_run_with_few_calls_more(tmp_path: Path) -> None:
    """After the first 402 only calls in flight are still sent."""
    faults = (Fault("402_credits", after=11),)
    with SandboxServer(SandboxConfig(speed=0, faults=faults)) as server:
        settings, gateway = gateway_with(tmp_path, server)
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            draft = tickets(session, contestants=TRIO[:1], concurrency=4)
            state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
            sent = spend.spent(session, sums.SpendFilter()).calls

    assert state.state == "paused"
    assert "credits" in state.reason
    assert sent <= 11 + 4


@pytest.mark.parametrize(
    ("kind", "succeeds"),
    [
        ("429", True),
        ("503", True),
        ("502_html", True),
        ("reset", True),
        ("truncated", True),
        ("error_in_200", True),
        ("malformed_chunk", True),
        ("mid_stream_error", True),
        ("400", False),
        ("403_moderation", False),
    ],
)
def test_fault_ends_as_a_record(tmp_path: Path, kind: str, succeeds: bool) -> None:
    """Every fault ends in an answer after a retry, or in a failed record; a partial answer is never a success."""
    faults = (Fault(kind, rate=0.5, retry_after_s=0.05),)  # type: ignore[arg-type]
    with SandboxServer(SandboxConfig(speed=0, faults=faults)) as server:
        settings, gateway = gateway_with(tmp_path, server)
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            draft = tickets(session, contestants=TRIO[1:2], limit=12)
            state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=90)
            board = standing.scoreboard(session, state.id)[0]

    assert state.done == 12
    assert board.answered + board.failed == 12
    assert board.scored == board.answered
    assert board.answered > 0
    assert (state.failed <= 4) == succeeds or state.failed > 0


def test_problems_are_named_before_the_start(session: Session) -> None:
    """An undefined variable, an unknown model and a missing column are all said at once."""
    draft = tickets(
        session, prompts=(Prompt("{{nope}}"),), contestants=(Contestant("sandbox/none"),), expected_column="missing"
    )

    problems = " ".join(list(review(session, draft).problems))

    assert "{{nope}}" in problems
    assert "sandbox/none" in problems
    assert "'missing'" in problems
    with pytest.raises(RunError, match="nope"):
        runs.start_run(session, draft)


def test_comparison_is_kept_with_its_cost_and_vote(session: Session) -> None:
    """Answers, cost and vote of a comparison are in the store; a second start with its id sends nothing."""
    for _ in range(2):
        name = playground.start_comparison(
            session, prompt=Prompt("Say {{x}}"), variables={"x": "hello"}, contestants=TRIO, request_id="0" * 32
        )
    while not playground.watch(session, name).finished:
        pass
    playground.vote(session, name, 1)

    view = playground.watch(session, name)
    assert [pane.status for pane in view.panes] == ["ok"] * 3
    assert all(pane.text and pane.cost.provenance == "billed" for pane in view.panes)
    assert view.vote == 1
    assert spend.spent(session, sums.SpendFilter()).calls == 3
    assert playground.history(session)[0].id == name


def test_comparison_refuses_what_cannot_be_sent(session: Session) -> None:
    """No model, an empty prompt and an undefined variable are refused in words."""
    with pytest.raises(DataError, match="1 to 10"):
        playground.start_comparison(session, prompt=Prompt("x"), variables={}, contestants=())
    with pytest.raises(DataError, match="empty"):
        playground.start_comparison(session, prompt=Prompt(" "), variables={}, contestants=TRIO)
    with pytest.raises(TemplateError, match=r"\{\{y\}\}"):
        playground.start_comparison(session, prompt=Prompt("{{y}}"), variables={}, contestants=TRIO)


def test_stopped_comparison_is_counted_once_known(tmp_path: Path) -> None:
    """Stopping closes the streams; the cost is unknown until the gateway tells, then recovered."""
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=3) as session:
        session.ready()
        name = playground.start_comparison(
            session, prompt=Prompt("Explain databases at length"), variables={}, contestants=TRIO[2:]
        )
        while not playground.watch(session, name).panes[0].text:
            pass
        playground.stop_comparison(session, name)
        while not playground.watch(session, name).finished:
            pass
        assert playground.watch(session, name).panes[0].status == "stopped"
        while spend.spent(session, sums.SpendFilter()).unknown_calls:
            pass
        (row,) = spend.ledger_page(session, sums.SpendFilter())

    assert row.provenance == "recovered"
    assert row.cost_pico > 0
