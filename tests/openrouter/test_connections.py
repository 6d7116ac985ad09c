"""The fast transport against a server that speaks every odd but legal HTTP/1.1, and some that is not."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.openrouter.connections import ConnectionPool

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def exchange(
    *answers: bytes, use: Callable[[httpx.AsyncClient, str], Awaitable[Any]], tls: Path | None = None
) -> tuple[Any, int]:
    """What `use` returns, and how many connections it took; each request gets the next answer, then the server closes
    after an answer that says so."""

    async def run() -> tuple[Any, int]:
        left, connections = list(answers), 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while left:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next((int(x.split(b":")[1]) for x in head.split(b"\r\n") if b"content-length" in x.lower()), 0)
                await reader.readexactly(size)
                answer = left.pop(0)
                for piece in answer.split(b"|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if b"close" in answer.lower() or b"content-length" not in answer.lower():
                    break
            writer.close()

        context = None
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        trusted = ssl.create_default_context(cafile=str(tls / "cert.pem") if tls else None)
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        async with server, httpx.AsyncClient(transport=ConnectionPool(trusted)) as client:
            found = await asyncio.wait_for(use(client, f"{scheme}://{host}:{port}/"), 10)
        return found, connections

    return asyncio.run(run())


async def get(client: httpx.AsyncClient, url: str) -> tuple[int, str]:
    """Status and text of one GET."""
    answer = await client.get(url)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe|\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel|lo",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HT|TP/1.1 200 OK\r\nConte|nt-Length: 5\r\n\r|\nh|e|l|l|o",
    ],
    ids=["length", "chunked", "closed", "http-1.0", "interim", "split"],
)
def test_every_framing_gives_the_body(answer: bytes) -> None:
    """Declared length, chunks, end of connection, HTTP/1.0, interim answers, any split."""
    assert exchange(answer, use=get)[0] == (200, "hello")


def test_connection_is_used_again() -> None:
    """A second request goes over the same connection; not after `Connection: close`."""

    async def twice(client: httpx.AsyncClient, url: str) -> list[tuple[int, str]]:
        return [await get(client, url), await get(client, url)]

    kept = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    closed = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    assert exchange(kept, kept, use=twice) == ([(200, "ok")] * 2, 1)
    assert exchange(closed, kept, use=twice) == ([(200, "ok")] * 2, 2)


@pytest.mark.parametrize("piece", ["", "|"], ids=["at-once", "split"])
def test_answer_that_nobody_asked_for_is_not_the_next_ones(piece: str) -> None:
    """A second answer to one request, whole or in part, is not handed to the next request on the connection."""

    async def twice(client: httpx.AsyncClient, url: str) -> list[tuple[int, str]]:
        first = await get(client, url)
        await asyncio.sleep(0.05)
        return [first, await get(client, url)]

    sound = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    surplus = b"HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nev"

    assert exchange(sound + piece.encode() + surplus, sound, use=twice) == ([(200, "ok")] * 2, 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", httpx.ReadError),
        (b"close", httpx.RemoteProtocolError),
        (b"", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000, httpx.RemoteProtocolError),
        (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello", httpx.RemoteProtocolError),
    ],
    ids=["short", "unfinished-chunks", "not-http", "nothing", "endless-header", "upgrade"],
)
def test_broken_answer_is_an_error_of_httpx(answer: bytes, error: type[Exception]) -> None:
    """A body that stops early is never taken for a whole one."""
    with pytest.raises(error):
        exchange(answer, use=get)


def test_nobody_listening_is_a_connect_error() -> None:
    """Nothing was sent, so nothing can be billed."""

    async def ask() -> None:
        async with httpx.AsyncClient(transport=ConnectionPool(ssl.create_default_context())) as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(httpx.ConnectError):
        asyncio.run(ask())


def test_large_body_is_read_with_back_pressure() -> None:
    """Several megabytes arrive whole although the reader is slow."""
    body = bytes(range(1, 120)) * 40_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body.replace(b"|", b"!")) + body.replace(b"|", b"!")

    async def slowly(client: httpx.AsyncClient, url: str) -> int:
        size = 0
        async with client.stream("GET", url) as response:
            async for chunk in response.aiter_raw():
                size += len(chunk)
                await asyncio.sleep(0.001)
        return size

    assert exchange(answer, use=slowly)[0] == len(body)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_verifies_the_host(tmp_path: Path) -> None:
    """A trusted certificate of another host is refused; that of the host is taken."""

    def certificate(host: str) -> Path:
        folder = tmp_path / host
        folder.mkdir()
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={host}",
                "-addext",
                f"subjectAltName=DNS:{host}",
                "-keyout",
                folder / "key.pem",
                "-out",
                folder / "cert.pem",
            ],
            check=True,
            capture_output=True,
        )
        return folder

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    assert exchange(answer, use=get, tls=certificate("localhost"))[0] == (200, "hello")
    with pytest.raises(httpx.ConnectError, match="certificate"):
        exchange(answer, use=get, tls=certificate("other.example"))
