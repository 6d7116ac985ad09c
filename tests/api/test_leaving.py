"""Callers that go away: what they asked for ends at once, is not tried again, and is paid for at most once."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from service_driver import ASK, calls, connected, gateway_service, raw_request, until

from assay.config import Gateway
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.session import Session


def hang_up(connection: socket.socket) -> None:
    """Closes both ways."""
    connection.close()


def reset(connection: socket.socket) -> None:
    """Ends without a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection: socket.socket) -> None:
    """Says that nothing more comes, as HTTP/1.0 programs and `nc -N` do."""
    connection.shutdown(socket.SHUT_WR)


def pipelined_then_gone(connection: socket.socket) -> None:
    """Asks again before the answer, and leaves."""
    connection.sendall(raw_request("/v1/chat/completions", ASK))
    connection.close()


LEAVING = [hang_up, reset, half_close, pipelined_then_gone]
ASKED = [
    ("/v1/chat/completions", {}),
    ("/v1/chat/completions", {"stream": True}),
    ("/completions", {}),
    ("/completions/stream", {}),
    ("/v1/responses", {"input": "x"}),
    ("/v1/responses", {"input": "x", "stream": True}),
]


def body_of(path: str, more: dict[str, Any]) -> dict[str, Any]:
    """What a route is asked."""
    return {"model": ASK["model"], **more} if "responses" in path else {**ASK, **more}


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize(("path", "more"), ASKED)
def test_caller_that_leaves_before_the_first_byte_ends_the_call(
    tmp_path: Path, leave: Callable[[socket.socket], None], path: str, more: dict[str, Any]
) -> None:
    """Plain or streamed, however it leaves: the one call upstream is cancelled and no other is begun."""
    with SandboxServer(SandboxConfig(speed=0, fixed_latency_ms=60_000)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(tmp_path, gateway) as (url, session):
            connection = connected(url)
            connection.sendall(raw_request(path, body_of(path, more)))
            assert until(lambda: bool(sandbox.sandbox.books.requests))
            leave(connection)

            assert until(lambda: [call.outcome for call in calls(session)] == ["cancelled"], 5)
            connection.close()
        assert len(sandbox.sandbox.books.requests) == 1


@pytest.mark.parametrize("more", [{}, {"stream": True}])
def test_caller_that_leaves_while_a_retry_waits_is_not_tried_again(tmp_path: Path, more: dict[str, Any]) -> None:
    """The gateway asked for two seconds: nobody is there any more when they are over."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("503", retry_after_s=2.0),))) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(tmp_path, gateway) as (url, session):
            with connected(url) as connection:
                connection.sendall(raw_request("/v1/chat/completions", {**ASK, **more}))
                assert until(lambda: [call.outcome for call in calls(session)] == ["failed"])

            assert not until(lambda: len(sandbox.sandbox.books.requests) > 1, 3)
            assert [call.outcome for call in calls(session)] == ["failed"]


def test_caller_that_leaves_while_its_model_is_paced_sends_nothing(tmp_path: Path) -> None:
    """The second call of a minute in which one is allowed is withdrawn: it leaves no trace, and no place is lost."""
    with SandboxServer(SandboxConfig(speed=0)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(tmp_path, gateway, requests_per_minute={"*": 1}) as (url, session):
            with connected(url) as first:
                first.sendall(raw_request("/v1/chat/completions", ASK))
                assert until(lambda: [call.outcome for call in calls(session)] == ["ok"])
            with connected(url) as connection:
                connection.sendall(raw_request("/v1/chat/completions", ASK))
                assert until(lambda: under_way(session) == 1)

            assert until(lambda: under_way(session) == 0)
            assert [call.outcome for call in calls(session)] == ["ok"]
            assert len(sandbox.sandbox.books.requests) == 1


def under_way(session: Session) -> int:
    """Calls that the runtime's loop still works on."""
    tasks = asyncio.all_tasks(session.runtime._loop)
    return sum("send_completion" in getattr(task.get_coro(), "__qualname__", "") for task in tasks)


def test_cost_of_a_caller_that_left_in_the_middle_is_recovered(tmp_path: Path) -> None:
    """Its generation is known from the headers: what the gateway bills is found out and booked."""
    with SandboxServer(SandboxConfig(speed=1.0)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(tmp_path, gateway) as (url, session):
            with connected(url) as connection:
                connection.sendall(raw_request("/v1/chat/completions", {**ASK, "stream": True}))
                connection.recv(65536)

            assert until(lambda: [call.outcome for call in calls(session)] == ["cancelled"])
            assert until(lambda: [call.provenance for call in calls(session)] == ["recovered"], 15)
