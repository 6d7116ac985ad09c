"""The table of states: a run of each mode, and what may befall it. None is lost, none is finished by another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import func, select

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunMode
from assay.errors import RunError
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import runs as stored
from assay.store.tables import CALL, RESULT, RUN
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunProgress
from assay.workbench.session import Session, open_session

MODES = pytest.mark.parametrize("mode", get_args(RunMode))
ROWS = 20
WORKING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_states import begun, workbench
with workbench(Path(sys.argv[2]), sys.argv[3]) as rt:
    print(begun(rt, sys.argv[4]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def workbench(folder: Path, url: str | None) -> Iterator[Session]:
    """The app before a server that plays OpenRouter; without an address: without a key, before its own sandbox."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", batch_poll_s=0.02, concurrency=4)
    gateway = None if url is None else Gateway("openrouter", url, SecretStr("key"))
    with open_session(settings, gateway=gateway, watch=True, sandbox_speed=0) as session:
        session.ready()
        yield session


@pytest.fixture
def url() -> Iterator[str]:
    """A gateway that takes its time."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=1)) as server:
        yield server.base_url


def begun(session: Session, mode: RunMode) -> str:
    """A run that is on its way: answers have come, or a batch waits."""
    dataset = kept.open_dataset(session, "support_tickets")
    draft = runs.RunDraft(
        dataset.id,
        (Prompt("Classify: {{ticket}}"),),
        (Contestant("sandbox/swift"),),
        limit=ROWS,
        mode=mode,
        budget_usd=Decimal(5),
    )
    run_id = runs.start_run(session, draft)
    until(lambda: bool((seen := runs.progress(session, run_id)).done or seen.batch))
    return run_id


def ended(session: Session, run_id: str) -> RunProgress:
    """The run when it rests, or waits for its gateway."""
    return runs.wait_for_run(session, run_id, timeout_s=60)


def assert_whole(session: Session, run_id: str) -> None:
    """Every cell is answered once, by the run's own gateway, and nothing stays reserved."""
    run = ended(session, run_id)
    assert (run.state, run.outcome, run.done, run.failed, run.reserved_pico) == ("done", "done", ROWS, 0, 0), run.reason
    with session.store.read() as connection:
        cells = connection.execute(select(func.count()).where(RESULT.c.run_id == run_id, RESULT.c.status == "ok"))
        assert cells.scalar() == ROWS
        assert stored.asked_at(connection, run_id) == {"openrouter"}


