"""What is counted once for all who look at it: several pages, tabs and threads share one counting.

A module that counts names a kind and asks for its memo for it:

    STANDINGS: Kind[Standing] = Kind("standings", kept=32)
    session.memos.of(STANDINGS).get(run_id, count, state=state)
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class Kind(Generic[V]):
    """One kind of thing that is counted."""

    name: str
    kept: int
    """Values that are kept at most; the one longest unasked for goes first."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """How long a value may be shown although what it was counted from has changed since."""

    least_s: float
    share: int
    """Counting takes at most one part in so many of the time."""

    def until(self, started: float) -> float:
        """The end of its time, for a counting that began at `started` and ends now (monotonic clock)."""
        now = time.monotonic()
        return now + max(self.least_s, self.share * (now - started))


@dataclass(slots=True)
class _Entry(Generic[V]):
    counting: threading.Lock = field(default_factory=threading.Lock)
    value: V | None = None
    state: object = None
    until: float = 0.0
    is_counted: bool = False


class Memo(Generic[V]):
    """Values by key, each counted by one thread at a time."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry[V]] = OrderedDict()

    def get(
        self, key: Hashable, count: Callable[[V | None], V], *, state: object = None, fresh: Fresh | None = None
    ) -> V:
        """The value of a key, counted where there is none yet or where it was counted from another state.

        count: takes the value counted before, or None; what it raises is raised to who asked, and nothing is kept.
        state: what the value follows from. fresh: for a state that changes all the time; whoever asks while another
        thread counts takes the value before.
        """
        entry = self._entry(key)
        if fresh is not None and entry.is_counted and entry.counting.locked():
            return entry.value  # type: ignore[return-value]  # it is counted
        with entry.counting:
            if entry.is_counted and (entry.state == state or (fresh is not None and time.monotonic() < entry.until)):
                return entry.value  # type: ignore[return-value]  # it is counted
            started = time.monotonic()
            value = count(entry.value)
            entry.value, entry.state, entry.is_counted = value, state, True
            entry.until = fresh.until(started) if fresh is not None else 0.0
            return value

    def _entry(self, key: Hashable) -> _Entry[V]:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._kept:
                self._entries.popitem(last=False)
            return entry

    def forget(self, key: Hashable) -> None:
        """Counts the value of a key anew at the next look."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Counts everything anew at the next look."""
        with self._lock:
            self._entries.clear()


class Memos:
    """The memos of a runtime, by kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memos: dict[str, Memo[Any]] = {}

    def of(self, kind: Kind[V]) -> Memo[V]:
        """The memo of a kind."""
        with self._lock:
            return self._memos.setdefault(kind.name, Memo(kind.kept))
