"""Prices of a model, and what a usage costs by them, exactly (wire reference 2.2, 8); bounds stand in bounds.py.

Pricing        the prices of a catalogue row or endpoint; what could not be read of them is named, never taken for 0
Amounts        what a call used, by every price key
itemised       the bill of amounts, line by line
estimate_cost  the same for the usage that an answer told
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from assay.domain.completion import UNKNOWN_COST, Cost, Usage
from assay.openrouter.wire_values import amount_of, count_of, pico_of

_WIRE = {
    "prompt": "prompt",
    "completion": "completion",
    "request": "request",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
    "reasoning": "internal_reasoning",
    "image": "image",
    "image_token": "image_token",
    "image_output": "image_output",
    "audio": "audio",
    "audio_output": "audio_output",
    "audio_cache": "input_audio_cache",
    "web_search": "web_search",
}
_NAMES = {wire: name for name, wire in _WIRE.items()}
_CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end", "utc_days"})


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
    """Of what is kept for five minutes."""
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    image: Decimal | None = None
    """Per picture that is sent, beside its tokens."""
    image_token: Decimal | None = None
    image_output: Decimal | None = None
    audio: Decimal | None = None
    audio_output: Decimal | None = None
    audio_cache: Decimal | None = None
    web_search: Decimal | None = None
    discount: Decimal = Decimal(0)
    """0..1; listed prices are taken as not yet net of it, so it lowers estimates and never bounds."""
    overrides: tuple[Override, ...] = field(default=())
    variable: bool = False
    """The price depends on the model that a router picks ("-1" in the catalogue)."""
    unclear: tuple[str, ...] = ()
    """Wire names of prices that are listed and cannot be told: negative, unreadable, or of a key that is not known."""

    @property
    def known(self) -> bool:
        """Whether tokens can be priced at all."""
        return self.prompt is not None and self.completion is not None

    @property
    def is_free(self) -> bool:
        """Whether nothing that is listed costs anything."""
        listed = (getattr(self, name) for name in _WIRE)
        return self.prompt == 0 and self.completion == 0 and not self.unclear and not any(listed)

    def at(self, prompt_tokens: int, moment: datetime) -> Pricing:
        """The prices in force: later overrides win, absent keys inherit the base."""
        prices: dict[str, Any] = {}
        for override in self.overrides:
            if override.applies(prompt_tokens, moment):
                prices.update(override.prices)
        return replace(self, **prices) if prices else self

    def dearest(self, name: str) -> Decimal | None:
        """The highest that a price is, over base and overrides; None where it is listed nowhere."""
        listed = [getattr(self, name), *(override.prices.get(name) for override in self.overrides)]
        return max((price for price in listed if price is not None), default=None)


def parse_pricing(raw: object) -> Pricing:
    """The prices of a catalogue row or endpoint; a negative or unreadable price is unknown (None) and named.

    No list: no prices. What is no list of prices at all is named as a whole.
    """
    if not isinstance(raw, Mapping):
        return Pricing(unclear=("pricing",) if raw else ())
    prices = {name: amount_of(raw.get(wire)) for name, wire in _WIRE.items()}
    unclear = [key for key, value in raw.items() if key not in ("discount", "overrides") and _is_unclear(key, value)]
    discount = _share(raw.get("discount"))
    if discount is None:
        unclear.append("discount")
    given = raw.get("overrides")
    entries = given if isinstance(given, list) else []
    if given is not None and not isinstance(given, list):
        unclear.append("overrides")
    for entry in entries:
        unclear += _unclear_of(entry)
    return Pricing(
        **prices,
        discount=discount or Decimal(0),
        overrides=tuple(_overrides(entries)),
        variable=str(raw.get("prompt", "")).strip().startswith("-"),
        unclear=tuple(dict.fromkeys(unclear)),
    )


def _is_unclear(key: str, value: Any) -> bool:
    """Whether a listed price could be more than what is known of it. An unknown key that costs nothing is clear."""
    if value is None:
        return False
    amount = amount_of(value)
    return amount is None or (key not in _NAMES and amount != 0)


def _share(value: Any) -> Decimal | None:
    """A share of 0 to 1; absent: 0. None for anything else: a negative discount would be a surcharge."""
    if value is None:
        return Decimal(0)
    share = amount_of(value)
    return share if share is not None and share <= 1 else None


def _unclear_of(entry: Any) -> Iterator[str]:
    if not isinstance(entry, Mapping):
        yield "overrides"
        return
    for key, value in entry.items():
        if key not in _CONDITIONS and _is_unclear(key, value):
            yield key


def _overrides(entries: Iterable[Any]) -> Iterable[Override]:
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        prices = {_NAMES[k]: price for k, v in entry.items() if k in _NAMES and (price := amount_of(v)) is not None}
        days = entry.get("utc_days")
        yield Override(
            prices,
            min_prompt_tokens=count_of(entry.get("min_prompt_tokens")),
            utc_start=count_of(entry.get("utc_start")),
            utc_end=count_of(entry.get("utc_end")),
            utc_days=tuple(str(day).lower() for day in days) if isinstance(days, list) else (),
        )


# -- what a usage costs --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a call used. Parts are counted in their whole: cached, written and audio tokens in the prompt's, reasoning
    and audio tokens in the answer's."""

    prompt: int = 0
    cached: int = 0
    cache_written: int = 0
    """For five minutes."""
    cache_written_1h: int = 0
    audio: int = 0
    completion: int = 0
    reasoning: int = 0
    audio_output: int = 0
    images: int = 0
    """Pictures sent."""
    images_output: int = 0
    searches: int = 0
    requests: int = 1