@contextmanager
def killed(folder: Path, url: str, mode: RunMode) -> Iterator[str]:
    """The id of a run whose process was ended with SIGKILL."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKING, str(Path(__file__).parent), str(folder), url, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    yield run_id


@MODES
def test_killed_run_is_finished_by_the_next_start(tmp_path: Path, url: str, mode: RunMode) -> None:
    """What was answered stays, the rest is asked."""
    with killed(tmp_path, url, mode) as run_id, workbench(tmp_path, url) as session:
        assert_whole(session, run_id)


@MODES
def test_killed_run_waits_without_its_key(tmp_path: Path, url: str, mode: RunMode) -> None:
    """The sandbox does not finish it; with the key it is finished."""
    with killed(tmp_path, url, mode) as run_id:
        with workbench(tmp_path, None) as session:
            run = ended(session, run_id)
            assert (run.state, run.waits[:34]) == ("queued", "The run waits for OpenRouter at ht")
        with workbench(tmp_path, url) as session:
            assert_whole(session, run_id)


@MODES
def test_run_that_is_taken_over_is_finished_once(tmp_path: Path, url: str, mode: RunMode) -> None:
    """Another app on the same file takes it; the one before writes nothing more of it."""
    with workbench(tmp_path, url) as first:
        run_id = begun(first, mode)
        with workbench(tmp_path, url) as second:

            def taken() -> bool:
                second.store.writer.call(lambda c: c.execute(RUN.update().values(lease_until_ms=0)) and None)
                return second.engine.live(run_id) is not None or not runs.glance(second, run_id).is_live

            until(taken)
            assert_whole(second, run_id)
        until(lambda: first.engine.live(run_id) is None)
        assert_whole(first, run_id)


@MODES
def test_second_app_of_the_process_leaves_the_run_of_the_first_alone(tmp_path: Path, url: str, mode: RunMode) -> None:
    """It shares the process's id, and yet takes neither the lease nor the calls in flight for a dead one's."""
    with workbench(tmp_path, url) as first:
        run_id = begun(first, mode)
        with workbench(tmp_path, url) as second:
            assert_whole(second, run_id)
            with second.store.read() as connection:
                states = connection.execute(select(CALL.c.state).distinct()).scalars().all()
                token = connection.execute(select(RUN.c.lease_token)).scalar()

    assert (states, token) == (["settled"], 1)


@MODES
@pytest.mark.parametrize(("command", "state"), [("pause", "paused"), ("stop", "stopped")])
def test_command_survives_a_takeover(tmp_path: Path, url: str, mode: RunMode, command: str, state: str) -> None:
    """Whoever takes the run over obeys what the one before did not; continued, it is finished."""
    with workbench(tmp_path, url) as session:
        run_id = begun(session, mode)
    with workbench(tmp_path, None) as session:  # nobody works it here
        session.store.writer.call(lambda c: stored.take_lease(c, run_id, "elsewhere/1/x", ttl_ms=60_000))
        session.store.writer.call(lambda c: stored.command_run(c, run_id, command))
        session.store.writer.call(lambda c: c.execute(RUN.update().values(lease_until_ms=0)) and None)
        assert runs.progress(session, run_id).is_live
    with workbench(tmp_path, url) as session:
        assert ended(session, run_id).state == state
        runs.continue_run(session, run_id)
        assert_whole(session, run_id)


@MODES
def test_paused_run_goes_on_when_continued(tmp_path: Path, url: str, mode: RunMode) -> None:
    """By another process too; until then it rests."""
    with workbench(tmp_path, url) as session:
        run_id = begun(session, mode)
        runs.pause_run(session, run_id)
        assert ended(session, run_id).state == "paused"
    with workbench(tmp_path, None) as session:
        assert ended(session, run_id).state == "paused"
        with pytest.raises(RunError, match="waits for OpenRouter"):
            runs.continue_run(session, run_id)
    with workbench(tmp_path, url) as session:
        runs.continue_run(session, run_id)
        runs.continue_run(session, run_id)  # from a second tab
        assert_whole(session, run_id)


@MODES
def test_stopped_run_stays_stopped_until_it_is_continued(tmp_path: Path, url: str, mode: RunMode) -> None:
    """Stop pressed twice, and pause after it, change nothing; its batches are taken back."""
    with workbench(tmp_path, url) as session:
        run_id = begun(session, mode)
        runs.stop_run(session, run_id)
        runs.stop_run(session, run_id)
        runs.pause_run(session, run_id)
        run = ended(session, run_id)
        assert (run.state, run.reason, run.reserved_pico, run.batch) == ("stopped", "Stopped by you.", 0, None)
    with workbench(tmp_path, url) as session:
        assert ended(session, run_id).state == "stopped"
        runs.continue_run(session, run_id)
        assert_whole(session, run_id)


def test_stop_of_a_paused_batch_takes_it_back(tmp_path: Path, url: str) -> None:
    """What waits at the gateway is cancelled there, and nothing stays reserved."""
    with workbench(tmp_path, url) as session:
        run_id = begun(session, "batch")
        runs.pause_run(session, run_id)
        assert ended(session, run_id).batch is not None
        runs.stop_run(session, run_id)
        run = ended(session, run_id)

        assert (run.state, run.batch, run.reserved_pico) == ("stopped", None, 0)


def test_continue_while_it_halts_is_not_lost(tmp_path: Path, url: str) -> None:
    """Pause and at once Continue: the run goes on after its calls in flight."""
    with workbench(tmp_path, url) as session:
        run_id = begun(session, "normal")
        runs.pause_run(session, run_id)
        runs.continue_run(session, run_id)
        assert_whole(session, run_id)
