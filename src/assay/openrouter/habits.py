"""How a server treats its connections: what was learnt from what it said and from what it did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

KEEPALIVE_S = 60.0
"""Seconds that an idle connection is kept at most."""
PROOF_S = 0.1
"""Seconds that a server's first idle connection is watched before it carries a further request."""
EARLY_S = 0.5
"""A connection that is closed within so many seconds after an answer was not closed for being idle."""
STRIKES = 2
"""Connections that are closed early, one after the other, before none is used again."""
DISTRUST_S = 60.0
"""Seconds for which each request to such a server gets a connection of its own."""
LINGER_S = 1.0
"""Seconds that the end of a body is waited for, when the answer said that it is at its end."""
END_WAIT_S = 0.03
"""Seconds that a request waits for such an end, before it takes a new connection."""
_TIMEOUT = re.compile(rb"timeout\s*=\s*(\d{1,6})")


@dataclass(slots=True)
class Habits:
    """What is known of a server."""

    idle_s: float = KEEPALIVE_S
    """Seconds for which an idle connection is safe to use again."""
    proven: bool = False
    """Whether it was seen to keep a connection open after an answer."""
    finishes: bool = True
    """Whether the end of a body comes soon after the end of the answer in it."""
    _early: int = 0
    _not_before: float = 0.0

    def keeps(self, now: float) -> bool:
        """Whether connections may be used again."""
        return now >= self._not_before

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Takes a server at its word: `Keep-Alive: timeout=5` is too late after four."""
        for name, value in headers:
            if name.lower() == b"keep-alive" and (found := _TIMEOUT.search(value)):
                self.idle_s = min(self.idle_s, int(found[1]) * 0.8)

    def closed(self, idle_since: float, now: float) -> None:
        """The server closed an idle connection."""
        idle = now - idle_since
        if idle > EARLY_S:
            self._early, self.idle_s = 0, min(self.idle_s, idle / 2)
            return
        self.proven, self._early = False, self._early + 1
        if self._early >= STRIKES:
            self._not_before = now + DISTRUST_S

    def lost(self, now: float) -> None:
        """The server closed a connection that was used again, without a word: the request may have come too late."""
        self.proven, self._not_before = False, now + DISTRUST_S
