"""The app's own server, as `streamlit run app.py` starts it: names, origins, closed doors, bounded connections."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from service_driver import TOKEN, ended_within, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running app with the service on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("app")
    env = {
        **os.environ,
        "ASSAY_DATABASE_URL": f"sqlite:///{folder}/assay.db",
        "ASSAY_API_TOKEN": TOKEN,
        "ASSAY_ALLOWED_HOSTS": '["assay.example.com"]',
    }
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/_stcore/health").status_code == 200
        except httpx.TransportError:
            return False

    try:
        assert until(answers, 180)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def handshake(port: int, host: str, origin: str | None) -> int:
    """The status of the answer to a WebSocket that wants to be opened."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if origin is not None:
        lines.append(f"Origin: {origin}")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return int(connection.recv(4096).split(b" ")[1])


def test_websocket_is_opened_by_the_apps_own_pages_only(app: int) -> None:
    """Scheme, name and port of the origin must be the app's own, on every name it goes by."""
    own = f"localhost:{app}"
    assert handshake(app, own, f"http://{own}") == 101
    assert handshake(app, f"127.0.0.1:{app}", f"http://127.0.0.1:{app}") == 101
    assert handshake(app, "assay.example.com", "http://assay.example.com") == 101
    for host, origin in [
        (own, f"http://localhost:{app + 1}"),
        (own, "http://localhost"),
        (own, f"https://{own}"),
        (own, "null"),
        (own, f"http://127.0.0.1:{app}"),
        (own, "http://evil.example"),
        ("evil.example", "http://evil.example"),
        (own, f"http://{own}.evil.example"),
    ]:
        assert handshake(app, host, origin) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/_stcore/metrics/",
        "//_stcore/metrics",
        "/_stcore/%6detrics",
        "/_stcore/script-health-check",
        "/_stcore/agent/interact",
    ],
)
def test_streamlits_inside_is_closed(app: int, path: str) -> None:
    """Counts of sessions and caches are nobody's business."""
    answer = httpx.get(f"http://127.0.0.1:{app}{path}")

    assert answer.status_code in (400, 404)
    assert "active_sessions" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "169.254.169.254", ""])
def test_foreign_name_gets_nothing(app: int, host: str) -> None:
    """Pages, files and the service alike."""
    for path in ("/", "/_stcore/health", "/api/health", "/static/x.js"):
        assert httpx.get(f"http://127.0.0.1:{app}{path}", headers={"Host": host}).status_code == 400


def test_service_below_the_app_asks_for_the_token_before_the_body(app: int) -> None:
    """401 with nothing read, on every path below /api."""
    for path in ("/api/completions", "/api/v1/chat/completions", "/api/x/health"):
        with socket.create_connection(("127.0.0.1", app), timeout=10) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n".encode())
            assert b" 401 " in connection.recv(4096)
    answer = httpx.get(f"http://127.0.0.1:{app}/api/models", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json()["data"]


def test_silent_connection_to_the_app_is_closed(app: int) -> None:
    """The app's server bounds what strangers hold, too."""
    with socket.create_connection(("127.0.0.1", app), timeout=30) as connection:
        started = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\n")

        assert ended_within(connection, 25)
        assert time.monotonic() - started < 20
