"""How the servers listen: what one stranger, or a thousand, may hold of connections, memory and time.

Limits    the bounds
Guard     uvicorn's HTTP protocol within the bounds
guarded   the class of connections of one server
listening, run_until_stopped   the service on an address, until it is told to stop
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = logging.getLogger("assay.service")
BACKLOG = 4096
"""Connections that wait to be taken in at most; past it, or the system's own bound, a caller tries anew in 1 s."""
LISTENERS = 16
"""Handles of the socket that listens: the loop takes one connection in per handle and round, and a round among hundreds
of busy connections takes milliseconds; a caller behind a thousand strangers waited for seconds."""
REST_PAUSE_S = 0.05
"""Seconds between two looks at a body that is thrown away."""
SILENT_BYTES = 512 * 1024
"""Bytes behind a request's headers that may come without a byte of its body: sizes, extensions, trailers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may take."""

    head_s: float = 10.0
    """Seconds in which a request's line and headers must have come."""
    head_bytes: int = 64 * 1024
    headers: int = 100
    idle_s: float = 20.0
    """Seconds that a connection stays open between two requests."""
    rest_s: float = 5.0
    """Seconds for which the body of a request that is answered already is still taken in, and thrown away."""
    rest_bytes: int = 4 * 1024 * 1024
    unread_s: float = 60.0
    """Seconds for which an answer waits for a caller that does not read it."""
    waiting: int = 256
    """Connections without a whole request at most: the oldest goes when one more comes."""
    grace_s: float = 1.0
    """Seconds of its life in which a connection is not chosen to go, so that a crowd does not drown a caller."""
    connections: int = 900
    """Open connections at most; further ones are closed at once."""
    sockets: int = 512
    """Open WebSockets at most, beside the connections; further ones are refused."""


