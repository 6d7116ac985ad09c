"""The table of pauses: after each kind of pause Continue finishes the run, and nothing is paid twice."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import func, select, text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.errors import AssayError, PolicyError
from assay.money import from_pico, to_pico
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import runs as stored
from assay.store.tables import CALL, RESULT
from assay.workbench.datasets import kept
from assay.workbench.running import policies, runs
from assay.workbench.running.runs import RunProgress
from assay.workbench.session import Session, open_session

ROWS = 12
SLOW = SandboxConfig(fixed_latency_ms=250)
MODEL = "sandbox/swift"


@contextmanager
def workbench(
    folder: Path, server: SandboxServer, *, key: str = "key", watch: bool = True, **settings: Any
) -> Iterator[Session]:
    """A workbench before a server that plays OpenRouter."""
    given = Settings.model_validate(
        {
            "database_url": f"sqlite:///{folder}/a.db",
            "concurrency": 2,
            "batch_poll_s": 0.02,
            "max_attempts": 2,
            "unreachable_patience_s": 0.0,
        }
        | settings
    )
    with open_session(given, gateway=Gateway("openrouter", server.base_url, SecretStr(key)), watch=watch) as session:
        session.ready()
        yield session


def draft_of(session: Session, **more: Any) -> runs.RunDraft:
    """Twelve tickets before a model."""
    dataset = kept.open_dataset(session, "support_tickets")
    given: dict[str, Any] = {
        "limit": ROWS,
        "budget_usd": Decimal(5),
        "contestants": (Contestant(MODEL),),
        "prompts": (Prompt("Classify: {{ticket}}"),),
    } | more
    return runs.RunDraft(dataset.id, **given)


def started(session: Session, **more: Any) -> str:
    """A run of them."""
    return runs.start_run(session, draft_of(session, **more))


def paused(session: Session, run_id: str) -> RunProgress:
    """The run, which has paused."""
    run = runs.wait_for_run(session, run_id, timeout_s=30)
    assert run.state == "paused", (run.state, run.reason)
    return run


def assert_finished(session: Session, server: SandboxServer, run_id: str) -> None:
    """Every cell has its one answer, each was paid once, and nothing stays reserved."""
    run = runs.wait_for_run(session, run_id, timeout_s=60)
    assert (run.state, run.outcome, run.done, run.failed, run.reserved_pico) == ("done", "done", ROWS, 0, 0), run.reason
    books = server.sandbox.books
    assert (books.paid.total(), sum(n - 1 for n in books.paid.values())) == (ROWS, 0)
    with session.store.read() as connection:
        cells = connection.execute(select(func.count()).where(RESULT.c.run_id == run_id, RESULT.c.status == "ok"))
        assert cells.scalar() == ROWS
        settled = connection.execute(select(CALL.c.state).distinct()).scalars().all()
        assert settled == ["settled"]


def test_continue_after_a_pause_by_hand(tmp_path: Path) -> None:
    """Paused with calls in flight, which end."""
    with SandboxServer(SLOW) as server, workbench(tmp_path, server) as session:
        run_id = started(session)
        until(lambda: runs.progress(session, run_id).done > 1)
        runs.pause_run(session, run_id)
        assert paused(session, run_id).reason.startswith("Paused by you.")
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


REFUSED: dict[str, str] = {
    "401": "The gateway refused the API key",
    "402_credits": "The account's credits do not cover this request",
    "402_too_big": "The account's credits do not cover this request",
    "403_workspace_budget": "A workspace budget on the gateway is spent",
    "403_guardrail_budget": "A workspace budget on the gateway is spent",
    "403_key_limit": "The spending limit of this API key is reached",
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("after", [0, 5])
def test_continue_after_the_gateway_would_not_go_on(tmp_path: Path, kind: Any, after: int) -> None:
    """Credits, keys and limits, from the first call or in the middle: the cure stands in the reason, and works."""
    config = SandboxConfig(speed=0, faults=(Fault(kind, after=after),))
    with SandboxServer(config) as server, workbench(tmp_path, server) as session:
        run_id = started(session)
        run = paused(session, run_id)
        assert run.reason.startswith(REFUSED[kind])
        assert run.failed == 0
        runs.continue_run(session, run_id)  # the cause is still there
        assert paused(session, run_id).reason.startswith(REFUSED[kind])
        server.sandbox.meet(())
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


@pytest.mark.parametrize("kind", ["402_in_flight", "429"])
def test_run_that_is_told_to_wait_does_not_pause(tmp_path: Path, kind: Any) -> None:
    """Limits that pass by themselves are waited for, and cost nothing."""
    config = SandboxConfig(speed=0, faults=(Fault(kind, rate=0.3, retry_after_s=0.05),), seed=2)
    with SandboxServer(config) as server, workbench(tmp_path, server) as session:
        run_id = started(session)
        assert_finished(session, server, run_id)


def test_continue_with_the_right_key(tmp_path: Path) -> None:
    """The next start has it; the same run goes on."""
    with SandboxServer(SandboxConfig(speed=0, keys=frozenset({"key"}))) as server:
        with workbench(tmp_path, server, key="wrong") as session:
            run_id = started(session)
            assert "refused the API key" in paused(session, run_id).reason
        with workbench(tmp_path, server) as session:
            assert runs.progress(session, run_id).state == "paused"
            runs.continue_run(session, run_id)
            assert_finished(session, server, run_id)


def test_budget_without_room_is_refused_and_a_higher_one_works(tmp_path: Path) -> None:
    """Nothing is created that could never go on; a run that was refused starts with a budget that holds it."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        with pytest.raises(AssayError, match="no room for one call"):
            started(session, budget_usd=Decimal("0.0000001"))
        assert runs.list_runs(session) == []
        assert_finished(session, server, started(session, budget_usd=Decimal(5)))


