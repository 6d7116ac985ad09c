"""Local days: each with the offset that its zone has on it, so that days of 23, 24 and 25 hours are one day each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000
_SLOT_MS = 900_000
_STEP_MS = 7 * DAY_MS
"""No zone changes its offset twice in a week and back."""
_LATEST_MS = 4_102_444_800_000
"""2100: later calls are a broken clock's, and take its offset."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone; without information: the one that the machine is set to."""

    name: str
    info: ZoneInfo | None = None

    def offset_ms(self, at_ms: int) -> int:
        """Local time minus UTC at a moment."""
        moment = datetime.fromtimestamp(min(max(at_ms, 0), _LATEST_MS) / 1000, UTC).astimezone(self.info)
        return (moment.utcoffset() or timedelta()) // timedelta(milliseconds=1)

    def day_of(self, at_ms: int) -> int:
        """The local day of a moment, in days since 1970."""
        return (at_ms + self.offset_ms(at_ms)) // DAY_MS

    def start_ms(self, day: int) -> int:
        """When a local day began, in ms UTC."""
        local = datetime.combine(date(1970, 1, 1) + timedelta(days=day), datetime.min.time(), tzinfo=self.info)
        return int(local.timestamp() * 1000)

    def offsets(self, first_ms: int, last_ms: int) -> Iterator[tuple[int, int]]:
        """(until, offset) of the parts of a time in which the offset is one, in order; the last part's end is open."""
        at, last_ms = max(first_ms, 0), min(last_ms, _LATEST_MS)
        offset = self.offset_ms(at)
        while at < last_ms:
            following = min(at + _STEP_MS, last_ms)
            if (changed := self.offset_ms(following)) != offset:
                until = self._change(at, following)
                yield until, offset
                offset = changed
            at = following
        yield 2**62, offset

    def _change(self, low: int, high: int) -> int:
        """The moment, to a quarter of an hour, at which the offset between two moments changes."""
        before = self.offset_ms(low)
        low, high = low // _SLOT_MS, -(-high // _SLOT_MS)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset_ms(middle * _SLOT_MS) == before:
                low = middle
            else:
                high = middle
        return high * _SLOT_MS


UTC_ZONE = Zone("UTC", ZoneInfo("UTC"))


def zone_of(name: str | None) -> Zone:
    """The zone of an IANA name, such as a browser tells; none, or one that is not known here: the machine's."""
    if name:
        try:
            return Zone(name, ZoneInfo(name))
        except (OSError, ValueError, KeyError):  # a name that is none; ZoneInfoNotFoundError is a KeyError
            pass
    return Zone(time.tzname[time.daylight and time.localtime().tm_isdst > 0])


def today(zone: Zone) -> int:
    """The local day, in days since 1970."""
    return zone.day_of(int(time.time() * 1000))
