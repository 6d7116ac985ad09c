"""What a run at work keeps in memory: a lane per contestant, the pace, the limit of calls in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RATE_WINDOW_S = 20.0


@dataclass(slots=True)
class Lane:
    """One contestant of a run at work."""

    index: int
    model: str
    cells: Iterator[int]
    stopped: str = ""
    """Why it gets no further cells."""
    unwell: int = 0
    probes: int = 0
    resume_at: float = 0.0


@dataclass(slots=True)
class LiveRun:
    """What the worker knows and the database does not: for the progress panel."""

    lanes: dict[int, Lane] = field(default_factory=dict)
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=4000))
    note: str = ""
    """What it waits for, in words; empty while it works."""
    notices: list[str] = field(default_factory=list)
    """What went otherwise than asked for, in words; told at the end."""

    def rate(self, now: float) -> float:
        """Cells per second over the last 20 s."""
        # Watchers call from other threads: the copy is one step, a loop over the deque would meet its changes.
        recent = [moment for moment in tuple(self.finished) if moment > now - RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        return len(recent) / max(now - recent[0], 0.2)


class RunGate:
    """The limit of calls in flight of one run; closed for good once the run halts."""

    def __init__(self, places: asyncio.Semaphore, closed: Callable[[], bool]) -> None:
        self._places = places
        self._closed = closed

    async def enter(self) -> bool:
        """Waits for a place; False once the run halts."""
        await self._places.acquire()
        if self._closed():
            self._places.release()
            return False
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._places.release()
