"""A transport for httpx: HTTP/1.1 over asyncio connections and httptools' parser, and nothing else.

httpx's own pool scans all its connections for every request, and aiohttp does three times the work of this one per
call (measured in bench/client.py). What it leaves out on purpose: redirects, cookies, HTTP/2, proxies (transport.py
takes aiohttp for those), upgrades.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, cast

import httptools
import httpx

from assay.openrouter.addresses import AGAIN_AFTER_S, Addresses
from assay.openrouter.habits import END_WAIT_S, LINGER_S, PROOF_S, Habits

HEAD_LIMIT = 256 * 1024
"""Bytes at most of status line and headers, and of whatever else comes between two pieces of a body."""
LATE_LIMIT = 64 * 1024
"""Bytes that may still come of a body whose reader has what it wants."""
HIGH_WATER = 1024 * 1024
"""Unread bytes of an answer above which the connection is not read."""

_GOODBYES = 20
"""Turns of the event loop that closing may take."""
_READS = 5
"""Turns of the event loop in which what has come is read and told."""


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
        self.used = 0
        """Requests that it carried."""
        self.on_lost: Callable[[Connection], None] | None = None
        """Told when the server closes it while it is idle."""
        self.on_end: Callable[[Connection], None] | None = None
        """Told when the answer ends whose reader has left."""
        self._fd = -1
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
        self._beside = 0
        """Bytes since the last piece of the body: headers, sizes of chunks, trailers."""
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
        self.used += 1
        self.transport.write(message)
        await self._head

    @property
    def heard(self) -> bool:
        """Whether a byte came of the answer."""
        return self._beside > 0 or self._has_head

    @property
    def is_stale(self) -> bool:
        """Whether an idle connection can carry no request: the server closed it, or said what nobody asked for."""
        return self.closed or self._fd < 0 or _is_readable(self._fd)

    def forget_rest(self, on_end: Callable[[Connection], None]) -> None:
        """Reads what is still to come of the answer, and throws it away."""
        self.on_end = on_end
        self._chunks.clear()
        self._unread = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()

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
        self._fd = self.transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Bytes came; those that nobody asked for would be taken for the next request's answer."""
        if self._head is None or self.complete:
            self.drop()
            return
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"The answer is not HTTP: {error}"))
            self.drop()
            return
        if self._beside > HEAD_LIMIT and not self.complete:
            self._fail(httpx.RemoteProtocolError("The answer's headers are too large."))
            self.drop()

    def eof_received(self) -> None:
        """The server sends nothing more: the connection closes."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; a body without a declared length ends here."""
        by_server = not self.closed
        self.closed = self.gone = True
        if self.complete or self._head is None:
            if by_server and self.on_lost is not None:
                self.on_lost(self)
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
        """A header came; those after the body (trailers) are nobody's business."""
        if not self._has_head:
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
        self._beside = 0
        self._unread += len(body)
        if self.on_end is not None:
            if self._unread > LATE_LIMIT:
                self.drop()
            return
        self._chunks.append(body)
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
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            self._loop.call_soon(on_end, self)  # what else these bytes hold is seen first


