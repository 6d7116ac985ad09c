"""What strangers can hold of a server: little, and not for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_driver import ASK, AUTH, TOKEN, answer_of, connected, ended_within, listening, raw_request, service, until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from assay.api.listening import Limits, room_for_connections

QUICK = Limits(head_s=0.3, idle_s=1.0, rest_s=0.3, unread_s=0.5, waiting=8, grace_s=0.0, connections=40)


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _much(request: Request) -> Response:
    return StreamingResponse(b"x" * 100_000 for _ in range(1000))


@contextmanager
def small_server(limits: Limits = QUICK) -> Iterator[str]:
    """The URL of a server that says hello, or much."""
    app = Starlette(routes=[Route("/", _hello, methods=["GET", "POST"]), Route("/much", _much)])
    with listening(app, limits=limits) as port:
        yield f"http://127.0.0.1:{port}/"


async def _open(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_bytes():
        pass


def upgraded(connection: socket.socket) -> bytes:
    """The status of the answer to a connection that wants to become a WebSocket."""
    connection.sendall(
        b"GET /open HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return connection.recv(4096).split(b" ")[1]


def test_websockets_beyond_their_bound_are_refused() -> None:
    """They stay open without a word, so there are only so many; a place is free again when one is closed."""
    app = Starlette(routes=[Route("/", _hello), WebSocketRoute("/open", _open)])
    limits = Limits(sockets=3)
    with listening(app, limits=limits, ws="websockets-sansio") as port, ExitStack() as stack:
        url = f"http://127.0.0.1:{port}/"
        crowd = [stack.enter_context(connected(url)) for _ in range(5)]
        assert [upgraded(one) for one in crowd] == [b"101", b"101", b"101", b"503", b"503"]
        assert httpx.get(url).text == "hello"
        crowd[0].close()

        def let_in() -> bool:
            with connected(url) as one:
                return upgraded(one) == b"101"

        assert until(let_in)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\n"])
def test_connection_without_a_whole_head_is_closed(sent: bytes) -> None:
    """Nothing, a byte, or all but the last line: it has its time, and that is all."""
    with small_server() as url, connected(url) as connection:
        connection.sendall(sent)

        assert ended_within(connection, 3)


def test_head_that_comes_byte_by_byte_is_closed() -> None:
    """Every byte does not buy more time."""
    with small_server() as url, connected(url) as connection:
        started = time.monotonic()
        connection.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() - started < 3:
            try:
                connection.sendall(b"G")
                ended = connection.recv(1000) != b"" or True
            except TimeoutError:
                continue
            except OSError:
                ended = True

        assert ended
        assert time.monotonic() - started < 2


def test_second_head_of_a_connection_has_its_time_too() -> None:
    """A caller that was answered once does not keep the connection with half a request, or with none."""
    with small_server() as url:
        for half in (b"", b"GET / HT"):
            with connected(url) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert b"hello" in connection.recv(65536)
                connection.sendall(half)
                assert ended_within(connection, 4)


@pytest.mark.parametrize(
    "head", [b"A: " + b"x" * 200_000, b"".join(b"A%d: b\r\n" % n for n in range(200)), b"A: b\r\n" * 200]
)
def test_too_much_head_is_refused(head: bytes) -> None:
    """Long or many headers: 431, and the end."""
    with small_server() as url, connected(url) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head.rstrip() + b"\r\n\r\n")

        assert b" 431 " in answer_of(connection)[:20]


def test_too_long_a_path_is_refused() -> None:
    """A path counts as much as the headers do."""
    with small_server() as url, connected(url) as connection:
        connection.sendall(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        assert answer_of(connection).split(b" ")[1] in (b"400", b"431")


def test_oldest_silent_connection_goes_when_more_come() -> None:
    """A crowd of silent connections does not keep anybody out, and only so many of them stay."""
    patient = Limits(head_s=60, waiting=8, grace_s=0.0, connections=40)
    with small_server(patient) as url, ExitStack() as stack:
        crowd = [stack.enter_context(connected(url)) for _ in range(60)]
        assert httpx.get(url).text == "hello"

        def closed() -> int:
            count = 0
            for connection in crowd:
                connection.settimeout(0.001)
                try:
                    count += connection.recv(1) == b""
                except TimeoutError:
                    pass
                except OSError:
                    count += 1
            return count

        assert until(lambda: closed() >= 51)


def test_answer_that_nobody_reads_is_given_up() -> None:
    """A slow reader holds its connection for a while, not for good."""
    with small_server() as url, connected(url) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1.5)

        assert ended_within(connection, 5)


def test_body_behind_an_answer_is_thrown_away_for_a_while(tmp_path: Path) -> None:
    """A stranger's large body is answered at once; the rest is dropped, and the connection ends if it never ends."""
    with service(tmp_path, limits=QUICK) as (url, _), connected(url) as connection:
        connection.sendall(raw_request("/completions", ASK, headers={"Authorization": "", "Content-Length": "9999999"}))
        assert b" 401 " in connection.recv(65536)

        assert ended_within(connection, 3)


def test_whole_body_behind_an_answer_keeps_the_connection(tmp_path: Path) -> None:
    """The next request on it is answered."""
    with service(tmp_path) as (url, _), connected(url) as connection:
        body = b"x" * 3_000_000
        head = f"POST /api/models HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body)
        assert b" 401 " in connection.recv(65536)
        connection.sendall(
            f"GET /api/v1/models/count HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )

        assert b" 200 " in connection.recv(65536)


@pytest.mark.parametrize("endless", [b"0\r\n" + b"A: b\r\n" * 1000, b"1;" + b"x" * 5000])
def test_endless_trailers_and_extensions_are_cut(tmp_path: Path, endless: bytes) -> None:
    """What is no body is not taken in for ever, with the token or without."""
    with service(tmp_path) as (url, _):
        for token in (TOKEN, "wrong"):
            with connected(url) as connection:
                head = f"POST /api/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
                connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
                sent = 0
                try:
                    while sent < 20_000_000:
                        connection.sendall(endless if sent == 0 else endless[3:])
                        sent += len(endless)
                except OSError:
                    pass

                assert sent < 20_000_000


def test_expected_continue_waits_for_the_token(tmp_path: Path) -> None:
    """A caller that asks before it sends its body is told 401 instead of to go on."""
    with service(tmp_path) as (url, _), connected(url) as connection:
        head = (
            "POST /api/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())

        assert b" 401 " in connection.recv(65536)


def test_requests_in_one_piece_are_answered_in_order(tmp_path: Path) -> None:
    """Two requests sent at once both get their answer."""
    with service(tmp_path) as (url, _), connected(url) as connection:
        one = f"GET /api/v1/models/count HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTH['Authorization']}\r\n\r\n"
        connection.sendall((one + one).encode())

        assert until(lambda: gathered(connection).count(b" 200 ") == 2)


_GATHERED: dict[int, bytes] = {}


def gathered(connection: Any) -> bytes:
    """All that a connection has said so far."""
    connection.settimeout(0.2)
    try:
        piece = connection.recv(65536)
    except TimeoutError:
        piece = b""
    _GATHERED[id(connection)] = _GATHERED.get(id(connection), b"") + piece
    return _GATHERED[id(connection)]


def test_room_for_connections_leaves_files_their_own() -> None:
    """Some connections always, and never more than the system gives."""
    assert 64 <= room_for_connections() <= 2048
