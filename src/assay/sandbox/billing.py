"""Exact invented costs, and the records that /generation, /credits, /key and /activity tell of."""

from __future__ import annotations

import random
import string
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from assay.sandbox.catalogue import Endpoint, Persona, slug
from assay.sandbox.config import SandboxConfig


def number(value: Decimal) -> float | int:
    """A Decimal as a JSON number whose shortest text is the Decimal's own digits (15 significant at most)."""
    return int(value) if value == value.to_integral_value() else float(value)


@dataclass(slots=True)
class Bill:
    """What one call used and cost."""

    persona: Persona
    endpoint: Endpoint
    prompt_tokens: int
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    tier: Decimal = Decimal(1)
    """What a batch multiplies every price with."""

    def prices(self) -> tuple[Decimal, Decimal]:
        """USD per prompt and completion token at this endpoint, long-context override included."""
        prompt, completion = Decimal(self.persona.prompt), Decimal(self.persona.completion)
        for override in self.persona.extra_pricing.get("overrides", ()):
            if self.prompt_tokens > override["min_prompt_tokens"]:
                prompt, completion = Decimal(override["prompt"]), Decimal(override["completion"])
        factor = Decimal(self.endpoint.factor) * self.tier
        return prompt * factor, completion * factor

    @property
    def cost(self) -> Decimal:
        """USD, exact."""
        prompt, completion = self.prices()
        return self.prompt_tokens * prompt + self.completion_tokens * completion

    def usage(self) -> dict[str, Any]:
        """The usage block (wire reference 4)."""
        prompt, completion = self.prices()
        parts = self.prompt_tokens * prompt, self.completion_tokens * completion
        return {
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens, "cost": number(self.cost), "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0,
                                      "video_tokens": 0},
            "cost_details": {"upstream_inference_cost": number(self.cost),
                             "upstream_inference_prompt_cost": number(parts[0]),
                             "upstream_inference_completions_cost": number(parts[1])},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens, "image_tokens": 0,
                                          "audio_tokens": 0},
        }  # fmt: skip


@dataclass(slots=True)
class Books:
    """Everything the sandbox remembers: calls, spend, counters."""

    config: SandboxConfig
    generations: dict[str, dict[str, Any]] = field(default_factory=dict)
    written_at: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    """Paid answers per request fingerprint: what was paid twice shows here."""
    spend: Decimal = Decimal(0)
    free_starts: deque[float] = field(default_factory=deque)
    by_day: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2_000))
    """The last bodies of completion requests, as they came: what a test proves was sent."""
    _ids: random.Random = field(default_factory=random.SystemRandom)

    def new_id(self) -> str:
        """A generation id: gen-<unix>-<20 letters and digits>."""
        tail = "".join(self._ids.choices(string.ascii_letters + string.digits, k=20))
        return f"gen-{int(time.time())}-{tail}"

    def record(self, generation_id: str, bill: Bill, *, fingerprint: str, cancelled: bool, streamed: bool) -> None:
        """Books a call that produced something."""
        self.spend += bill.cost
        self.paid[fingerprint] += 1
        self.written_at[generation_id] = time.monotonic() + self.config.generation_delay_s
        self.generations[generation_id] = generation_row(generation_id, bill, cancelled=cancelled, streamed=streamed)

    def free_wait_s(self) -> float:
        """Seconds until the free tier takes another request, counting this one; 0: it does now."""
        now = self.config.clock()
        while self.free_starts and self.free_starts[0] <= now - 60:
            self.free_starts.popleft()
        if len(self.free_starts) >= self.config.free_per_minute:
            return self.free_starts[0] + 60 - now
        self.free_starts.append(now)
        return 0.0


def generation_row(generation_id: str, bill: Bill, *, cancelled: bool, streamed: bool) -> dict[str, Any]:
    """The data of GET /generation (wire reference 7.1, 11.13)."""
    cost = number(bill.cost)
    return {
        "id": generation_id, "request_id": None, "upstream_id": None, "model": slug(bill.persona),
        "provider_name": bill.endpoint.provider, "router": None, "api_type": "completions",
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()), "origin": "", "http_referer": None,
        "user_agent": None, "app_id": None, "external_user": None, "session_id": None, "preset_id": None,
        "workspace_id": None, "data_region": "global", "service_tier": None, "streamed": streamed,
        "cancelled": cancelled, "finish_reason": None if cancelled else "stop", "native_finish_reason": None,
        "latency": 100, "generation_time": 100, "moderation_latency": None, "total_cost": cost, "usage": cost,
        "upstream_inference_cost": 0, "cache_discount": None, "is_byok": False, "response_cache_source_id": None,
        "tokens_prompt": bill.prompt_tokens, "tokens_completion": bill.completion_tokens,
        "native_tokens_prompt": bill.prompt_tokens, "native_tokens_completion": bill.completion_tokens,
        "native_tokens_reasoning": bill.reasoning_tokens, "native_tokens_cached": 0,
        "native_tokens_completion_images": 0, "num_media_prompt": 0, "num_input_audio_prompt": 0,
        "num_media_completion": 0, "num_search_results": 0, "num_fetches": 0, "web_search_engine": None,
        "provider_responses": [{"provider_name": bill.endpoint.provider, "status": 200, "latency": 100}],
    }  # fmt: skip
