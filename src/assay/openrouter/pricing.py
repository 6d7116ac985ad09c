"""Prices of a model: exact cost of a usage, and the provable bound of a request (wire reference 2.2, 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from assay.domain.completion import UNKNOWN_COST, Cost, Usage
from assay.domain.messages import CompletionRequest
from assay.money import to_pico_ceiling, usd
from assay.openrouter.wire_values import MOST_USD, amount_of, count_of, pico_of

_WIRE = {
    "prompt": "prompt",
    "completion": "completion",
    "request": "request",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "reasoning": "internal_reasoning",
    "image": "image",
    "web_search": "web_search",
}
MESSAGE_OVERHEAD = 16
"""Tokens of role marks and separators that a chat template may add per message, at most."""
MEDIA_TOKENS = 16_000
"""Tokens of one image or file part, at most, for the bound."""


@dataclass(frozen=True, slots=True)
class Override:
    """Prices that replace the base while its conditions hold."""

    prices: Mapping[str, Decimal]
    min_prompt_tokens: int | None = None
    """Applies when the prompt has strictly more tokens."""
    utc_start: int | None = None
    utc_end: int | None = None
    """HHMM, half open, may wrap midnight."""
    utc_days: tuple[str, ...] = ()

    def applies(self, prompt_tokens: int, at: datetime) -> bool:
        """Whether every condition holds for a prompt of that many tokens at that moment (UTC)."""
        if self.min_prompt_tokens is not None and prompt_tokens <= self.min_prompt_tokens:
            return False
        moment = at.astimezone(UTC)
        if self.utc_days and moment.strftime("%A").lower() not in self.utc_days:
            return False
        if self.utc_start is None or self.utc_end is None:
            return True
        clock = moment.hour * 100 + moment.minute
        if self.utc_start <= self.utc_end:
            return self.utc_start <= clock < self.utc_end
        return clock >= self.utc_start or clock < self.utc_end


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices in USD per token (per request, per image, per search where named so); None: unknown."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    image: Decimal | None = None
    web_search: Decimal | None = None
    discount: Decimal = Decimal(0)
    """0..1; listed prices are taken as not yet net of it, so it lowers estimates and never bounds."""
    overrides: tuple[Override, ...] = field(default=())
    variable: bool = False
    """The price depends on the model that a router picks ("-1" in the catalogue)."""

    @property
    def known(self) -> bool:
        """Whether tokens can be priced at all."""
        return self.prompt is not None and self.completion is not None

    @property
    def is_free(self) -> bool:
        """Whether prompt, completion and request all cost nothing."""
        return self.prompt == 0 and self.completion == 0 and not self.request

    def at(self, prompt_tokens: int, moment: datetime) -> Pricing:
        """The prices in force: later overrides win, absent keys inherit the base."""
        prices: dict[str, Any] = {}
        for override in self.overrides:
            if override.applies(prompt_tokens, moment):
                prices.update(override.prices)
        return replace(self, **prices) if prices else self

    def dearest(self) -> Pricing:
        """The highest of base and overrides for every price: what a bound must assume."""
        prices: dict[str, Any] = {}
        for override in self.overrides:
            for name, price in override.prices.items():
                prices[name] = max(price, prices.get(name, getattr(self, name) or Decimal(0)))
        return replace(self, **prices) if prices else self


def parse_pricing(raw: Mapping[str, Any]) -> Pricing:
    """The prices of a catalogue row or endpoint; a negative or unreadable price is unknown (None)."""
    prices = {name: amount_of(raw.get(wire)) for name, wire in _WIRE.items()}
    try:
        discount = usd(raw.get("discount") or 0)
    except ValueError:
        discount = Decimal(0)
    overrides = raw.get("overrides")
    return Pricing(
        **prices,
        discount=discount if 0 <= discount <= 1 else Decimal(0),
        overrides=tuple(_overrides(overrides if isinstance(overrides, list) else [])),
        variable=str(raw.get("prompt", "")).startswith("-"),
    )


def _overrides(entries: Iterable[Any]) -> Iterable[Override]:
    known = {wire: name for name, wire in _WIRE.items()}
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        prices = {known[k]: price for k, v in entry.items() if k in known and (price := amount_of(v)) is not None}
        days = entry.get("utc_days")
        yield Override(
            prices,
            min_prompt_tokens=count_of(entry.get("min_prompt_tokens")),
            utc_start=count_of(entry.get("utc_start")),
            utc_end=count_of(entry.get("utc_end")),
            utc_days=tuple(str(day).lower() for day in days) if isinstance(days, list) else (),
        )


def estimate_cost(pricing: Pricing, usage: Usage | None, *, at: datetime | None = None) -> Cost:
    """The cost of a usage by the catalogue's prices; unknown where tokens or prices are.

    (P - C - W) x prompt + C x cache read + W x cache write + T x completion + request, times (1 - discount),
    with P, C, W, T = prompt, cached, cache-written and completion tokens (wire reference 8).
    """
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return UNKNOWN_COST
    price = pricing.at(usage.prompt_tokens, at or datetime.now(UTC))
    if price.prompt is None or price.completion is None:
        return UNKNOWN_COST
    # Parts beyond their whole would lower the bill.
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    written = min(usage.cache_write_tokens or 0, usage.prompt_tokens - cached)
    thought = min(usage.reasoning_tokens or 0, usage.completion_tokens)
    reasoning = price.completion if price.reasoning is None else price.reasoning
    amount = (
        (usage.prompt_tokens - cached - written) * price.prompt
        + cached * (price.prompt if price.cache_read is None else price.cache_read)
        + written * (price.prompt if price.cache_write is None else price.cache_write)
        + (usage.completion_tokens - thought) * price.completion
        + thought * reasoning
        + (price.request or 0)
    )
    pico = pico_of(amount * (1 - price.discount))
    return UNKNOWN_COST if pico is None else Cost(pico, "estimated")


def bound_pico(
    pricing: Pricing | Sequence[Pricing], request: CompletionRequest, *, max_completion_tokens: int
) -> int | None:
    """The most a request can cost in pico-dollars, rounded up; None where any price is unknown, or the bound is absurd.

    A token is never shorter than one UTF-8 byte, so the bytes of the messages bound the prompt tokens; the dearest
    of the given prices and of their overrides is taken, discounts are not. pricing: of every endpoint that routing
    allows. max_completion_tokens: the `max_tokens` that is sent.
    """
    tokens = _prompt_bound(request)
    bounds = [
        _bound_of(price.dearest(), tokens, max_completion_tokens)
        for price in ([pricing] if isinstance(pricing, Pricing) else pricing)
    ]
    known = [bound for bound in bounds if bound is not None]
    if not bounds or len(known) < len(bounds) or max(known) > MOST_USD:
        return None
    return to_pico_ceiling(max(known))


def _prompt_bound(request: CompletionRequest) -> int:
    tokens = MESSAGE_OVERHEAD
    for message in request.messages:
        tokens += MESSAGE_OVERHEAD + len(message.text.encode("utf-8", "replace"))
        if message.extra:
            tokens += len(str(message.extra).encode("utf-8", "replace")) * 2
        if isinstance(message.content, tuple):
            tokens += MEDIA_TOKENS * sum(part.get("type") != "text" for part in message.content)
    for name in ("tools", "response_format"):
        if name in request.params:
            tokens += len(str(request.params[name]).encode("utf-8", "replace")) * 2
    return tokens


def _bound_of(price: Pricing, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
    if price.prompt is None or price.completion is None:
        return None
    dearest_in = max(price.prompt, price.cache_write or Decimal(0))
    dearest_out = max(price.completion, price.reasoning or Decimal(0))
    return prompt_tokens * dearest_in + completion_tokens * dearest_out + (price.request or 0)


def estimate_tokens(text: str) -> int:
    """Tokens to expect for a text: a quarter of its characters in Latin script, about one each beyond; at least 1."""
    wide = sum(ord(character) > 0x2E7F for character in text)
    return max(1, round((len(text) - wide) / 4 + wide * 0.8))


assert {f.name for f in fields(Pricing)} >= set(_WIRE)  # noqa: S101 - every wire price has its field
