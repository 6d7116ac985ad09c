"""What the tries after the first may cost, so that what a run is never above counts every try."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from assay.openrouter.retry import RetryBudget


class FirstTries(NamedTuple):
    """Calls of one model, each asked once."""

    model: str
    calls: int
    dearest_pico: int
    """The bound of the dearest of them; 0 where it has none."""


def retry_room(first: Iterable[FirstTries], *, tries: int) -> int:
    """The most that further tries cost, in pico-dollars: as many as the retries of each model are limited to.

    A try that broke off may have been paid and counts at its bound, so a run without this room would pause at its first
    retry where one call is all that it sends. tries: attempts of a call at most, the first included.
    """
    by_model: dict[str, tuple[int, int]] = {}
    for model, calls, dearest in first:
        before, most = by_model.get(model, (0, 0))
        by_model[model] = before + calls, max(most, dearest if calls else 0)
    return sum(min(calls * (tries - 1), RetryBudget().most(calls)) * dearest for calls, dearest in by_model.values())
