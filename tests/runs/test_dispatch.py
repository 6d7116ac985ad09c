"""What the ledger knows of a call while it is under way: enough to ask for its cost after a crash."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.messages import CompletionRequest, Message
from assay.runs.dispatch import NOTE_AFTER_S, CallContext
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.engine import Store
from assay.workbench.session import Session, open_session

REQUEST = CompletionRequest("sandbox/atlas-large", (Message("user", "Tell me a long story"),), {"max_tokens": 400})


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workbench whose gateway takes its time over an answer."""
    with SandboxServer(SandboxConfig(speed=0.5)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("k"))
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as opened:
            opened.ready()
            yield opened


def calls(session: Session) -> list[Any]:
    """State, outcome and generation id of every call."""
    with session.store.read() as connection:
        return list(connection.execute(text("SELECT state, outcome, generation_id FROM call")))


async def sent(session: Session, until: Callable[[asyncio.Event], Any]) -> None:
    """Sends the request, waits for what `until` waits for, then stops it."""
    first = asyncio.Event()
    task = asyncio.create_task(
        session.dispatcher.complete(REQUEST, CallContext(purpose="run"), on_delta=lambda *_: first.set())
    )
    await until(first)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_generation_id_is_stored_while_the_answer_comes(session: Session) -> None:
    """A process that dies now leaves behind what the gateway can be asked by."""
    seen: list[Any] = []

    async def later(first: asyncio.Event) -> None:
        await first.wait()
        await asyncio.sleep(NOTE_AFTER_S * 3)
        seen.extend(await asyncio.to_thread(calls, session))

    session.wait(sent(session, later))

    assert [(state, outcome) for state, outcome, _ in seen] == [("sent", None)]
    assert seen[0].generation_id


def test_call_that_is_stopped_early_keeps_its_generation_id(session: Session) -> None:
    """Stopped before the id was stored with others, the settlement brings it along: its cost can be asked for."""
    session.wait(sent(session, asyncio.Event.wait))
    session.store.writer.call(lambda c: None)

    (call,) = calls(session)

    assert (call.state, call.outcome) == ("settled", "cancelled")
    assert call.generation_id


def test_call_that_breaks_in_an_unforeseen_way_is_settled(session: Session) -> None:
    """It was sent and may be paid: its cost is unknown, and neither its reservation nor its id is forgotten."""

    def fail(*_: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.wait(session.dispatcher.complete(REQUEST, CallContext(purpose="run"), on_delta=fail))
    session.store.writer.call(lambda c: None)

    (call,) = calls(session)

    assert (call.state, call.outcome) == ("settled", "failed")
    assert call.generation_id


@pytest.mark.parametrize("when", ["while it is written", "while it waits"])
def test_caller_that_leaves_before_a_retry_leaves_one_settled_call(
    tmp_path: Path, sums_agree: Callable[[Store], None], when: str
) -> None:
    """The first try was refused and the gateway asked for half a minute: the try is settled once, though nobody waits
    for that any more, and no further call is opened or sent."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("503", retry_after_s=30.0),))) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("k"))
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as session:
            session.ready()
            leave(session, sandbox.sandbox, written=when == "while it waits")
            found = calls(session)
            sums_agree(session.store)
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as session:
            assert calls(session) == found
            sums_agree(session.store)

    assert [(state, outcome) for state, outcome, _ in found] == [("settled", "failed")]
    assert len(sandbox.sandbox.books.requests) == 1


def leave(session: Session, sandbox: Any, *, written: bool) -> None:
    """Sends the request and leaves once its first try has ended: before that is stored, or after."""
    gate = threading.Event()
    asked = session.spawn(session.dispatcher.complete(REQUEST, CallContext(purpose="api")))
    until(lambda: bool(sandbox.books.requests))
    if not written:
        session.store.writer.submit(lambda _: gate.wait())
    until(lambda: settled(session) if written else session.dispatcher.settling.owes == 1)
    asked.cancel()
    with pytest.raises(CancelledError):
        asked.result()
    gate.set()
    until(lambda: session.dispatcher.settling.owes == 0)


def settled(session: Session) -> bool:
    """Whether a call has ended in the ledger."""
    return [state for state, _, _ in calls(session)] == ["settled"]
