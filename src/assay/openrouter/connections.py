"""A transport for httpx: HTTP/1.1 over asyncio connections and httptools' parser, and nothing else.

httpx's own pool scans all its connections for every request, and aiohttp does three times the work of this one per
call (measured in bench/client.py). What it leaves out on purpose: redirects, cookies, HTTP/2, proxies (transport.py
takes aiohttp for those), upgrades.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

import httptools
import httpx

KEEPALIVE_S = 60.0
HEAD_LIMIT = 256 * 1024
"""Bytes of status line and headers at most."""
HIGH_WATER = 1024 * 1024
"""Unread bytes of an answer above which the connection is not read."""

_GOODBYES = 20
"""Turns of the event loop that closing may take."""


class Origin(NamedTuple):
    """What a connection goes to."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx.URL) -> Origin:
    """What a connection for a URL goes to."""
    return Origin(url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))


def request_head(method: str, url: httpx.URL, headers: httpx.Headers) -> bytes:
    """The bytes of a request before its body."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), url.raw_path)]
    lines += [b"%s: %s" % pair for pair in headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.closed = False
        """No request may be sent on it any more."""
        self.gone = False
        """Its socket is closed."""
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keep_alive = False
        self._head: asyncio.Future[None] | None = None
        self._more: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._head_size = 0
        self._has_head = False
        self._error: Exception | None = None
        self._paused = False

    # -- the exchange ------------------------------------------------------------------------------------------

    async def ask(self, message: bytes) -> None:
        """Sends a request and returns when the answer's headers are there. Raises httpx.TransportError."""
        self._begin()
        if self.closed or self.transport is None:
            raise httpx.WriteError("The connection was closed before the request was sent.")
        self._head = self._loop.create_future()
        self.transport.write(message)
        await self._head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come. Raises httpx.ReadError when the connection breaks before its end."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._unread -= len(chunk)
                if self._paused and self._unread < HIGH_WATER // 2 and self.transport is not None:
                    self._paused = False
                    self.transport.resume_reading()
                yield chunk
            if self.complete:
                return
            if self._error is not None:
                raise self._error
            self._more = self._loop.create_future()
            try:
                await self._more
            finally:
                self._more = None

    def drop(self) -> None:
        """Closes the connection at once."""
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came; those that nobody asked for would be taken for the next request's answer."""
        if self._head is None or self.complete:
            self.drop()
            return
        if not self._has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"The answer is not HTTP: {error}"))
            self.drop()
            return
        if not self._has_head and self._head_size > HEAD_LIMIT:
            self._fail(httpx.RemoteProtocolError("The answer's headers are too large."))
            self.drop()

    def eof_received(self) -> None:
        """The server sends nothing more: the connection closes."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; a body without a declared length ends here."""
        self.closed = self.gone = True
        if self.complete:
            return
        declared = {name.lower() for name, _ in self.headers} & {b"content-length", b"transfer-encoding"}
        if self._has_head and not declared and error is None:
            self.on_message_complete()
        else:
            self._fail(httpx.ReadError(str(error) if error else "The server closed the connection."))

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # -- httptools ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request was not asked for."""
        if self.complete:
            self.closed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        if not self.complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """All headers are there; those of an interim answer (1xx) are dropped."""
        status = self._parser.get_status_code()
        if self.complete:
            return
        if status < 200:
            self.headers = []
            return
        self.status = status
        self._has_head = True
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        """A piece of the body came."""
        if self.complete:
            return
        self._chunks.append(body)
        self._unread += len(body)
        if self._unread > HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if not self._has_head or self.complete:
            return  # an interim answer, or one too many
        self.keep_alive = not self.closed and self._parser.should_keep_alive()
        self.complete = True
        self._wake()


class Exchange(httpx.AsyncByteStream):
    """The answer to one request, whose body is still to be read.

    Closing it gives the connection back, or drops it when the body was not read to its end.
    """

    def __init__(self, pool: ConnectionPool, origin: Origin, connection: Connection) -> None:
        self.status = connection.status
        self.raw_headers = connection.headers
        self._pool = pool
        self._origin = origin
        self._connection: Connection | None = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is None:
            raise httpx.StreamClosed
        return self._connection.chunks()

    async def aclose(self) -> None:
        """Gives the connection back, or drops it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(self._origin, connection)


class ConnectionPool(httpx.AsyncBaseTransport):
    """An unbounded pool of connections (the pacer bounds calls). Belongs to one event loop.

    tls: the context of https connections. Raises httpx's ConnectError, ConnectTimeout, WriteError, ReadError and
    RemoteProtocolError.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the answer's body is still to be read."""
        url = request.url
        content = await request.aread()
        head = request_head(request.method, url, request.headers)
        exchange = await self.exchange(
            origin_of(url), head + content, connect_s=request.extensions.get("timeout", {}).get("connect")
        )
        return httpx.Response(exchange.status, headers=exchange.raw_headers, stream=exchange, request=request)

    async def exchange(self, origin: Origin, message: bytes, *, connect_s: float | None) -> Exchange:
        """Sends the bytes of a request and returns when the answer's headers are there.

        connect_s: seconds that connecting may take; None: without a limit.
        """
        connection = self._take(origin) or await self._connect(origin, connect_s)
        try:
            await connection.ask(message)
        except BaseException:
            connection.drop()
            raise
        return Exchange(self, origin, connection)

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last, if one is idle and not too old."""
        idle = self._idle.get(origin)
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_S
        while idle:
            connection = idle.pop()
            if not connection.closed and connection.idle_since > oldest:
                return connection
            connection.drop()
        return None

    async def _connect(self, origin: Origin, timeout_s: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        tls = self._tls if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    Connection, origin.host, origin.port, ssl=tls, server_hostname=origin.host if tls else None
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"No connection to {origin.host} within {timeout_s} s.") from None
        except OSError as error:  # TLS errors are OSErrors too
            raise httpx.ConnectError(str(error)) from error
        self._open.add(connection)
        return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keeps a connection for the next request when its answer was complete, else drops it."""
        if connection.complete and connection.keep_alive and not connection.closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.drop()

    async def aclose(self) -> None:
        """Closes all connections and waits until they are gone."""
        self._idle.clear()
        opened = list(self._open)
        for connection in opened:
            connection.drop()
        for _ in range(_GOODBYES):
            if all(connection.gone for connection in opened):
                return
            await asyncio.sleep(0)
