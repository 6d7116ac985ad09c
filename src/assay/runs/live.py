"""What a run at work keeps in memory: the pace, what it waits for, the limit of calls in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from assay.runs.lanes import Lane

RATE_WINDOW_S = 20.0


@dataclass(slots=True)
class LiveRun:
    """What the worker knows and the database does not: for the progress panel."""

    lanes: dict[int, Lane] = field(default_factory=dict)
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=4000))
    note: str = ""
    """What it waits for to write, in words; empty while it works."""
    silence: str = ""
    """Why the gateway cannot be reached, in words; empty while it can."""
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
    """The limit of calls in flight of one run.

    halted: whether the run halts; nothing passes then, but for a gate that finishes: what is paid for is graded.
    """

    def __init__(self, places: asyncio.Semaphore, halted: Callable[[], bool], *, finishes: bool = False) -> None:
        self._places = places
        self._halted = halted
        self._finishes = finishes

    @property
    def closed(self) -> bool:
        """Whether the run halts: nobody waits for a paused model any more."""
        return self._halted()

    async def enter(self) -> bool:
        """Waits for a place; False once the run halts."""
        await self._places.acquire()
        if self._halted() and not self._finishes:
            self._places.release()
            return False
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._places.release()
