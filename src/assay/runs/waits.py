"""How long a run waits before it looks or tries again: settings, so that tests need not wait (config.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds."""

    batch_poll_s: float
    """Before the gateway's batch is first looked after."""
    probe_s: tuple[float, ...]
    """A contestant's pauses after it kept failing, one after another; none: it is given up at once."""
    unreachable_s: float
    """How long a gateway that cannot be reached is waited for before the run pauses."""
    close_s: float
    """How long calls in flight may take to end when the app is closed."""