class Line(NamedTuple):
    """A line of a bill."""

    name: str
    """The price key by its wire name."""
    used: int
    each: Decimal | None
    """USD for one; None: the price is not listed."""

    @property
    def usd(self) -> Decimal | None:
        """What was used, times its price."""
        return None if self.each is None else self.used * self.each


@dataclass(frozen=True, slots=True)
class Bill:
    """What amounts cost by a price list."""

    lines: tuple[Line, ...]
    """What was used, the most usual first; what costs nothing and was not used is left out."""
    discount: Decimal
    unclear: tuple[str, ...]
    """Listed prices that cannot be told, by wire name: a bill with one of them has no total."""

    @property
    def total_usd(self) -> Decimal | None:
        """Exact, net of the discount; None where a price that was used is not known."""
        amounts = [line.usd for line in self.lines]
        known = [amount for amount in amounts if amount is not None]
        if self.unclear or len(known) < len(amounts):
            return None
        return sum(known, Decimal(0)) * (1 - self.discount)


def itemised(pricing: Pricing, used: Amounts, *, at: datetime | None = None) -> Bill:
    """The bill of one call, with the prices that hold for a prompt of its size at a moment (now when None).

    A part that has no price of its own costs what its whole does: cached and written tokens the prompt price,
    reasoning the completion price. Parts beyond their whole are cut, for they would lower the bill.
    """
    price = pricing.at(used.prompt, at or datetime.now(UTC))
    left, parts = used.prompt, []
    for name, count, each in (
        ("input_cache_read", used.cached, _or(price.cache_read, price.prompt)),
        ("input_cache_write", used.cache_written, _or(price.cache_write, price.prompt)),
        ("input_cache_write_1h", used.cache_written_1h, price.cache_write_1h),
        ("audio", used.audio, _or(price.audio, price.prompt)),
    ):
        parts.append(Line(name, min(count, left), each))
        left -= parts[-1].used
    thought = min(used.reasoning, used.completion)
    spoken = min(used.audio_output, used.completion - thought)
    lines = [
        Line("prompt", left, price.prompt),
        *parts,
        Line("completion", used.completion - thought - spoken, price.completion),
        Line("internal_reasoning", thought, _or(price.reasoning, price.completion)),
        Line("audio_output", spoken, _or(price.audio_output, price.completion)),
        Line("image", used.images, _or(price.image, Decimal(0))),
        Line("image_output", used.images_output, price.image_output),
        Line("web_search", used.searches, price.web_search),
        Line("request", used.requests, _or(price.request, Decimal(0))),
    ]
    shown = tuple(line for line in lines if line.used and (line.each != 0 or line.name in ("prompt", "completion")))
    return Bill(shown, price.discount, _unclear_here(pricing, used))


def _or(price: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if price is None else price


def _unclear_here(pricing: Pricing, used: Amounts) -> tuple[str, ...]:
    """The prices that cannot be told and could stand in this bill: of unknown keys, and of what was used."""
    unused = {
        "input_cache_read": used.cached,
        "input_cache_write": used.cache_written,
        "audio": used.audio,
        "input_cache_write_1h": used.cache_written_1h,
        "input_audio_cache": used.audio,
        "image": used.images,
        "image_token": used.images,
        "internal_reasoning": used.reasoning,
        "audio_output": used.audio_output,
        "image_output": used.images_output,
        "web_search": used.searches,
    }
    return tuple(name for name in pricing.unclear if unused.get(name, 1))


def estimate_cost(pricing: Pricing, usage: Usage | None, *, images: int = 0, at: datetime | None = None) -> Cost:
    """The cost of a usage by the catalogue's prices; unknown where tokens or prices are. images: pictures sent."""
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return UNKNOWN_COST
    if _told(usage, "completion_tokens_details", "image_tokens"):
        return UNKNOWN_COST  # whether image_output is the price of a picture or of its tokens differs by model
    total = itemised(pricing, _amounts(usage, usage.prompt_tokens, usage.completion_tokens, images), at=at).total_usd
    pico = None if total is None else pico_of(total)
    return UNKNOWN_COST if pico is None else Cost(pico, "estimated")


def _amounts(usage: Usage, prompt: int, completion: int, images: int) -> Amounts:
    searches = [_told(usage, block, "web_search_requests") for block in ("server_tool_use_details", "server_tool_use")]
    return Amounts(
        prompt=prompt,
        cached=usage.cached_tokens or 0,
        cache_written=usage.cache_write_tokens or 0,
        audio=_told(usage, "prompt_tokens_details", "audio_tokens"),
        completion=completion,
        reasoning=usage.reasoning_tokens or 0,
        searches=max(searches),
        images=images,
        audio_output=_told(usage, "completion_tokens_details", "audio_tokens"),
    )


def _told(usage: Usage, block: str, name: str) -> int:
    """A count that the usage holds in one of its blocks; 0 where it does not."""
    found = usage.raw.get(block)
    return (count_of(found.get(name)) or 0) if isinstance(found, Mapping) else 0


def estimate_tokens(text: str) -> int:
    """Tokens to expect for a text: a quarter of its characters in Latin script, about one each beyond; at least 1."""
    wide = sum(ord(character) > 0x2E7F for character in text)
    return max(1, round((len(text) - wide) / 4 + wide * 0.8))
