"""Whose cell comes next: rows outer, contestants inner, and none that waits for its model stands in another's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

UNWELL_LIMIT = 5
"""Cells of a contestant that fail, being more than half of its latest, before it is paused and probed."""
UNWELL_S = 30.0
UNWELL_CELLS = 200
"""How far back its latest cells reach."""


@dataclass(slots=True)
class Lane:
    """One contestant of a run at work."""

    index: int
    model: str
    """Its model id as it is asked for."""
    cells: Iterator[int]
    """Numbers of its missing cells in the order in which they are asked; read no further than the one up next."""
    stopped: str = ""
    """Why it gets no further cells."""
    recent: deque[tuple[float, bool]] = field(default_factory=deque)
    """(when, whether it was answered) of its latest cells, those that failed for good reasons left out."""
    probes: int = 0
    """How often it was paused since it last answered."""
    resume_at: float = 0.0
    """Until when it is paused, by the loop's clock."""
    resting: str = ""
    """Why it is, or was last, paused."""
    working: int = 0
    """Cells of it that are asked for, or soon will be."""
    _peeked: bool = False
    _upcoming: int | None = None

    @property
    def upcoming(self) -> int | None:
        """Its next missing cell; None: there is none left."""
        if not self._peeked:
            self._upcoming, self._peeked = next(self.cells, None), True
        return self._upcoming

    def take(self) -> int:
        """Its next missing cell, which is asked for now."""
        number = self.upcoming
        assert number is not None  # noqa: S101 - whoever takes has looked
        self._peeked = False
        self.working += 1
        return number

    def answered(self, now: float) -> None:
        """Notes an answer: whatever it was paused for is over."""
        if self.probes:
            self.probes = 0
            self.recent.clear()
        self._note(now, True)

    def failed(self, why: str, *, now: float, waits_s: Sequence[float]) -> None:
        """Notes a cell that failed for reasons that another try can cure.

        Once UNWELL_LIMIT of them, and more than half of its cells, failed within UNWELL_S, the contestant is paused,
        then tried with a single cell, and given up when that fails after the last of the waits.
        """
        self._note(now, False)
        failures = sum(not answered for _, answered in self.recent)
        unwell = self.probes > 0 or (failures >= UNWELL_LIMIT and 2 * failures > len(self.recent))
        if not unwell or self.resume_at > now:
            return
        if self.probes >= len(waits_s):
            self.stopped = f"It kept failing. {why}"
            return
        self.resume_at = now + waits_s[self.probes]
        self.resting = why
        self.probes += 1

    def _note(self, now: float, answered: bool) -> None:
        self.recent.append((now, answered))
        while len(self.recent) > UNWELL_CELLS or self.recent[0][0] < now - UNWELL_S:
            self.recent.popleft()


class Pace(Protocol):
    """How fast models may be asked."""

    def limit(self, model: str) -> int:
        """Calls that a model takes at once."""

    def held_s(self, model: str) -> float:
        """Seconds until it may be asked again."""


class Lanes:
    """The lanes of a run. limit: calls of the run in flight at most; first: cells that are asked before all others."""

    def __init__(
        self, lanes: Mapping[int, Lane], pace: Pace, *, limit: int, first: frozenset[int] = frozenset()
    ) -> None:
        self._first = first
        self._lanes = tuple(lanes.values())
        self._pace = pace
        self._limit = limit
        self._ahead = float(ahead(limit))
        self._working = 0

    def take(self, lane: Lane) -> int:
        """The lane's next missing cell, which is asked for now."""
        self._working += 1
        return lane.take()

    def ended(self, lane: Lane) -> None:
        """Notes that a cell is asked for no more: it is answered, failed or left open."""
        self._working -= 1
        lane.working -= 1

    def place_left(self, waiting: int) -> None:
        """Learns how many cells ahead it takes that no place stays empty, as the disk is quick or slow.

        waiting: cells whose intents stood ready when a call ended.
        """
        if waiting == 0:
            self._ahead = min(2.0 * self._limit, self._ahead + 1)
        elif waiting > self._ahead / 2:
            self._ahead = max(float(ahead(self._limit)), self._ahead - 0.1)

    @property
    def open(self) -> bool:
        """Whether any cell is left to be taken, now or later."""
        return any(not lane.stopped and lane.upcoming is not None for lane in self._lanes)

    def next_up(self, now: float) -> Lane | None:
        """The lane with the earliest missing cell among those that may take one now; None: none of them may.

        The run has as many cells at work as it may have calls in flight, and some ahead; a lane as many as its model
        takes at once, and some ahead; one that was paused because it kept failing has one, until that is answered.
        now: seconds of the loop's clock.
        """
        found: Lane | None = None
        earliest: tuple[bool, int] | None = None
        if self._working >= self._limit + self._ahead:
            return None
        for lane in self._lanes:
            number = lane.upcoming
            if number is None or lane.stopped or lane.resume_at > now:
                continue
            turn = (number not in self._first, number)
            if earliest is not None and earliest < turn:
                continue
            places = min(self._pace.limit(lane.model), self._limit)
            most = 1 if lane.probes else places + ahead(places)
            if lane.working < most and self._pace.held_s(lane.model) <= 0:
                found, earliest = lane, turn
        return found


def ahead(places: int) -> int:
    """Cells asked for beyond the calls in flight, at first: their intents are being written.

    Their intents are durable before there is a place for them, so a crash leaves that many more that may be paid.
    """
    return places // 3 + 4
