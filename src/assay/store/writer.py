"""One thread does all writes, and commits what has gathered in one transaction (group commit)."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from assay.errors import AssayError, StoreError

T = TypeVar("T")
Operation = Callable[[Connection], Any]
Bulk = Callable[[Connection, Sequence[Any]], Sequence[Exception | None]]
"""Does many items at once; for each item None, or the AssayError that refuses it (then nothing of it was written)."""
BATCH = 500
"""Operations in one transaction at most."""
GATHER_S = 0.03
"""Seconds between two transactions under load: what comes meanwhile shares the next. A lone write does not wait."""
LOCKED_PATIENCE_S = 120.0
"""How long a locked database is waited for."""
LOCKED_LOOK_S = 0.05
TOLD_AFTER_S = 1.0
"""How long a locked database is waited for without a word."""
WAITING = "Waiting for the database: another program holds it locked."


class Patience:
    """How long a locked database is waited for. on_wait: told once each time that it is."""

    def __init__(self, seconds: float = LOCKED_PATIENCE_S, on_wait: Callable[[str], None] | None = None) -> None:
        self.seconds = seconds
        self._on_wait = on_wait

    def through(self, work: Callable[[], T]) -> T:
        """What work gives, tried again while the database is locked. Raises what the last try raised."""
        started, told = time.monotonic(), False
        while True:
            try:
                return work()
            except DBAPIError as error:
                waited = time.monotonic() - started
                if not is_locked(error):
                    raise
                # One try may take longer than all of the patience: the words come first.
                if self._on_wait is not None and not told and waited > TOLD_AFTER_S:
                    told = True
                    self._on_wait(WAITING)
                if waited > self.seconds:
                    raise
            time.sleep(LOCKED_LOOK_S)


class Writer:
    """Queues operations; each gets its own result or error.

    An operation must check before it writes: an AssayError that it raises fails only itself and keeps its writes out
    by not having made any. Any other error undoes the whole batch, whose operations are then tried one by one.
    """

    def __init__(self, engine: Engine, *, patience: Patience | None = None) -> None:
        self._engine = engine
        self._patience = patience or Patience()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="assay-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def submit(self, operation: Callable[[Connection], T]) -> Future[T]:
        """Queues an operation; its future is done when its transaction is durable."""
        future: Future[T] = Future()
        self._enqueue(_Item(operation, None, None, future))
        return future

    def ask(self, operation: Callable[[Connection], T]) -> asyncio.Future[T]:
        """As `submit`, for callers on an event loop, who are told of a whole transaction in one step."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(_Item(operation, None, None, future))
        return future

    def ask_item(self, bulk: Bulk, item: object) -> asyncio.Future[None]:
        """As `ask`, for an item of a bulk operation, which gets all items of one transaction at once."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enqueue(_Item(None, bulk, item, future))
        return future

    def _enqueue(self, item: _Item) -> None:
        if self._closed:
            raise StoreError("The database is closed.")
        self._queue.put(item)

    def call(self, operation: Callable[[Connection], T]) -> T:
        """Does an operation and waits until it is durable."""
        return self.submit(operation).result()

    def close(self) -> None:
        """Finishes what is queued and ends the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        gathered = 0.0
        while True:
            first = self._queue.get()
            if first is not None and (wait := gathered - time.monotonic()) > 0:
                time.sleep(wait)
            gathered = time.monotonic() + GATHER_S
            batch = [] if first is None else [first]
            ended = first is None
            while len(batch) < BATCH and not ended:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    ended = True
                else:
                    batch.append(item)
            if batch:
                self._commit(_by_bulk(batch))
            if ended:
                return

    def _commit(self, batch: list[_Item]) -> None:
        for item in batch:
            future = item.future
            if isinstance(future, Future) and not future.running() and not future.cancelled():
                future.set_running_or_notify_cancel()  # from here on it cannot be cancelled
        try:
            outcomes = self._patiently(batch)
        except Exception as error:  # noqa: BLE001 - the writer must outlive every operation; the error goes to its caller
            if len(batch) > 1:
                for item in batch:
                    self._commit([item])
                return
            outcomes = [_Outcome(None, as_store_error(error))]
        _tell(batch, outcomes)

    def _patiently(self, batch: list[_Item]) -> list[_Outcome]:
        """One transaction; a locked database is waited for while the callers wait."""

        def once() -> list[_Outcome]:
            with self._engine.begin() as connection:
                return _outcomes(batch, connection)

        return self._patience.through(once)


