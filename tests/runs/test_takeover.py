"""A run whose lease passes to another process while calls are in flight: nothing more is sent, nothing paid is lost."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import Connection, select

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.runs.live import Places, RunGate
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import ledger
from assay.store import runs as stored
from assay.store.engine import open_store
from assay.store.tables import CALL, RUN
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

THIEF = "elsewhere/1/1-a"


def calls_of(connection: Connection, owner: str) -> dict[str, Any]:
    """The calls of an owner by id."""
    return {call.id: call for call in connection.execute(select(CALL).where(CALL.c.owner == owner))}


def taken(url: str, run_id: str, owner: str) -> set[str]:
    """The calls of an owner at the moment in which another process took its run over, as a worker takes it."""

    def take(connection: Connection) -> set[str]:
        connection.execute(RUN.update().values(lease_until_ms=0))
        assert stored.take_lease(connection, run_id, THIEF, ttl_ms=60_000) is not None
        ledger.mark_orphans(connection, run_id=run_id, taker=THIEF)
        return set(calls_of(connection, owner))

    store = open_store(url)
    try:
        return store.writer.call(take)
    finally:
        store.close()


JUDGE = GraderSpec("judge", {"model": "sandbox/sage", "rubric": "Is it kind?"})


def begun(session: Session, graders: Sequence[GraderSpec]) -> str:
    """A run of two contestants that has far to go, with some answers."""
    session.ready()
    content = "q\n" + "".join(f"Tell me about number {n}\n" for n in range(500))
    table = kept.read_upload(session, content.encode(), filename="q.csv")
    dataset = kept.save_table(session, table, name="q", source="q")
    contestants = (Contestant("sandbox/swift"), Contestant("sandbox/scribe"))
    run_id = runs.start_run(session, RunDraft(dataset.id, (Prompt("{{q}}"),), contestants, graders=tuple(graders)))
    until(lambda: runs.progress(session, run_id).done > 3)
    return run_id


@pytest.mark.parametrize("graders", [(), (JUDGE,)], ids=["plain", "judged"])
def test_run_that_was_taken_over_sends_nothing_more(tmp_path: Path, graders: Sequence[GraderSpec]) -> None:
    """What was in flight ends with its cost, what waited for its place is taken back, and no intent follows."""
    url = f"sqlite:///{tmp_path}/a.db"
    with SandboxServer(SandboxConfig(speed=1)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        with open_session(Settings(database_url=url, concurrency=8), gateway=gateway, watch=True) as session:
            run_id = begun(session, graders)
            before = taken(url, run_id, session.owner)
            until(lambda: session.engine.live(run_id) is None)
            session.store.writer.call(lambda c: None)
            with session.store.read() as connection:
                after = calls_of(connection, session.owner)
                run = stored.get_run(connection, run_id)
            paid = server.sandbox.books.paid.total()

    assert set(after) <= before
    assert {(call.state, call.outcome, call.cost_pico is None) for call in after.values()} == {("settled", "ok", False)}
    assert paid == len(after)
    assert (run.reserved_pico, run.lease_owner, run.state) == (0, THIEF, "running")


def test_run_whose_lease_is_in_doubt_asks_before_it_sends(tmp_path: Path) -> None:
    """A process that slept longer than its lease renews it where nobody took it, and goes on."""
    with SandboxServer(SandboxConfig(speed=1)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=8)
        with open_session(settings, gateway=gateway, watch=True) as session:
            run_id = begun(session, ())
            done = runs.progress(session, run_id).done
            session.engine._workers[run_id].desk._held_until_ms = 0
            until(lambda: runs.progress(session, run_id).done > done + 20)

            assert runs.glance(session, run_id).state == "running"


def test_run_that_halts_at_its_start_says_nothing_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it was asking for is given up, and nobody is told of a forgotten error."""
    with SandboxServer(SandboxConfig(speed=1)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        with open_session(
            Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=8), gateway=gateway
        ) as session:
            run_id = begun(session, ())
            runs.pause_run(session, run_id)
            assert runs.wait_for_run(session, run_id, timeout_s=60).state == "paused"
        with open_session(
            Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=8), gateway=gateway
        ) as session:
            session.store.writer.call(lambda c: stored.queue(c, run_id, command="pause"))
            session.wait(runs.start_engine(session, run_id))
            assert runs.wait_for_run(session, run_id, timeout_s=60).state == "paused"
    gc.collect()

    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_gate_lets_nothing_through_in_doubt() -> None:
    """Neither a call nor the judge of a paid answer; the place is free again."""
    doubtful = [True]

    async def enter(*, finishes: bool) -> list[bool]:
        gate = RunGate(Places(1), lambda: finishes, lambda: doubtful[0], finishes=finishes)
        first = await gate.enter()
        doubtful[0] = False
        second = await gate.enter()
        doubtful[0] = True
        return [first, second]

    assert asyncio.run(enter(finishes=False)) == [False, True]
    assert asyncio.run(enter(finishes=True)) == [False, True]


FROZEN = """
import sys, time
from pydantic import SecretStr
from assay.config import Gateway, Settings
from assay.workbench.running import runs
from assay.workbench.session import open_session

settings = Settings(database_url=sys.argv[1], concurrency=8)
with open_session(settings, gateway=Gateway("sandbox", sys.argv[2], SecretStr("key")), watch=True) as session:
    print(session.owner, flush=True)
    for _ in sys.stdin:
        print(session.engine.live(sys.argv[3]) is not None, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that stop a process")
def test_process_that_was_frozen_past_its_lease_sends_nothing_more(tmp_path: Path) -> None:
    """SIGSTOP in the middle of a run, another process takes it over, SIGCONT: the first lets the run go."""
    url = f"sqlite:///{tmp_path}/a.db"
    with SandboxServer(SandboxConfig(speed=1)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        with open_session(Settings(database_url=url, concurrency=8), gateway=gateway) as session:
            run_id = begun(session, ())
            runs.pause_run(session, run_id)
            assert runs.wait_for_run(session, run_id, timeout_s=60).state == "paused"
            session.store.writer.call(lambda c: stored.queue(c, run_id))
        paid = server.sandbox.books.paid.total()
        command = [sys.executable, "-c", FROZEN, url, server.base_url, run_id]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                owner = process.stdout.readline().strip()
                store = open_store(url)

                def count() -> int:
                    with store.read() as connection:
                        return len(calls_of(connection, owner))

                until(lambda: count() > 10)
                process.send_signal(signal.SIGSTOP)
                before = taken(url, run_id, owner)
                process.send_signal(signal.SIGCONT)

                def still_works() -> bool:
                    print(file=process.stdin, flush=True)
                    return process.stdout.readline() == "True\n"  # type: ignore[union-attr]

                until(lambda: not still_works())
                with store.read() as connection:
                    after, run = calls_of(connection, owner), stored.get_run(connection, run_id)
                assert set(after) <= before
                assert server.sandbox.books.paid.total() - paid == len(after)
                assert (run.lease_owner, run.state) == (THIEF, "running")
                store.close()
            finally:
                process.kill()
