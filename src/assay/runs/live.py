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


class Places:
    """The calls that a run may have in flight; a place that is given back goes to whoever waits longest."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    async def take(self) -> None:
        """Waits for a place."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give(self) -> None:
        """Gives a place back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class RunGate:
    """The limit of calls in flight of one run.

    halted: whether the run halts; nothing passes then, but for a gate that finishes: what is paid for is graded.
    doubtful: whether the run may be another process's by now; nothing passes then.
    on_leave: told how many waited when a call ended.
    """

    def __init__(
        self,
        places: Places,
        halted: Callable[[], bool],
        doubtful: Callable[[], bool],
        *,
        finishes: bool = False,
        on_leave: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._places = places
        self._halted = halted
        self._doubtful = doubtful
        self._finishes = finishes
        self._on_leave = on_leave

    @property
    def closed(self) -> bool:
        """Whether the run halts: nobody waits for a paused model any more."""
        return self._halted()

    async def enter(self) -> bool:
        """Waits for a place; False once the run halts or is in doubt."""
        await self._places.take()
        if (self._halted() and not self._finishes) or self._doubtful():
            self._places.give()
            return False
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._on_leave(self._places.waiting)
        self._places.give()
