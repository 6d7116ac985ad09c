"""What came back from the gateway: text, usage, cost and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Provenance = Literal["billed", "recovered", "estimated", "unknown", "cached"]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a call in pico-dollars with where it is known from; unknown has no amount, never 0."""

    pico: int | None
    provenance: Provenance


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
    is_byok: bool | None = None
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
