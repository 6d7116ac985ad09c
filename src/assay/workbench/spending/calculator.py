"""What calls of a given size cost at a model's listed prices, without a run.

price        the bill of one call's amounts, times a number of calls, line by line
Priced       what it comes to, and at which prices
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from assay.errors import DataError, NotFound
from assay.openrouter.pricing import Amounts, Bill, itemised
from assay.workbench.gateway.catalogue import nearest_models

if TYPE_CHECKING:
    from assay.openrouter.catalogue import Model
    from assay.workbench.session import Session

MOST_CALLS = 10**9
_PARTS = {
    "cached": "prompt",
    "cache_written": "prompt",
    "cache_written_1h": "prompt",
    "audio": "prompt",
    "reasoning": "completion",
    "audio_output": "completion",
}
"""Amounts that are counted within another."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What calls cost by the list of the catalogue."""

    model: Model
    used: Amounts
    calls: int
    bill: Bill
    """Of one call."""

    @property
    def total_usd(self) -> Decimal | None:
        """Exact, of all calls; None where a price that was used is not known."""
        return None if self.bill.total_usd is None else self.bill.total_usd * self.calls

    @property
    def is_long_context(self) -> bool:
        """Whether the prompt is so long that other prices hold than for a short one."""
        tiers = [o.min_prompt_tokens for o in self.model.pricing.overrides if o.min_prompt_tokens is not None]
        return any(self.used.prompt > tier for tier in tiers)


def price(session: Session, model_id: str, used: Amounts, *, calls: int = 1, at: datetime | None = None) -> Priced:
    """What calls cost at the catalogue's prices, which are those of the model's first provider.

    used: of one call. at: the moment, for prices that depend on the hour; now when None. Raises NotFound for a model
    that the catalogue does not list, DataError for amounts that cannot be.
    """
    model = session.dispatcher.prices.model(model_id)
    if model is None:
        near = nearest_models(session, model_id)
        raise NotFound(
            f"There is no model {model_id!r} on this gateway.",
            cure=f"Did you mean {' or '.join(near)}?" if near else "`assay models` lists them.",
        )
    if problems := list(_problems(used, calls)):
        raise DataError(" ".join(problems))
    return Priced(model, used, calls, itemised(model.pricing, used, at=at))


def _problems(used: Amounts, calls: int) -> Iterator[str]:
    if not 1 <= calls <= MOST_CALLS:
        yield f"Calls must be within 1 to {MOST_CALLS:,}."
    for name in Amounts.__slots__:
        if getattr(used, name) < 0:
            yield f"{name} is {getattr(used, name):,}; nothing is used less than 0 times."
    for whole in ("prompt", "completion"):
        parts = sum(getattr(used, part) for part, of in _PARTS.items() if of == whole)
        if parts > getattr(used, whole):
            yield f"The parts of the {whole} are {parts:,} tokens, more than its {getattr(used, whole):,}."
