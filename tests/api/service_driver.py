"""A running service over a gateway of one's choice, and what tests ask of it by hand."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from assay.api.door import Rules, rules_of
from assay.api.listening import Limits, config_of
from assay.api.service import create_server
from assay.config import Gateway, Settings
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

TOKEN = "assay-token-for-tests"
ASK = {"model": "sandbox/scribe", "messages": [{"role": "user", "content": "Name three rivers"}]}
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def listening(app: ASGIApp, *, limits: Limits | None = None, **settings: Any) -> Iterator[int]:
    """The port of an app that is served as `assay serve` does."""
    server = uvicorn.Server(config_of(app, limits=limits, port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@contextmanager
def gateway_service(
    folder: Path,
    gateway: Gateway,
    *,
    token: str | None = TOKEN,
    limits: Limits | None = None,
    rules: Callable[[Rules], Rules] = lambda given: given,
    tokenless: bool = False,
    **settings: Any,
) -> Iterator[tuple[str, Session]]:
    """The base URL of a running service over a gateway, and its runtime."""
    given = Settings(
        database_url=f"sqlite:///{folder}/assay.db", api_token=SecretStr(token) if token else None, **settings
    )
    with open_session(given, gateway=gateway) as session:
        session.ready()
        app = create_server(lambda: session.runtime, rules=rules(rules_of(given, tokenless=tokenless)))
        with listening(app, limits=limits) as port:
            yield f"http://127.0.0.1:{port}/api", session


@contextmanager
def service(folder: Path, *faults: Fault, speed: float = 0, **settings: Any) -> Iterator[tuple[str, Session]]:
    """The base URL of a running service over a sandbox, and its runtime."""
    with SandboxServer(SandboxConfig(speed=speed, faults=faults)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(folder, gateway, **settings) as found:
            yield found


@contextmanager
def sandbox_seen(folder: Path, **settings: Any) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """The base URL of a service over a sandbox, and the bodies that the sandbox has got so far."""
    folder.mkdir(parents=True, exist_ok=True)
    with SandboxServer(SandboxConfig(speed=0)) as sandbox:
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with gateway_service(folder, gateway, **settings) as (url, _):
            yield url, lambda: list(sandbox.sandbox.books.requests)


def calls(session: Session) -> list[Any]:
    """The ledger, oldest first."""
    return list(reversed(spend.ledger_page(session, spend.SpendFilter())))


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()


def port_of(url: str) -> int:
    """The port in a base URL."""
    return int(url.split(":")[2].split("/")[0])


def connected(url: str) -> socket.socket:
    """A connection of one's own."""
    return socket.create_connection(("127.0.0.1", port_of(url)), timeout=10)


def raw_request(path: str, body: Any, *, headers: dict[str, str] | None = None) -> bytes:
    """A POST as it stands on the wire, with the token."""
    content = json.dumps(body).encode()
    named = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(content)), **AUTH}
    lines = [f"POST /api{path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**named, **(headers or {})}.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def answer_of(connection: socket.socket) -> bytes:
    """What a connection says until it is closed or says no more for ten seconds."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(parts)


def ended_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the server closes a connection in time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True
