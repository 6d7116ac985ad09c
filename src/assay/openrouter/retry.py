"""When a failed call is sent again: our only retry loop's policy (wire reference 6.6)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from assay.openrouter.failures import Failure

_ONCE = frozenset({"empty"})
"""Kinds that are tried again once only."""


def is_free(failure: Failure) -> bool:
    """Whether a failure surely cost nothing and the gateway said when to come back: a wait, not a try."""
    told = failure.retry_after_s is not None or failure.kind == "in_flight_budget"
    return failure.retry and failure.billed == "no" and told


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how long a failed call is tried again."""

    max_attempts: int = 4
    """Attempts in all, the first included."""
    max_waits: int = 20
    """Waits that the gateway asked for and that cost nothing; they are no attempts in this count."""
    base_s: float = 0.5
    cap_s: float = 60.0
    longest_hint_s: float = 120.0
    """A longer hint is not waited for: the call gives up and the model stays parked."""
    total_s: float = 900.0
    """Seconds since the first attempt after which none is started."""

    def delay_s(
        self, failure: Failure, *, attempt: int, elapsed_s: float = 0.0, rng: random.Random | None = None
    ) -> float | None:
        """Seconds to wait before the next attempt; None: give up.

        attempt: the one that just failed, from 1, without those that were waits (0: there were only such). Full
        jitter: uniform in 0..base x 2^(attempt-1), capped.
        """
        if not failure.retry or attempt >= self.max_attempts:
            return None
        if failure.kind in _ONCE and attempt >= 2:
            return None
        if failure.retry_after_s is not None:
            if failure.retry_after_s > self.longest_hint_s:
                return None
            delay = failure.retry_after_s
        else:
            ceiling = min(self.cap_s, self.base_s * 2 ** max(0, attempt - 1))
            delay = (rng.uniform if rng else random.uniform)(0, ceiling)
        return delay if elapsed_s + delay <= self.total_s else None


@dataclass(slots=True)
class RetryBudget:
    """Keeps the retries of a model below a share of its first attempts, so that an outage cannot double the bill."""

    share: float = 0.1
    burst: float = 10.0
    """Retries allowed before any first attempt has earned them."""
    _tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def most(self, calls: int) -> int:
        """Retries of so many first attempts at most, where none were earned before."""
        return int(self.burst + self.share * calls)

    def earn(self) -> None:
        """Counts a first attempt."""
        self._tokens = min(self.burst + 1000, self._tokens + self.share)

    def take(self) -> bool:
        """Whether a retry is allowed; it is then counted."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
