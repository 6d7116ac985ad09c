"""Panes of the playground that end early, or whose end cannot be written at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store import comparisons, ledger
from assay.store.tables import CALL
from assay.workbench import playground
from assay.workbench.session import Session, open_session

PAIR = (Contestant("sandbox/swift"), Contestant("sandbox/scribe"))


@contextmanager
def workbench(folder: Path, config: SandboxConfig) -> Iterator[Session]:
    """A workbench before a sandbox of the test's own."""
    with SandboxServer(config) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("key"))
        with open_session(Settings(database_url=f"sqlite:///{folder}/a.db"), gateway=gateway) as session:
            session.ready()
            yield session


def sent(session: Session) -> str:
    """A comparison of two models, under way."""
    return playground.start_comparison(session, prompt=Prompt("Hello"), variables={}, contestants=PAIR)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def calls(session: Session, state: str) -> int:
    """Calls in a state."""
    with session.store.read() as connection:
        return len(connection.execute(select(CALL.c.id).where(CALL.c.state == state)).all())


def finished(session: Session, comparison_id: str) -> bool:
    """Whether every pane has ended."""
    return playground.watch(session, comparison_id).finished


@pytest.mark.parametrize("position", [None, 0])
def test_pane_stopped_before_its_first_step_is_stopped(tmp_path: Path, position: int | None) -> None:
    """Stop comes in the very moment of the start, for all panes or for one: nothing of it is sent."""
    with workbench(tmp_path, SandboxConfig(speed=0)) as session:
        start = session.playground.start

        async def start_and_stop(name: str, requests: list[object]) -> None:
            await start(name, requests)  # type: ignore[arg-type]
            await session.playground.stop(name, position)

        session.playground.start = start_and_stop  # type: ignore[method-assign, assignment]
        comparison_id = sent(session)
        until(lambda: finished(session, comparison_id))

        assert [pane.status for pane in playground.watch(session, comparison_id).panes] == (
            ["stopped", "stopped"] if position is None else ["stopped", "ok"]
        )
        assert session.playground.open_ids() == []
        assert calls(session, "sent") == 0


def test_panes_stopped_while_they_wait_to_try_again_are_stopped(tmp_path: Path) -> None:
    """A gateway that asks for a minute of patience does not hold them."""
    with workbench(tmp_path, SandboxConfig(speed=0, faults=(Fault("429", rate=1, retry_after_s=60),))) as session:
        comparison_id = sent(session)
        until(lambda: calls(session, "settled") >= 2)
        playground.stop_comparison(session, comparison_id)
        until(lambda: finished(session, comparison_id))

        assert {pane.status for pane in playground.watch(session, comparison_id).panes} <= {"stopped", "failed"}
        assert calls(session, "sent") == 0


def test_end_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    """The answer is shown as finished once it and its cost are kept."""
    with workbench(tmp_path, SandboxConfig(speed=0)) as session:
        refuse = "CREATE TRIGGER no_room BEFORE UPDATE ON comparison_answer BEGIN SELECT RAISE(ABORT, 'full'); END"
        session.store.writer.call(lambda c: c.execute(text(refuse)) and None)
        comparison_id = sent(session)
        until(lambda: all(task.done() for task in tasks(session, comparison_id)))
        before = [pane.status for pane in playground.watch(session, comparison_id).panes]
        session.store.writer.call(lambda c: c.execute(text("DROP TRIGGER no_room")) and None)
        until(lambda: finished(session, comparison_id))

        assert before == ["streaming", "streaming"]
        assert [pane.status for pane in playground.watch(session, comparison_id).panes] == ["ok", "ok"]
        assert (calls(session, "sent"), calls(session, "settled")) == (0, 2)


def tasks(session: Session, comparison_id: str) -> list[Any]:
    """The tasks that ask for the answers."""
    return [pane.task for pane in session.playground.panes(comparison_id).values()]


def test_second_workbench_leaves_the_answers_of_the_first_alone(tmp_path: Path) -> None:
    """Opened beside one at work, it does not call its panes interrupted: they would be asked for, and paid, again."""
    with workbench(tmp_path, SandboxConfig(speed=50)) as session:
        comparison_id = sent(session)
        until(lambda: calls(session, "sent") == 2)
        session.store.writer.call(lambda c: comparisons.mark_interrupted(c, older_than_ms=ledger.now_ms()))
        with session.store.read() as connection:
            seen = [answer.status for answer in comparisons.get_comparison(connection, comparison_id).answers]

    assert seen == ["streaming", "streaming"]


@pytest.mark.parametrize(
    ("owner", "age_ms", "status"),
    [
        (f"{socket.gethostname()}/{2**22 - 1}/1-a", 0, "interrupted"),
        ("elsewhere/1/1-a", 0, "streaming"),
        ("elsewhere/1/1-a", 10_000, "interrupted"),
        ("", 0, "streaming"),
        ("", 10_000, "interrupted"),
    ],
)
def test_pane_is_interrupted_when_its_owner_is_dead(tmp_path: Path, owner: str, age_ms: int, status: str) -> None:
    """Of this machine by its process, of another by its age; one between two calls has none in flight."""
    values = dict.fromkeys(("title", "prompt_json", "variables_json", "contestants_json", "messages_json"), "")
    values |= {"id": "c", "gateway": "sandbox", "blind": False, "created_ms": ledger.now_ms() - age_ms}
    with workbench(tmp_path, SandboxConfig(speed=0)) as session:
        session.store.writer.call(lambda c: comparisons.create_comparison(c, values, panes=2, owner=owner))
        session.store.writer.call(lambda c: comparisons.save_answer(c, "c", 1, owner=session.owner))
        session.store.writer.call(lambda c: comparisons.mark_interrupted(c, older_than_ms=ledger.now_ms() - 5_000))
        with session.store.read() as connection:
            seen = [answer.status for answer in comparisons.get_comparison(connection, "c").answers]

    assert seen == [status, "streaming"]
