"""How many calls a model takes at once: adaptive, per model (DESIGN 4).

The limit starts low and doubles with every clean round, then grows by 5 % while it is used; a 429 cuts it to 0.8
at most once per 15 s and holds the whole model for as long as the gateway asks; server errors pause the growth.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.openrouter.failures import Failure

START = 20
CEILING = 512
CUT = 0.8
DEBOUNCE_S = 15.0
GROWTH_PAUSE_S = 5.0
SATURATED = 0.8
FREE_PER_MINUTE = 20
DEFAULT_PAUSE_S = 2.0
_LIMITED = frozenset({"rate_limit_free_minute", "rate_limit_provider", "in_flight_budget", "overloaded"})
_UNWELL = frozenset({"server", "provider_unavailable", "timeout", "edge", "reset", "connection"})


@dataclass(frozen=True, slots=True)
class PaceState:
    """How a model is doing: what the progress panel shows."""

    limit: int
    in_flight: int
    paused_s: float
    """Seconds until it goes on; 0 when it is not paused."""
    reason: str


class _Waiter(NamedTuple):
    place: asyncio.Future[bool]
    owner: object


@dataclass(slots=True)
class _Lane:
    limit: float = START
    ceiling: int = CEILING
    in_flight: int = 0
    peak: int = 0
    clean: int = 0
    slow_start: bool = True
    paused_until: float = 0.0
    no_growth_until: float = 0.0
    cut_at: float = float("-inf")
    reason: str = ""
    per_minute: int | None = None
    starts: deque[float] = field(default_factory=deque)
    waiters: deque[_Waiter] = field(default_factory=deque)
    history: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=600))
    timer: asyncio.TimerHandle | None = None


class Pacer:
    """Slots per model. All its methods belong to one event loop.

    ceiling: calls in flight per model at most. per_minute: most calls per minute by model id, `*` for every other.
    pause_s: how long a model rests after a 429 that names no time. clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        ceiling: int = CEILING,
        per_minute: Mapping[str, int] | None = None,
        pause_s: float = DEFAULT_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ceiling = ceiling
        self._per_minute = per_minute or {}
        self._pause_s = pause_s
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}

    def _lane(self, model: str) -> _Lane:
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = _Lane(limit=min(START, self._ceiling), ceiling=self._ceiling)
            lane.per_minute = self.rate(model)
            lane.history.append((self._clock(), int(lane.limit)))
        return lane

    def rate(self, model: str) -> int | None:
        """Most calls per minute to a model; None: no limit is known."""
        limits = [self._per_minute.get(model, self._per_minute.get("*"))]
        limits.append(FREE_PER_MINUTE if model.endswith(":free") else None)
        return min((limit for limit in limits if limit is not None), default=None)

    def held_s(self, model: str) -> float:
        """Seconds until the model may be asked again; 0: now, as far as its limit allows."""
        return self._hold_s(self._lane(model))

    def limit(self, model: str) -> int:
        """Calls that the model takes at once, as far as is known now."""
        return int(self._lane(model).limit)

    async def enter(self, model: str, *, owner: object = None) -> bool:
        """Takes a place among the calls to a model; waits for one in order of asking. False: the owner was let go."""
        lane = self._lane(model)
        if not lane.waiters and self._may_start(lane):
            self._count(lane)
            return True
        waiter = _Waiter(asyncio.get_running_loop().create_future(), owner)
        lane.waiters.append(waiter)
        self._wake(lane)
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled():
                lane.in_flight -= int(waiter.place.result())
            elif waiter in lane.waiters:
                lane.waiters.remove(waiter)
            self._wake(lane)
            raise

    def let_go(self, owner: object, *, held_only: bool = False) -> None:
        """Ends the waiting of an owner's calls; held_only: only where the model is paused."""
        for lane in self._lanes.values():
            if held_only and self._hold_s(lane) <= 0:
                continue
            for waiter in [waiter for waiter in lane.waiters if waiter.owner is owner]:
                lane.waiters.remove(waiter)
                if not waiter.place.done():
                    waiter.place.set_result(False)

    def leave(self, model: str) -> None:
        """Gives a place back."""
        lane = self._lanes[model]
        lane.in_flight -= 1
        self._wake(lane)

    def _count(self, lane: _Lane) -> None:
        lane.in_flight += 1
        lane.peak = max(lane.peak, lane.in_flight)
        if lane.per_minute is not None:
            lane.starts.append(self._clock())

    def _may_start(self, lane: _Lane) -> bool:
        return lane.in_flight < int(lane.limit) and self._hold_s(lane) <= 0

    def _hold_s(self, lane: _Lane) -> float:
        """Seconds until the model may be asked again, because of a pause or its requests per minute."""
        now = self._clock()
        hold = lane.paused_until - now
        if lane.per_minute is not None:
            while lane.starts and lane.starts[0] <= now - 60:
                lane.starts.popleft()
            if len(lane.starts) >= lane.per_minute:
                hold = max(hold, lane.starts[0] + 60 - now)
        return max(0.0, hold)

    def _wake(self, lane: _Lane) -> None:
        while lane.waiters and self._may_start(lane):
            place = lane.waiters.popleft().place
            if not place.done():
                self._count(lane)
                place.set_result(True)
        hold = self._hold_s(lane)
        if lane.waiters and hold > 0 and lane.timer is None:
            lane.timer = asyncio.get_running_loop().call_later(hold + 0.001, self._expired, lane)

    def _expired(self, lane: _Lane) -> None:
        lane.timer = None
        self._wake(lane)

    def report(self, model: str, failure: Failure | None) -> None:
        """Learns from a finished attempt: None for a success."""
        lane, now = self._lane(model), self._clock()
        if failure is None:
            self._grow(lane, now)
        elif failure.kind in _LIMITED:
            self._hold(lane, now, failure)
        elif failure.kind in _UNWELL:
            lane.no_growth_until = max(lane.no_growth_until, now + GROWTH_PAUSE_S)
            lane.clean = 0
        self._wake(lane)

    def _grow(self, lane: _Lane, now: float) -> None:
        if now < max(lane.no_growth_until, lane.paused_until):
            return
        if lane.paused_until <= now:
            lane.reason = ""
        lane.clean += 1
        if lane.clean < max(int(lane.limit), 4) // (2 if lane.slow_start else 1):
            return
        if lane.peak >= SATURATED * int(lane.limit):
            lane.limit = min(
                lane.ceiling, lane.limit * 2 if lane.slow_start else max(lane.limit + 1, lane.limit * 1.05)
            )
            lane.history.append((now, int(lane.limit)))
        lane.clean, lane.peak = 0, lane.in_flight

    def _hold(self, lane: _Lane, now: float, failure: Failure) -> None:
        wait = failure.retry_after_s if failure.retry_after_s is not None else self._pause_s
        if failure.kind == "rate_limit_free_minute":
            wait = min(wait, 61.0)
        lane.paused_until = max(lane.paused_until, now + min(wait, 3600.0))
        lane.reason = failure.message
        if now - lane.cut_at >= max(DEBOUNCE_S, 0.0):
            lane.limit = max(1.0, lane.limit * CUT)
            lane.slow_start = False
            lane.cut_at = now
            lane.history.append((now, int(lane.limit)))
        lane.clean = 0
        lane.no_growth_until = max(lane.no_growth_until, lane.paused_until)

    def state(self, model: str) -> PaceState:
        """How a model is doing now; one that was never asked has its starting limit."""
        lane = self._lanes.get(model)
        if lane is None:
            return PaceState(min(START, self._ceiling), 0, 0.0, "")
        hold = self._hold_s(lane)
        return PaceState(int(lane.limit), lane.in_flight, hold, lane.reason if hold > 0 else "")

    def history(self, model: str) -> list[tuple[float, int]]:
        """(seconds by the clock, limit) at each change, oldest first; at most 600."""
        lane = self._lanes.get(model)
        return list(lane.history) if lane else []