class _Item(NamedTuple):
    operation: Operation | None
    bulk: Bulk | None
    item: Any
    future: Future[Any] | asyncio.Future[Any]


class _Outcome(NamedTuple):
    value: Any
    failure: Exception | None


def _tell(batch: Iterable[_Item], outcomes: Iterable[_Outcome]) -> None:
    """Hands the outcomes to those who wait: threads one by one, each event loop all of its own in one step."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], _Outcome]]] = {}
    for item, outcome in zip(batch, outcomes, strict=True):
        if isinstance(item.future, Future):
            _settle(item.future, outcome)
        else:
            loops.setdefault(item.future.get_loop(), []).append((item.future, outcome))
    for loop, told in loops.items():
        with suppress(RuntimeError):  # a loop that was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, told)


def _settle_all(told: Iterable[tuple[asyncio.Future[Any], _Outcome]]) -> None:
    for future, outcome in told:
        _settle(future, outcome)


def _settle(future: Future[Any] | asyncio.Future[Any], outcome: _Outcome) -> None:
    if future.cancelled():
        return  # nobody waits any more; what was asked is written all the same
    if outcome.failure is not None:
        future.set_exception(outcome.failure)
    else:
        future.set_result(outcome.value)


def _outcomes(batch: list[_Item], connection: Connection) -> list[_Outcome]:
    """The outcome of every item in order; neighbours with one bulk operation are done together."""
    found: list[_Outcome] = []
    start = 0
    while start < len(batch):
        head = batch[start]
        if head.operation is not None:
            found.append(_outcome(head.operation, connection))
            start += 1
            continue
        end = start
        while end < len(batch) and batch[end].bulk is head.bulk:
            end += 1
        assert head.bulk is not None  # noqa: S101 - an item has an operation or a bulk
        found += [_Outcome(None, error) for error in head.bulk(connection, [item.item for item in batch[start:end]])]
        start = end
    return found


def _by_bulk(batch: list[_Item]) -> list[_Item]:
    """The batch with bulk items gathered behind the plain operations, in the order of their bulks' first items.

    A caller waits for each of its writes before the next, so two items of one batch never depend on each other.
    """
    firsts: dict[Any, int] = {}
    for item in batch:
        if item.bulk is not None:
            firsts.setdefault(item.bulk, len(firsts))
    return sorted(batch, key=lambda item: -1 if item.bulk is None else firsts[item.bulk])


def _outcome(operation: Operation, connection: Connection) -> _Outcome:
    try:
        return _Outcome(operation(connection), None)
    except AssayError as error:
        return _Outcome(None, error)


def is_locked(error: BaseException) -> bool:
    """Whether another connection holds what was asked for: it is tried again."""
    said = str(getattr(error, "orig", ""))
    return "locked" in said or "lock timeout" in said or "deadlock detected" in said


def as_store_error(error: Exception, refused: str = "a change") -> Exception:
    """A database error in words; any other error as it is. refused: what the database would not do."""
    if isinstance(error, PoolTimeout):
        return StoreError("Too many readers use the database at once.", cure="Try again in a moment.")
    if not isinstance(error, DBAPIError):
        return error
    said = str(error.orig)
    if "full" in said or "disk I/O" in said or "No space left" in said:
        return StoreError("The disk is full: nothing could be written.", cure="Free some space; nothing is lost.")
    if is_locked(error):
        return StoreError("Another program holds the database locked.", cure="Close it; the work then goes on.")
    if "unable to open" in said:
        return StoreError("The database file cannot be opened.", cure="Check that it is there, and its permissions.")
    if "malformed" in said or "not a database" in said:
        return StoreError(f"The database file is damaged: {said[:200]}.", cure="Restore it from a copy.")
    if "readonly" in said:
        return StoreError("The database file is read-only.", cure="Check its permissions and its folder's.")
    return StoreError(f"The database refused {refused}: {said[:200]}.")