def _is_readable(fd: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([fd], [], [], 0)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


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

    async def aclose(self, *, ended: bool = False) -> None:
        """Gives the connection back, or drops it.

        ended: the answer said that it is at its end, so that only the end of its body may be missing.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(self._origin, connection, ended=ended)


class ConnectionPool(httpx.AsyncBaseTransport):
    """An unbounded pool of connections (the pacer bounds calls). Belongs to one event loop.

    tls: the context of https connections. Raises httpx's ConnectError, ConnectTimeout, WriteError, ReadError and
    RemoteProtocolError.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._idle: dict[Origin, list[Connection]] = {}
        self._ending: dict[Origin, set[Connection]] = {}
        """Connections whose answer is read to its end by nobody."""
        self._waiting: dict[Origin, deque[asyncio.Future[None]]] = {}
        self._habits: dict[Origin, Habits] = {}
        self._addresses: dict[Origin, Addresses] = {}
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
        for reused in (await self._take(origin), None):
            connection = reused or await self._connect(origin, connect_s)
            try:
                await connection.ask(message)
            except httpx.WriteError:
                # Nothing was written: the next connection is as good as the first.
                connection.drop()
                if reused is None:
                    raise
            except BaseException as error:
                connection.drop()
                if reused is not None and isinstance(error, httpx.ReadError) and not connection.heard:
                    self._habits[origin].lost(asyncio.get_running_loop().time())
                raise
            else:
                return Exchange(self, origin, connection)
        raise AssertionError  # the second round returns or raises

    async def _take(self, origin: Origin) -> Connection | None:
        """The connection that was used last, if one is idle and the server's habits let it carry a further request."""
        habits = self._habits.setdefault(origin, Habits())
        now = asyncio.get_running_loop().time()
        if not habits.keeps(now):
            return None
        found = self._idle_one(origin, habits, now)
        if found is None and habits.finishes and self._ending.get(origin):
            await self._next_end(origin)
            found = self._idle_one(origin, habits, asyncio.get_running_loop().time())
        if found is not None and not habits.proven:
            # Small servers close a connection just after an answer: a request sent then would be lost, and nobody
            # could tell. Once per server the first connection is watched for a moment.
            try:
                await asyncio.sleep(max(0.0, found.idle_since + PROOF_S - now))
            except asyncio.CancelledError:
                found.drop()
                raise
            if found.is_stale:
                found.drop()
                return None
            habits.proven = True
        return found

    def _idle_one(self, origin: Origin, habits: Habits, now: float) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle_since > now - habits.idle_s and not connection.is_stale:
                return connection
            connection.drop()
        return None

    async def _next_end(self, origin: Origin) -> None:
        """Waits a moment for an answer whose end alone is missing."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(origin, deque())
        waiting.append(turn)
        try:
            await asyncio.wait((turn,), timeout=END_WAIT_S)
            # On a busy machine the time may be up before what came within it is read.
            for _ in range(_READS):
                if turn.done():
                    break
                await asyncio.sleep(0)
        finally:
            if turn in waiting:
                waiting.remove(turn)

    async def _connect(self, origin: Origin, timeout_s: float | None) -> Connection:
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected(origin)
        except TimeoutError:
            raise httpx.ConnectTimeout(f"No connection to {origin.host} within {timeout_s} s.") from None
        except (OSError, UnicodeError) as error:  # TLS errors are OSErrors too; names that no resolver takes are not
            raise httpx.ConnectError(str(error)) from error
        self._open.add(connection)
        return connection

    async def _connected(self, origin: Origin) -> Connection:
        """A new connection; what breaks on the way is tried again, for nothing was sent yet."""
        loop = asyncio.get_running_loop()
        addresses = self._addresses.setdefault(origin, Addresses(origin.host, origin.port))
        tls = self._tls if origin.scheme == "https" else None
        for wait in (*AGAIN_AFTER_S, None):
            try:
                connected = await addresses.connected()
                _, connection = await loop.create_connection(
                    Connection, sock=connected, ssl=tls, server_hostname=origin.host if tls else None
                )
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                if wait is None:
                    raise
                await asyncio.sleep(wait)
            else:
                return connection
        raise AssertionError  # the last round returns or raises

    def give_back(self, origin: Origin, connection: Connection, *, ended: bool = False) -> None:
        """Keeps a connection for the next request when its answer was complete, else drops it.

        ended: only the end of the body may be missing; it is waited for, by nobody who has anything else to do.
        """
        if connection.complete and connection.keep_alive and not connection.closed:
            self._keep(origin, connection)
        elif ended and not connection.complete and not connection.closed:
            self._linger(origin, connection)
        else:
            connection.drop()

    def _keep(self, origin: Origin, connection: Connection) -> None:
        habits = self._habits.setdefault(origin, Habits())
        if connection.used == 1:
            habits.read(connection.headers)
        connection.idle_since = asyncio.get_running_loop().time()
        connection.on_lost = lambda lost: habits.closed(lost.idle_since, asyncio.get_running_loop().time())
        self._idle.setdefault(origin, []).append(connection)

    def _linger(self, origin: Origin, connection: Connection) -> None:
        ending = self._ending.setdefault(origin, set())
        ending.add(connection)

        def end(_: Connection) -> None:
            ending.discard(connection)
            giving_up.cancel()
            if connection.complete:
                self.give_back(origin, connection)
            else:
                connection.drop()
                self._habits[origin].finishes = False
            waiting = self._waiting.get(origin)
            while waiting:
                if not (turn := waiting.popleft()).done():
                    turn.set_result(None)
                    break

        giving_up = asyncio.get_running_loop().call_later(LINGER_S, end, connection)
        connection.forget_rest(end)

    async def aclose(self) -> None:
        """Closes all connections and waits until they are gone."""
        self._idle.clear()
        self._ending.clear()
        opened = list(self._open)
        for connection in opened:
            connection.drop()
        for _ in range(_GOODBYES):
            if all(connection.gone for connection in opened):
                return
            await asyncio.sleep(0)
