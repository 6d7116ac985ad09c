"""How the sandbox behaves: speed, keys, credits, faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

FaultKind = Literal[
    "429",
    "429_plain",
    "429_dated",
    "free_day",
    "500",
    "502_html",
    "503",
    "524_html",
    "400",
    "401",
    "402_credits",
    "402_in_flight",
    "402_too_big",
    "403_moderation",
    "403_guardrail",
    "403_key_limit",
    "403_workspace_budget",
    "403_guardrail_budget",
    "404",
    "reset",
    "stall",
    "truncated",
    "malformed_chunk",
    "error_in_200",
    "first_event_error",
    "mid_stream_error",
    "empty_choices",
    "no_usage",
    "fabricated",
    "giant",
    "reasoning_ate_budget",
    "provider_down",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that some calls meet."""

    kind: FaultKind
    model: str = ""
    """Model id; empty: every model."""
    rate: float = 1.0
    """Share of calls, chosen by the seed and the call's number."""
    after: int = 0
    """Spares that many calls first."""
    retry_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Settings of a sandbox."""

    speed: float = 1.0
    """Multiplies all waiting; 0: answers at once."""
    fixed_latency_ms: float | None = None
    """Every answer takes exactly this long, in one piece; for benchmarks."""
    keys: frozenset[str] | None = None
    """Accepted keys; None: any key."""
    credits_usd: Decimal = Decimal(1000)
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    generation_delay_s: float = 0.0
    """How long /generation answers 404 after a call."""
    free_per_minute: int = 20
    batches: bool = True
    """Whether there is a batch endpoint."""
    batch_s: float = 20.0
    """How long a batch takes."""
    batch_ends: Literal["completed", "failed", "expired"] = "completed"
    batch_lost: bool = False
    """Answers 502 to a batch that it accepted."""
    byok: frozenset[str] = frozenset()
    """Providers (first part of their tag) that bill the caller's own key."""
    free_tier: bool = False
    """Whether the account never bought credits: 50 free requests a day instead of 1,000."""
    tells_terms: bool = True
    """Whether endpoint rows say who trains on prompts; OpenRouter's public lists do not."""
    clock: Callable[[], float] = field(default=time.time, compare=False)
