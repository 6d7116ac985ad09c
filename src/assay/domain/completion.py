"""What came back from the gateway: text, usage, cost and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Provenance = Literal["billed", "upstream", "recovered", "estimated", "stated", "unknown", "cached"]
"""Where a cost is known from: billed: the gateway said what it charged. upstream: it said what a provider charges to
one's own key, with the gateway's fee, if any, in it. recovered: asked for later. estimated: tokens at the catalogue's
prices. stated: by a person. cached: another call's answer."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a call in pico-dollars with where it is known from; unknown has no amount, never 0."""

    pico: int | None
    provenance: Provenance
    upstream_pico: int | None = None
    """The part of it that a provider charges to one's own key (BYOK); None: none, or not known."""


UNKNOWN_COST = Cost(None, "unknown")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by the model's own count; None where the gateway did not say.

    Prompt tokens include cached ones, completion tokens include reasoning.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: Decimal | None = None
    """What the gateway charged; with one's own provider key its fee alone."""
    is_byok: bool | None = None
    upstream_usd: Decimal | None = None
    """What the provider charged: on top of `cost_usd` with one's own key, within it without."""
    cost_details: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer of a model."""

    text: str
    finish_reason: str | None
    usage: Usage | None
    cost: Cost
    model: str | None = None
    """The model that answered: may be a dated slug or a fallback."""
    provider: str | None = None
    generation_id: str | None = None
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    native_finish_reason: str | None = None
    first_token_ms: float | None = None
    """Milliseconds from sending to the first text or reasoning; None where not streamed."""
    total_ms: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The answer's JSON as received (for a stream: its last chunk), unknown fields included."""
    body: bytes = field(default=b"", repr=False)
    """The answer's bytes as received; empty for a stream."""
