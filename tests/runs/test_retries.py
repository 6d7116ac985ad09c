"""What is asked again, what that costs in tries, and what is said of it; odd answers are paid once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from odd_gateway import OddGateway, delta, end
from pydantic import SecretStr
from run_driver import started, until
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.client import Client
from assay.openrouter.failures import failure_of
from assay.openrouter.retry import is_free
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench import playground
from assay.workbench.datasets import kept
from assay.workbench.running import progress, runs
from assay.workbench.session import Session, open_session

KEY = SecretStr("sk-or-v1-odd")


def opened(url: str, folder: Path, name: str = "openrouter") -> Session:
    """A workbench over a gateway."""
    settings = Settings(database_url=f"sqlite:///{folder}/a.db")
    return open_session(settings, gateway=Gateway(name, url, KEY))


@pytest.fixture
def odd() -> Iterator[OddGateway]:
    """The odd gateway, with a model that breaks off once and one that goes on doing so."""
    asked: list[Any] = []

    def broken_once(body: dict[str, Any]) -> list[Any]:
        asked.append(body)
        return [delta(content="Half an ans")] if len(asked) == 1 else [delta(content="Whole"), *end()]

    with OddGateway(once=broken_once) as gateway:
        yield gateway


def answered(session: Session, model: str) -> Any:
    """The result of a run of one cell, with its texts."""
    session.ready()
    table = kept.read_upload(session, b"q\nHello\n", filename="q.csv")
    dataset = kept.save_table(session, table, name="q", source="q")
    draft = runs.RunDraft(dataset.id, (Prompt("{{q}}"),), (Contestant(model),), budget_usd=Decimal(1))
    run_id = runs.start_run(session, draft)
    until(lambda: progress.progress(session, run_id).state in ("done", "paused", "stopped"))
    query = "SELECT * FROM result r JOIN result_text t ON r.run_id = t.run_id AND r.cell = t.cell WHERE r.run_id = :run"
    with session.store.read() as connection:
        return connection.execute(text(query), {"run": run_id}).one()


def calls(session: Session) -> list[Any]:
    """Kind of error, cost and provenance of every call, oldest first."""
    with session.store.read() as connection:
        return list(connection.execute(text("SELECT error_kind, cost_pico, provenance FROM call ORDER BY id")))


ODD = [
    ("t/byok", "Paris", "", "upstream", 36_079_500_000),
    ("t/nofinish", "Paris", "", "billed", 140_000_000),
    ("t/nodone", "Paris", "", "billed", 140_000_000),
    ("t/refusal", "I cannot help.", "The model refused.", "billed", 140_000_000),
    ("t/tools", "get_weather", "It called 2 tools", "billed", 140_000_000),
    ("t/think", "It is 42.", "", "billed", 140_000_000),
    ("t/lenempty", "", "It was cut at its limit of tokens", "billed", 140_000_000),
    ("t/emptystop", "", "The answer is empty.", "billed", 140_000_000),
    ("t/nullcost", "Paris", "", "estimated", 140_000_000),
    ("t/negcost", "Paris", "", "estimated", 140_000_000),
    ("t/strcost", "Paris", "", "estimated", 140_000_000),
    ("t/usageeach", "Paris", "", "billed", 106_000_000),
    ("t/reasoncontent", "Paris", "", "billed", 140_000_000),
]


@pytest.mark.parametrize(("model", "output", "note", "provenance", "pico"), ODD, ids=[row[0] for row in ODD])
def test_odd_answer_is_paid_once_and_kept(
    odd: OddGateway, tmp_path: Path, model: str, output: str, note: str, provenance: str, pico: int
) -> None:
    """One call each; the answer, what it is and what it cost stand in the result."""
    with opened(odd.base_url, tmp_path) as session:
        result = answered(session, model)
        ledger = calls(session)

    assert len(odd.calls) == 1
    assert (result.status, ledger) == ("ok", [(None, pico, provenance)])
    assert output in result.output
    assert result.note.startswith(note)
    assert bool(result.note) == bool(note)


def test_broken_stream_is_asked_anew_in_a_run_and_that_is_said(odd: OddGateway, tmp_path: Path) -> None:
    """The whole answer stands, with a note of the broken one; the ledger has both."""
    with opened(odd.base_url, tmp_path) as session:
        result = answered(session, "t/once")
        kinds = [call.error_kind for call in calls(session)]

    assert (result.output, result.note) == ("Whole", "The stream broke after 11 characters; it was asked again.")
    assert kinds == ["truncated", None]


def test_broken_stream_is_asked_anew_in_the_playground_and_that_is_said(odd: OddGateway, tmp_path: Path) -> None:
    """The pane shows the whole answer and why it was asked for twice."""
    with opened(odd.base_url, tmp_path) as session:
        comparison = playground.start_comparison(
            session, prompt=Prompt("Hello"), variables={}, contestants=[Contestant("t/once")]
        )
        until(lambda: playground.watch(session, comparison).finished)
        (pane,) = playground.watch(session, comparison).panes

    assert (pane.status, pane.text) == ("ok", "Whole")
    assert pane.note == "The stream broke after 11 characters; it was asked again."
    assert len(odd.calls) == 2


def test_waits_that_the_gateway_asks_for_are_no_tries(tmp_path: Path) -> None:
    """With every fifth request answered by 429 and a Retry-After, no cell of 200 fails."""
    faults = (Fault("429", rate=0.2, retry_after_s=0.02),)
    with (
        SandboxServer(SandboxConfig(speed=0, faults=faults)) as sandbox,
        opened(sandbox.base_url, tmp_path, "sandbox") as session,
    ):
        run_id = started(session, [Contestant("sandbox/swift"), Contestant("sandbox/scribe")], rows=100)
        until(lambda: progress.progress(session, run_id).state == "done", 60)
        run = progress.progress(session, run_id)
        limited = sum(call.error_kind == "rate_limit_provider" for call in calls(session))

    assert (run.done, run.failed) == (200, 0)
    assert limited > 20


def test_only_what_surely_cost_nothing_and_named_a_time_is_a_wait() -> None:
    """A 429 without a time, and whatever may have been billed, stay tries."""
    assert is_free(failure_of("rate_limit_provider", retry_after=1))
    assert is_free(failure_of("in_flight_budget"))
    assert not is_free(failure_of("rate_limit_provider"))
    assert not is_free(failure_of("timeout", retry_after=1))
    assert not is_free(failure_of("credits", retry_after=1))


REFUSALS = [
    {"message": "Unsupported parameter", "param": "max_tokens", "code": "unsupported_parameter"},
    {"message": "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."},
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_model_that_wants_the_other_limit_gets_it(refusal: dict[str, str]) -> None:
    """An endpoint refuses `max_tokens`: the same request goes out under the other name, and so do later ones."""
    bodies: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        bodies.append(json.loads(await reader.readexactly(size)))
        refused = "max_tokens" in bodies[-1]
        said: dict[str, Any] = {"choices": [{"message": {"content": "four"}}], "usage": {"cost": 0.1}}
        body = json.dumps({"error": refusal} if refused else said).encode()
        status = b"400 No" if refused else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%b" % (status, body))
        writer.close()

    async def ask() -> list[str]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Client(Gateway("local", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"), Settings())
        request = CompletionRequest("o9", (Message("user", "x"),), {"max_tokens": 7})
        try:
            return [(await client.attempt(request, stream=False)).text for _ in range(2)]
        finally:
            await client.aclose()
            server.close()

    assert asyncio.run(ask()) == ["four", "four"]
    assert [("max_tokens" in body, body.get("max_completion_tokens")) for body in bodies] == [
        (True, None),
        (False, 7),
        (False, 7),
    ]