class Crowd:
    """The open connections of one server, oldest first, and which of them still owe a whole request."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[Guard, None] = {}
        self._waiting: dict[Guard, float] = {}
        self._sockets: set[asyncio.Transport] = set()
        self._told_s = float("-inf")

    def enter(self, one: Guard) -> bool:
        """Counts a new connection; False: there is no room for it."""
        if len(self._open) >= self.limits.connections and not self._send_one_away(one.loop.time(), grace_s=0.0):
            return False
        self._open[one] = None
        return True

    def leave(self, one: Guard) -> None:
        """Forgets a connection that is closed or has become something else."""
        self._open.pop(one, None)
        self._waiting.pop(one, None)

    def becomes_socket(self, one: Guard) -> bool:
        """Counts a connection as a WebSocket from now on; False: there is no room for it."""
        self._sockets = {other for other in self._sockets if not other.is_closing()}
        if len(self._sockets) >= self.limits.sockets:
            return False
        self._sockets.add(one.transport)
        self.leave(one)
        return True

    def wait(self, one: Guard) -> None:
        """A connection owes a request from now on."""
        now = one.loop.time()
        self._waiting.pop(one, None)  # the newest stands last
        self._waiting[one] = now
        if len(self._waiting) > self.limits.waiting:
            self._send_one_away(now, grace_s=self.limits.grace_s)

    def arrived(self, one: Guard) -> None:
        """A connection has brought its request."""
        self._waiting.pop(one, None)

    def _send_one_away(self, now: float, *, grace_s: float) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None or now - self._waiting[oldest] < grace_s:
            return False
        self.leave(oldest)
        oldest.transport.abort()
        if now - self._told_s > 10:
            self._told_s = now
            log.warning("many connections without a request (%d open); the oldest are closed", len(self._open) + 1)
        return True


class Guard(HttpToolsProtocol):
    """A connection that is given only so much time and room."""

    crowd: ClassVar[Crowd]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection in, or closes it when there is no room."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._rest_bytes = 0
        self._silent_bytes = 0
        self._in_head = True
        self._cycles: list[RequestResponseCycle] = []
        super().connection_made(transport)
        if not self.crowd.enter(self):
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_timers()
        self.crowd.leave(self)
        for cycle in self._cycles:  # uvicorn tells only the last of several requests
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """A caller that closed its half is gone: what it asked for ends."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Takes bytes in, while they stay within the bounds."""
        if self.transport.is_closing():
            return
        if not self._in_head and self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self._rest_bytes += len(data)
            if self._rest_bytes > self.crowd.limits.rest_bytes:
                self.transport.abort()
                return
            # Nobody waits for it: hundreds of such bodies at full speed would take the core that callers need.
            self.transport.pause_reading()
            self.loop.call_later(REST_PAUSE_S, self._read_on)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._expect_head()
        else:
            self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > SILENT_BYTES:
            self.transport.abort()
        elif self._in_head and self._head_bytes > self.crowd.limits.head_bytes and not self.transport.is_closing():
            self._refuse(431, "The request's headers are too large.")

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those that follow a body are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """A request's headers are there: too many of them are refused before anything is looked at."""
        self._in_head = False
        self._head_bytes = self._rest_bytes = self._silent_bytes = 0
        self._stop(("_head_timer",))
        self.crowd.arrived(self)
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        app = self.app
        if len(self.headers) > self.crowd.limits.headers or size > self.crowd.limits.head_bytes:
            self.app = _too_many_headers
        try:
            super().on_headers_complete()
        finally:
            self.app = app
        self._cycles = [cycle for cycle in (*self._cycles, self.cycle) if cycle and not cycle.response_complete]
        # A request that comes before the answer to the last one stops the reading: a caller that then leaves would
        # not be noticed, and what it asked for goes on being paid.
        if self.pipeline:
            self.flow.resume_reading()
            if len(self.pipeline) > 4:
                self.transport.abort()

    def on_response_complete(self) -> None:
        """An answer is out: the rest of a body that nobody read is taken in for a while, then the caller is let go."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.more_body:
            self._unset_keepalive_if_required()
            self._rest_timer = self.loop.call_later(self.crowd.limits.rest_s, self.transport.abort)
        elif not self.pipeline:
            self.crowd.wait(self)
            self._in_head = True

    def on_message_complete(self) -> None:
        """A body is whole."""
        answered = self.cycle is not None and self.cycle.response_complete
        if answered and self.cycle.more_body:
            self.cycle.more_body = False
            self._stop(("_rest_timer",))
            self._expect_head()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket, where there is room for one more."""
        self._stop_timers()
        if self.crowd.becomes_socket(self):
            super().handle_websocket_upgrade()
        else:
            self._refuse(503, "Too many pages are open.")

    def pause_writing(self) -> None:
        """The caller does not read: it has a while to go on."""
        super().pause_writing()
        self._stop(("_unread_timer",))
        self._unread_timer = self.loop.call_later(self.crowd.limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._stop(("_unread_timer",))
        super().resume_writing()

    def _expect_head(self) -> None:
        self._in_head = True
        self.crowd.wait(self)
        self._stop(("_head_timer",))
        self._head_timer = self.loop.call_later(self.crowd.limits.head_s, self._late)

    def _late(self) -> None:
        if self._head_bytes and not self.transport.is_closing():
            self._refuse(408, "The request's headers did not come in time.")
        else:
            self.transport.abort()

    def _refuse(self, status: int, message: str) -> None:
        body = b'{"error":{"code":%d,"message":"%s"}}' % (status, message.encode("ascii"))
        head = b"HTTP/1.1 %d Refused\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, len(body))
        self.transport.write(head + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _stop_timers(self) -> None:
        self._stop(("_head_timer", "_rest_timer", "_unread_timer"))

    def _stop(self, names: tuple[str, ...]) -> None:
        for name in names:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)


async def _too_many_headers(scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    body = b'{"error":{"code":431,"message":"The request\'s headers are too large."}}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def guarded(limits: Limits | None = None) -> type[Guard]:
    """The class of the connections of one server."""
    bounds = limits or Limits(connections=room_for_connections())
    return type("GuardedConnection", (Guard,), {"crowd": Crowd(bounds)})


def room_for_connections() -> int:
    """How many connections the process may hold beside its files: asks the system for more where it gives more."""
    try:
        import resource
    except ImportError:  # not a Unix
        return Limits().connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    free = 4096 if soft == resource.RLIM_INFINITY else soft
    return max(64, min(2048, free - 256))


def config_of(app: ASGIApp, *, limits: Limits | None = None, ws: Any = "none", **settings: Any) -> uvicorn.Config:
    """How a server of ours is run; ws: uvicorn's name of what speaks WebSocket."""
    return uvicorn.Config(
        app,
        http=guarded(limits),
        ws=ws,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        proxy_headers=False,
        timeout_keep_alive=int((limits or Limits()).idle_s),
        timeout_graceful_shutdown=10,
        backlog=BACKLOG,
        **settings,
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; 0 takes a free port. Raises OSError."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    found = socket.socket(family, kind)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError:
        found.close()
        raise
    return found


def run_until_stopped(app: ASGIApp, where: socket.socket) -> None:
    """Serves an app until Ctrl-C or a signal to end."""
    uvicorn.Server(config_of(app)).run(sockets=[where, *(where.dup() for _ in range(LISTENERS - 1))])


def guard_running_server() -> bool:
    """Bounds the connections of the server whose lifespan calls this; False: it is not uvicorn, or another way of it.

    Streamlit starts the app's server and gives no way to choose its protocol.
    """
    task = asyncio.current_task()
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    config = getattr(frame.f_locals.get("self"), "config", None) if frame is not None else None
    if not isinstance(config, uvicorn.Config) or not config.loaded:
        return False
    if not issubclass(config.http_protocol_class, HttpToolsProtocol):
        return False
    config.http_protocol_class = guarded()
    return True
