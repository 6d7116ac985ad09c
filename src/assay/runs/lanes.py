"""Whose cell comes next: rows outer, contestants inner, and none that waits for its model stands in another's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Lane:
    """One contestant of a run at work."""

    index: int
    model: str
    """Its model id as it is asked for."""
    cells: Iterator[int]
    """Numbers of its missing cells, ascending; read no further than the one that is up next."""
    stopped: str = ""
    """Why it gets no further cells."""
    unwell: int = 0
    probes: int = 0
    resume_at: float = 0.0
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


class Pace(Protocol):
    """How fast models may be asked."""

    def limit(self, model: str) -> int:
        """Calls that a model takes at once."""

    def held_s(self, model: str) -> float:
        """Seconds until it may be asked again."""


class Lanes:
    """The lanes of a run. limit: calls of the run in flight at most."""

    def __init__(self, lanes: Mapping[int, Lane], pace: Pace, *, limit: int) -> None:
        self._lanes = tuple(lanes.values())
        self._pace = pace
        self._limit = limit

    @property
    def open(self) -> bool:
        """Whether any cell is left to be taken, now or later."""
        return any(not lane.stopped and lane.upcoming is not None for lane in self._lanes)

    def next_up(self, now: float) -> Lane | None:
        """The lane with the earliest missing cell among those that may take one now; None: none of them may.

        A lane has as many cells at work as its model takes at once, and some ahead. now: seconds of the loop's clock.
        """
        found: Lane | None = None
        for lane in self._lanes:
            number = lane.upcoming
            if number is None or lane.stopped or lane.resume_at > now:
                continue
            if found is not None and found.upcoming is not None and found.upcoming < number:
                continue
            places = min(self._pace.limit(lane.model), self._limit)
            if lane.working < places + ahead(places) and self._pace.held_s(lane.model) <= 0:
                found = lane
        return found


def ahead(places: int) -> int:
    """Cells asked for beyond the calls in flight, whose intents are being written: answers come in bursts.

    Their intents are durable before there is a place for them, so a crash leaves that many more that may be paid.
    """
    return max(places // 2, places - 64) + 4
