"""A stream passed on as it comes: from the runtime's thread to the server's event loop, event by event.

Relay       one streamed call: first whether there is a stream at all, then its events
waited_for  the outcome of a call, for as long as the caller is there
Streamed    the answer that carries a stream
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from assay.api.bodies import Refused
from assay.api.failing import error_chunk
from assay.api.payloads import dumped
from assay.domain.messages import CompletionRequest
from assay.openrouter.failures import Failure
from assay.openrouter.sse import SSEReader
from assay.runs.dispatch import Outcome
from assay.workbench.gateway.calls import send_completion
from assay.workbench.session import Session

HOLD_S = 2.0
"""Seconds for which signs of life are held back, so that an error before the first event keeps its own status."""
END_S = 5.0
"""Seconds that the end of a stream waits for the ledger."""
DONE = b"[DONE]"
COMMENT = b": OPENROUTER PROCESSING\n\n"
"""The gateway's own sign of life, as its programs know it."""


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_there(work: asyncio.Future[Outcome | None], receive: Receive) -> Outcome | None:
    """What work gives, unless the caller goes away before: then CallerGone."""
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise CallerGone
        if work.cancelled():
            raise Refused(503, "The call was stopped.")
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def waited_for(sent: Future[Outcome], receive: Receive) -> Outcome:
    """The outcome of a call; a caller that goes away stops it, wherever it is. Raises CallerGone."""
    try:
        outcome = await while_there(asyncio.wrap_future(sent), receive)  # type: ignore[arg-type]
    finally:
        sent.cancel()
    assert outcome is not None  # noqa: S101 - a call has an outcome
    return outcome


class Relay:
    """One streamed call. Belongs to the server's event loop; `_take` and `_anew` run on the runtime's.

    `first()` waits until it is known whether there is a stream; then `events()` gives it.
    """

    def __init__(self, session: Session, request: CompletionRequest, tags: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reader = SSEReader()
        self._said = 0
        self._begun = False
        """Whether there is a stream for the caller."""
        self._passed = False
        """Whether an event has gone to the caller: signs of life alone allow a further try."""
        self._told = False
        """Whether the stream itself has said that it failed."""
        self._holding: asyncio.TimerHandle | None = None
        self._sent = send_completion(
            session, request, tags=tags, stream=True, on_bytes=self._take, on_restart=self._anew
        )
        self._sent.add_done_callback(self._end)

    def _take(self, chunk: bytes) -> bool:
        """Takes a piece of the stream; whether any event has gone to the caller, so that no further try may follow."""
        events = self._reader.feed(chunk)
        if not self._passed and events and _is_error(events[0]):
            return False  # the call fails with it: the failure has a status, and may be tried again
        if events:
            self._begun = self._passed = True
        elif not self._begun and self._holding is None:
            self._holding = asyncio.get_running_loop().call_later(HOLD_S, self._hold_no_longer)
        self._tell_life()
        for event in events:
            self._told = self._told or _is_error(event)
            self._put(event)
        return self._passed

    def _tell_life(self) -> None:
        if self._begun and self._reader.comments > self._said:
            self._said = self._reader.comments
            self._put(b"")

    def _hold_no_longer(self) -> None:
        self._begun = self._begun or self._reader.comments > 0
        self._tell_life()

    def _anew(self, _: str) -> None:
        self._reader, self._said = SSEReader(), 0

    def _end(self, _: Future[Outcome]) -> None:
        if self._passed:
            for event in self._reader.close():
                self._put(event)
        self._put(None)

    def _put(self, item: bytes | None) -> None:
        with suppress(RuntimeError):  # the server is gone
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def first(self, receive: Receive) -> Outcome | None:
        """None as soon as there is a stream; the outcome when the call ended without any.

        Raises what the call raised, and CallerGone.
        """
        try:
            return await while_there(asyncio.ensure_future(self._first()), receive)
        except BaseException:
            self.stop()
            raise

    async def _first(self) -> Outcome | None:
        head = await self._queue.get()
        if head is None:
            return await asyncio.wrap_future(self._sent)
        self._head = head
        return None

    async def events(self) -> AsyncIterator[bytes]:
        """The data of the events; an empty one is a sign of life. At the end what the stream does not say itself."""
        item: bytes | None = self._head
        done = False
        while item is not None:
            # The end is held back until the call has ended: what failed after all is not to look whole.
            done = item == DONE
            if not done:
                yield item
            item = await self._next(END_S if done else None)
        failure = self.failure()
        if failure is not None and not self._told:
            yield dumped(error_chunk(failure))
        elif done:
            yield DONE

    async def _next(self, seconds: float | None) -> bytes | None:
        """The next event; None at the end, or when it does not come in time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None

    def stop(self) -> None:
        """Ends the call if it is still under way."""
        self._sent.cancel()

    def failure(self) -> Failure | None:
        """Why the call failed, once it has ended."""
        outcome = self.outcome()
        return outcome.failure if outcome is not None else None

    def outcome(self) -> Outcome | None:
        """How the call ended; None: it broke down or was stopped."""
        if not self._sent.done() or self._sent.cancelled() or self._sent.exception() is not None:
            return None
        return self._sent.result()


def _is_error(event: bytes) -> bool:
    """Whether an event tells of an error, its own or its choice's."""
    if b'"error"' not in event:
        return False  # nearly all
    try:
        found = orjson.loads(event)
        choice = (found.get("choices") or [{}])[0]
        return bool(found.get("error") or choice.get("error") or choice.get("finish_reason") == "error")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return False


async def framed(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Events as they stand on the wire, each in one piece."""
    async for event in events:
        yield b"data: " + event.replace(b"\n", b"\ndata: ") + b"\n\n" if event else COMMENT


class Streamed(Response):
    """An answer that carries a stream; a caller that goes away ends it, whenever that is."""

    def __init__(self, pieces: AsyncIterator[bytes], stop: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(headers={**headers, "X-Accel-Buffering": "no"}, media_type="text/event-stream")
        del self.headers["content-length"]
        self._pieces = pieces
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the stream."""
        gone = asyncio.ensure_future(_until_gone(receive))
        passing = asyncio.ensure_future(self._pass_on(send))
        try:
            await asyncio.wait((gone, passing), return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                passing.result()
        finally:
            self._stop()
            gone.cancel()
            passing.cancel()
            await asyncio.gather(gone, passing, return_exceptions=True)

    async def _pass_on(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