def test_budget_of_the_month_without_room_is_refused_and_a_higher_one_works(tmp_path: Path) -> None:
    """The month's budget is a setting: it is raised at the next start."""
    with SandboxServer(SandboxConfig(speed=0)) as server:
        with (
            workbench(tmp_path, server, monthly_budget_usd="0.000001") as session,
            pytest.raises(AssayError, match="month"),
        ):
            started(session)
        with workbench(tmp_path, server, monthly_budget_usd="5") as session:
            assert_finished(session, server, started(session))


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Decimal:
    """A budget that is spent in the middle of the run: half of what it costs, and room for its dearest call."""
    folder = tmp_path_factory.mktemp("whole")
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(folder, server) as session:
        dearest = runs.estimate(session, draft_of(session)).cost.dearest
        spent = runs.wait_for_run(session, started(session), timeout_s=60).spent_pico
    assert dearest is not None
    return from_pico(dearest + spent // 2)


@pytest.mark.parametrize("raised", [Decimal(5), None])
def test_continue_after_the_budget_was_reached(tmp_path: Path, half: Decimal, raised: Decimal | None) -> None:
    """Calls are paid, then there is no room for the next: with a raised budget, or without one, the run is finished."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        run_id = started(session, budget_usd=half)
        run = paused(session, run_id)
        assert 0 < run.done < ROWS
        assert run.reason.startswith("The run's budget of")
        assert (run.reserved_pico, run.spent_pico <= to_pico(half)) == (0, True)
        with pytest.raises(AssayError, match="no room for one call"):
            runs.continue_run(session, run_id)  # the cause is still there
        runs.continue_run(session, run_id, budget_usd=raised, no_budget=raised is None)
        assert_finished(session, server, run_id)


@pytest.mark.parametrize("raised", ["5", None])
def test_continue_after_the_budget_of_the_month_was_reached(tmp_path: Path, half: Decimal, raised: str | None) -> None:
    """The month's is named with its month; it is raised, or taken away, at the next start."""
    with SandboxServer(SandboxConfig(speed=0)) as server:
        with workbench(tmp_path, server, monthly_budget_usd=str(half)) as session:
            run_id = started(session)
            run = paused(session, run_id)
            assert 0 < run.done < ROWS
            assert run.reason.startswith("The month's budget of")
            assert "(UTC)" in run.reason
            with pytest.raises(AssayError, match="no room for one call"):
                runs.continue_run(session, run_id)
        with workbench(tmp_path, server, monthly_budget_usd=raised) as session:
            runs.continue_run(session, run_id)
            assert_finished(session, server, run_id)


def test_budget_of_the_month_that_another_spends_pauses_the_run(tmp_path: Path, half: Decimal) -> None:
    """What a second run has spent of the month is missing to the first, which goes on where the month allows."""
    with SandboxServer(SandboxConfig(speed=0)) as server:
        with workbench(tmp_path, server, monthly_budget_usd=str(half)) as session:
            other = paused(session, started(session, name="other"))
        with workbench(tmp_path, server, monthly_budget_usd=str(half)) as session:
            with pytest.raises(AssayError, match="The month's budget"):
                started(session)
            assert server.sandbox.books.paid.total() == other.done
        with workbench(tmp_path, server, monthly_budget_usd="5") as session:
            runs.continue_run(session, other.id)
            assert_finished(session, server, other.id)


def test_budget_lowered_at_work_holds_for_what_is_sent_after(tmp_path: Path) -> None:
    """Calls that were sent before are paid; nothing is sent under the lower one, and a raised one goes on."""
    with SandboxServer(SLOW) as server, workbench(tmp_path, server) as session:
        run_id = started(session)
        until(lambda: runs.progress(session, run_id).done > 1)
        session.store.writer.call(lambda c: stored.set_budget(c, run_id, 1))
        sent = session.store.writer.call(lambda c: c.execute(select(func.count()).select_from(CALL)).scalar_one())
        assert paused(session, run_id).reason.startswith("The run's budget of")
        with session.store.read() as connection:
            assert connection.execute(select(func.count()).select_from(CALL)).scalar_one() == sent
        runs.continue_run(session, run_id, budget_usd=Decimal(5))
        assert_finished(session, server, run_id)


def test_continue_after_the_gateway_was_gone(tmp_path: Path) -> None:
    """It went away in the middle and is back at its address."""
    server = SandboxServer(SLOW)
    server.start()
    with workbench(tmp_path, server) as session:
        run_id = started(session)
        until(lambda: runs.progress(session, run_id).done > 1)
        runs.pause_run(session, run_id)
        paused(session, run_id)
        server.stop()
        runs.continue_run(session, run_id)
        assert "cannot be reached" in paused(session, run_id).reason
        back = SandboxServer(SLOW, port=server.port)
        back.sandbox.books = server.sandbox.books
        with back:
            runs.continue_run(session, run_id)
            assert_finished(session, back, run_id)


def test_continue_after_a_read_that_failed(tmp_path: Path) -> None:
    """Rows that cannot be read pause the run in the database's words."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server, watch=False) as session:
        plan = runs.plan_of(session, draft_of(session))
        run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="unread"))
        rename = "ALTER TABLE {} RENAME TO {}"
        session.store.writer.call(lambda c: c.execute(text(rename.format("dataset_row", "away"))) and None)
        session.wait(runs.start_engine(session, run_id))
        assert "no such table" in paused(session, run_id).reason
        session.store.writer.call(lambda c: c.execute(text(rename.format("away", "dataset_row"))) and None)
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


def elsewhere(session: Session) -> str:
    """A provider that does not serve the model."""
    served = session.wait(session.client.endpoints(MODEL))["endpoints"]
    return next(slug for slug in policies.provider_slugs(session) if not any(e["tag"].startswith(slug) for e in served))


def test_continue_after_the_data_policy_refused(tmp_path: Path) -> None:
    """A policy that was tightened meanwhile refuses in words; loosened again, the run goes on."""
    with SandboxServer(SLOW) as server, workbench(tmp_path, server) as session:
        run_id = started(session)
        until(lambda: runs.progress(session, run_id).done > 1)
        runs.pause_run(session, run_id)
        paused(session, run_id)
        dataset = kept.open_dataset(session, "support_tickets")
        policies.set_policy(session, dataset.id, {"only": [elsewhere(session)]})
        with pytest.raises(PolicyError):
            runs.continue_run(session, run_id)
        policies.set_policy(session, dataset.id, {}, loosen=True)
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


def test_continue_after_the_pilot(tmp_path: Path) -> None:
    """The pilot's answers are kept, and the rest is sent."""
    with SandboxServer(SandboxConfig(speed=0)) as server, workbench(tmp_path, server) as session:
        run_id = started(session, pilot=True)
        assert paused(session, run_id).done == 5
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


def test_continue_while_a_batch_is_not_finished(tmp_path: Path) -> None:
    """The batch is waited for, by the same process or the next, and not handed in again."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=1)) as server:
        with workbench(tmp_path, server) as session:
            run_id = started(session, mode="batch")
            until(lambda: runs.progress(session, run_id).batch is not None)
            for _ in range(2):
                runs.pause_run(session, run_id)
                assert paused(session, run_id).batch is not None
                runs.continue_run(session, run_id)
            runs.pause_run(session, run_id)
            paused(session, run_id)
        with workbench(tmp_path, server) as session:
            runs.continue_run(session, run_id)
            assert_finished(session, server, run_id)


def test_continue_of_a_batch_whose_answers_were_not_covered(tmp_path: Path) -> None:
    """The gateway keeps the answers until credits are added."""
    with (
        SandboxServer(SandboxConfig(speed=0, credits_usd=Decimal(0))) as server,
        workbench(tmp_path, server) as session,
    ):
        run_id = started(session, mode="batch")
        assert paused(session, run_id).done == 0
        server.sandbox.cover(Decimal(10))
        runs.continue_run(session, run_id)
        assert_finished(session, server, run_id)


def test_close_lets_calls_in_flight_end(tmp_path: Path) -> None:
    """An ordinary close holds nothing of the budget: the default one, which has no room to spare, is enough."""
    with SandboxServer(SandboxConfig(fixed_latency_ms=300)) as server:
        with workbench(tmp_path, server) as session:
            run_id = started(session, budget_usd=None)
            until(lambda: server.sandbox.books.spend > 0)
        with workbench(tmp_path, server, watch=False) as session:
            run = runs.progress(session, run_id)
            assert (run.state, run.reserved_pico, run.unknown_calls) == ("queued", 0, 0)
            assert 0 < run.done < ROWS
        with workbench(tmp_path, server) as session:
            assert_finished(session, server, run_id)


def test_close_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A call that does not end is cut off, and may have been paid: it is told as of unknown cost."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("stall"),))) as server:
        with workbench(tmp_path, server, close_patience_s=0.2) as session:
            run_id = started(session)
            until(lambda: runs.progress(session, run_id).reserved_pico > 0)
        server.sandbox.meet(())
        with workbench(tmp_path, server, watch=False) as session:
            run = runs.progress(session, run_id)
            assert (run.state, run.done) == ("queued", 0)


UNKNOWN = "The gateway does not know a batch that an earlier start handed in."


def test_batch_of_another_account_is_not_asked_for_anew_unasked(tmp_path: Path) -> None:
    """With the key of another account the run rests; with its own the answers are fetched, paid once."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=0.5)) as server:
        with workbench(tmp_path, server) as session:
            run_id = started(session, mode="batch")
            until(lambda: runs.progress(session, run_id).batch is not None)
        with workbench(tmp_path, server, key="another account's") as session:
            assert paused(session, run_id).reason.startswith(UNKNOWN)
            assert server.sandbox.books.paid.total() == 0
        with workbench(tmp_path, server) as session:
            assert runs.progress(session, run_id).state == "paused"
            runs.continue_run(session, run_id)
            assert_finished(session, server, run_id)


def test_batch_that_is_nowhere_is_asked_for_anew_once_somebody_says_so(tmp_path: Path) -> None:
    """Continue with another key is the word for it: the run is finished, and what the batch may have cost is told."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=60)) as server:
        with workbench(tmp_path, server) as session:
            run_id = started(session, mode="batch")
            until(lambda: runs.progress(session, run_id).batch is not None)
        with workbench(tmp_path, server, key="another account's") as session:
            paused(session, run_id)
            server.sandbox.meet(())
            runs.continue_run(session, run_id, budget_usd=Decimal(9))
            run = runs.wait_for_run(session, run_id, timeout_s=60)

            assert (run.state, run.done, run.unknown_calls) == ("done", ROWS, ROWS)
            assert "The gateway lost a batch" in run.reason


FULL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_pauses import full
full(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
"""


def full(folder: Path, url: str, run_id: str) -> None:
    """Works a run in a process whose files may not grow any more, and then may again; prints what is seen."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", concurrency=2)
    with open_session(settings, gateway=Gateway("openrouter", url, SecretStr("key"))) as session:
        session.ready()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        runs.continue_run(session, run_id)
        until(lambda: runs.progress(session, run_id).done > 1)
        largest = max(file.stat().st_size for file in folder.glob("a.db*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
        until(lambda: "disk is full" in runs.progress(session, run_id).reason)
        print(runs.progress(session, run_id).reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        print(runs.wait_for_run(session, run_id, timeout_s=60).state)


def test_continue_on_a_full_disk_waits_for_room(tmp_path: Path) -> None:
    """The run says so, and goes on by itself as soon as there is room; another process finds it whole."""
    with SandboxServer(SLOW) as server:
        with workbench(tmp_path, server, watch=False) as session:
            plan = runs.plan_of(session, draft_of(session))
            run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="full"))
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(Path(__file__).parent), str(tmp_path), server.base_url, run_id],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        full_disk = "The disk is full: nothing could be written. Free some space; nothing is lost."
        assert done.stdout.splitlines() == [full_disk, "done"], done.stderr
        with workbench(tmp_path, server) as session:
            assert_finished(session, server, run_id)
