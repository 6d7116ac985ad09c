"""How completions are posted: the bytes of a body in, an answer whose body is read as it comes out.

Over our own pool (connections.py) no request and response objects of httpx are made, which cost as much CPU as the
rest of a call; over any other transport (a proxy, a test's) they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import httpx

from assay.openrouter.connections import ConnectionPool, Exchange, origin_of, request_head
from assay.openrouter.decoding import decoded


class Answer(Protocol):
    """An answer whose headers are there."""

    status: int

    @property
    def headers(self) -> httpx.Headers:
        """All of its headers."""

    def header(self, name: str) -> str | None:
        """One header, by its name in lower case; None: there is none."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come, decoded. Raises httpx's errors."""

    async def aclose(self, *, ended: bool = False) -> None:
        """Gives the connection back, or drops it when the body was not read to its end.

        ended: the answer said that it is at its end, so that only the end of its body may be missing.
        """


class Poster(Protocol):
    """Posts to one address with the same headers every time."""

    async def post(self, content: bytes) -> Answer:
        """Sends a body. Raises httpx's errors."""


def poster_over(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, headers: httpx.Headers, timeout: httpx.Timeout
) -> Poster:
    """The leanest way of posting over a transport."""
    if isinstance(transport, ConnectionPool):
        return _PooledPoster(transport, url, headers, timeout)
    return _HttpxPoster(transport, url, headers, timeout)


class _HttpxPoster:
    def __init__(
        self, transport: httpx.AsyncBaseTransport, url: httpx.URL, headers: httpx.Headers, timeout: httpx.Timeout
    ) -> None:
        self._transport = transport
        self._url = url
        self._headers = headers
        self._extensions = {"timeout": timeout.as_dict()}

    async def post(self, content: bytes) -> Answer:
        request = httpx.Request("POST", self._url, headers=self._headers, content=content, extensions=self._extensions)
        return HttpxAnswer(await self._transport.handle_async_request(request))


class HttpxAnswer:
    """An answer that is a response of httpx."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers

    def header(self, name: str) -> str | None:
        """One header."""
        value: str | None = self.headers.get(name)
        return value

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes, decoded."""
        encoding: str | None = self.headers.get("content-encoding")
        return self._response.aiter_bytes() if encoding is None else decoded(self._response.aiter_raw(), encoding)

    async def aclose(self, *, ended: bool = False) -> None:
        """Gives the connection back, or drops it."""
        await self._response.aclose()


class _PooledPoster:
    def __init__(self, pool: ConnectionPool, url: httpx.URL, headers: httpx.Headers, timeout: httpx.Timeout) -> None:
        self._pool = pool
        self._origin = origin_of(url)
        self._head = request_head("POST", url, headers).removesuffix(b"\r\n")
        self._connect_s = timeout.connect

    async def post(self, content: bytes) -> Answer:
        message = b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(content), content)
        return _PooledAnswer(await self._pool.exchange(self._origin, message, connect_s=self._connect_s))


class _PooledAnswer:
    def __init__(self, exchange: Exchange) -> None:
        self.status = exchange.status
        self._exchange = exchange
        self._found = {name.lower(): value for name, value in exchange.raw_headers}

    @property
    def headers(self) -> httpx.Headers:
        return httpx.Headers(self._exchange.raw_headers)

    def header(self, name: str) -> str | None:
        value = self._found.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def chunks(self) -> AsyncIterator[bytes]:
        encoding: str | None = self.headers.get("content-encoding") if b"content-encoding" in self._found else None
        return decoded(aiter(self._exchange), encoding)

    async def aclose(self, *, ended: bool = False) -> None:
        await self._exchange.aclose(ended=ended)
