"""A full disk, a locked database and a clock that jumps: the run says so, loses nothing, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from run_driver import started, until
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import ledger
from assay.workbench.datasets import kept as datasets
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session

LOCK_S = float(os.environ.get("ASSAY_LOCK_S", "7"))
"""ASSAY_LOCK_S=60 holds the database as long as the goal asks."""
ROWS = 150
MODELS = ("sandbox/swift", "sandbox/scribe")
DAY_MS = 86_400_000


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A runtime on a real file with a sandbox that takes a moment for each answer."""
    with SandboxServer(SandboxConfig(fixed_latency_ms=60)) as sandbox:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=8)
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with open_session(settings, gateway=gateway, watch=True) as opened:
            opened.ready()
            yield opened


def start(session: Session) -> str:
    """A run under way: some cells are done."""
    run_id = started(session, [Contestant(model, {"max_tokens": 60}) for model in MODELS], rows=ROWS)
    until(lambda: runs.progress(session, run_id).done > 10)
    return run_id


def finish(session: Session, run_id: str) -> None:
    """Continues the run where it paused, and checks that nothing is missing, doubled or miscounted."""

    def done() -> bool:
        state = runs.progress(session, run_id)
        if state.state == "paused":
            runs.continue_run(session, run_id)
        return state.state == "done"

    until(done, 60)
    cells = ROWS * len(MODELS)
    with session.store.read() as connection:
        stored = connection.execute(text("SELECT count(*), count(DISTINCT cell) FROM result WHERE status = 'ok'")).one()
        run = connection.execute(text("SELECT done, failed, settled_pico, reserved_pico FROM run")).one()
        counted = connection.execute(text("SELECT sum(coalesce(cost_pico, bound_pico)) FROM call")).scalar_one()
        intact = connection.execute(text("PRAGMA integrity_check")).scalar_one()
    assert tuple(stored) == (cells, cells)
    assert tuple(run) == (cells, 0, counted, 0)
    assert intact == "ok"


def test_full_disk_is_told_and_survived(session: Session) -> None:
    """While nothing can be written the run waits with words; with room again it goes on."""
    run_id = start(session)
    pages = session.store.writer.call(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    session.store.writer.call(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one())
    until(lambda: "disk is full" in runs.progress(session, run_id).reason)
    kept = runs.progress(session, run_id).done
    session.store.writer.call(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1073741823").scalar_one())

    finish(session, run_id)
    assert 10 < kept < ROWS * len(MODELS)


def test_locked_database_is_waited_for(session: Session) -> None:
    """Another program holds the lock longer than SQLite's own patience; the run goes on when it is gone."""
    run_id = start(session)
    # Another process: locks on a file do not hold between two libraries in one process.
    program = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30); "
    program += "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(float(sys.argv[2]))"
    command = [sys.executable, "-c", program, str(session.store.path), str(LOCK_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        kept = runs.progress(session, run_id).done
        other.wait()
        held = runs.progress(session, run_id)

    finish(session, run_id)
    assert held.done <= kept + 40
    assert held.state in ("running", "queued")


@pytest.mark.parametrize("days", [-1, 1])
def test_clock_that_jumps_a_day_changes_nothing(session: Session, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Back or ahead in the middle of a run: it goes on, is not worked twice, and ends."""
    run_id = start(session)
    real = ledger.now_ms
    for module in ("assay.store.ledger", "assay.store.runs"):
        monkeypatch.setattr(f"{module}.now_ms", lambda: real() + days * DAY_MS)

    finish(session, run_id)
    with session.store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM call")).scalar_one() == ROWS * len(MODELS)
        assert connection.execute(text("SELECT lease_token FROM run")).scalar_one() == 1


def test_identical_requests_go_on_after_the_store_had_no_room(tmp_path: Path) -> None:
    """Sent once for all, a request that could not be announced is tried anew for all of them."""
    with SandboxServer(SandboxConfig(speed=0)) as sandbox:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=4)
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with open_session(settings, gateway=gateway, watch=True) as session:
            session.ready()
            content = "q\n" + "Tell me about rivers\n" * 40
            dataset = datasets.save_table(
                session, datasets.read_upload(session, content.encode(), filename="q.csv"), name="q", source="q"
            )
            refuse = "CREATE TRIGGER no_room BEFORE INSERT ON call BEGIN SELECT RAISE(ABORT, 'no room'); END"
            session.store.writer.call(lambda c: c.execute(text(refuse)) and None)
            draft = runs.RunDraft(dataset.id, (Prompt("{{q}}"),), (Contestant(MODELS[0]),), cache=True)
            run_id = runs.start_run(session, draft)
            until(lambda: "refused a change" in runs.progress(session, run_id).reason)
            session.store.writer.call(lambda c: c.execute(text("DROP TRIGGER no_room")) and None)

            assert runs.wait_for_run(session, run_id, timeout_s=30).state == "done"
            assert runs.progress(session, run_id).done == 40
            with session.store.read() as connection:
                assert connection.execute(text("SELECT count(*) FROM call")).scalar() == 1
