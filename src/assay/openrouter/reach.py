"""Whether a gateway can be reached, step by step: name, connection, TLS, an answer with its clock.

The client's own connections stay out of it: what a pool or a retry would hide is what is asked here.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

WAIT_S = 8.0
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Reached:
    """What one step gave."""

    step: str
    """name, connection, TLS or answer."""
    ok: bool
    said: str
    skew_s: float | None = None
    """Seconds that this machine's clock is ahead of the gateway's; None: it said no time."""


def proxy_of(scheme: str) -> str:
    """The proxy that the environment names for a scheme, without its user part; empty: none."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        given = os.environ.get(name.upper()) or os.environ.get(name)
        if given:
            return given.rpartition("@")[2].removeprefix("http://").removeprefix("https://").rstrip("/")
    return ""


def reach(base_url: str) -> Iterator[Reached]:
    """The steps to a gateway, up to the first that fails. A proxy that the environment names is reached instead."""
    parts = urlsplit(base_url)
    proxy = proxy_of(parts.scheme) if not _is_local(parts.hostname or "") else ""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if proxy:
        host, _, given = proxy.partition(":")
        port = int(given) if given.isdigit() else 8080
    try:
        started = time.monotonic()
        addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        yield Reached("name", False, f"{host} has no address: {error.strerror or error}")
        return
    yield Reached("name", True, f"{host} is {', '.join(addresses[:3])} ({_ms(started)})")
    try:
        started = time.monotonic()
        socket.create_connection((host, port), timeout=WAIT_S).close()
    except OSError as error:
        yield Reached("connection", False, f"{host}:{port} cannot be reached: {error.strerror or error}")
        return
    yield Reached("connection", True, f"{host}:{port} answers ({_ms(started)})")
    if not proxy:
        yield from _answer(parts.scheme, host, port, f"{parts.path.rstrip('/')}/models/count")


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _ms(started: float) -> str:
    return f"{(time.monotonic() - started) * 1000:.0f} ms"


def _answer(scheme: str, host: str, port: int, path: str) -> Iterator[Reached]:
    connection: http.client.HTTPConnection
    if scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=WAIT_S, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=WAIT_S)
    try:
        connection.connect()
        if isinstance(connection.sock, ssl.SSLSocket):
            yield Reached("TLS", True, f"{connection.sock.version()}, the certificate is for {host}")
        started = time.monotonic()
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        took, skew = _ms(started), _skew_s(answer.getheader("Date"))
        yield Reached("answer", answer.status < 500, f"HTTP {answer.status} ({took})", skew)
    except ssl.SSLError as error:
        yield Reached("TLS", False, f"The certificate or the protocol is refused: {error.reason or error}")
    except (OSError, http.client.HTTPException) as error:
        yield Reached("answer", False, f"No answer: {error or type(error).__name__}")
    finally:
        connection.close()


def _skew_s(date: str | None) -> float | None:
    try:
        told = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    if told is None or told.tzinfo is None:
        return None
    return (datetime.now(UTC) - told).total_seconds()
