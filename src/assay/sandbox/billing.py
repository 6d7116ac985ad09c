"""Exact invented costs, and the records that /generation, /credits, /key and /activity tell of."""

from __future__ import annotations

import random
import string
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from assay.sandbox.catalogue import Endpoint, Persona, price_list, slug
from assay.sandbox.config import SandboxConfig


def number(value: Decimal) -> float | int:
    """A Decimal as a JSON number whose shortest text is the Decimal's own digits (15 significant at most)."""
    return int(value) if value == value.to_integral_value() else float(value)


class FailedTry(NamedTuple):
    """A provider that was asked and did not answer."""

    model: str
    provider: str
    status: int


@dataclass(slots=True)
class Bill:
    """What one call used and cost."""

    persona: Persona
    endpoint: Endpoint
    prompt_tokens: int
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were read from the cache."""
    written_tokens: int = 0
    """Prompt tokens that were written to the cache."""
    written_for_an_hour: bool = False
    searches: int = 0
    images: int = 0
    is_byok: bool = False
    """The provider bills the caller's own key: the gateway charges for its own services only."""
    tier: Decimal = Decimal(1)
    """What a batch multiplies every price with."""

    def prices(self) -> Mapping[str, Decimal]:
        """USD by price key at this endpoint, long-context override included."""
        listed = price_list(self.persona, self.endpoint)
        for override in listed.pop("overrides", ()):
            if self.prompt_tokens > override["min_prompt_tokens"]:
                listed |= {name: price for name, price in override.items() if name != "min_prompt_tokens"}
        return {name: Decimal(price) * self.tier for name, price in listed.items()}

    @property
    def prompt_cost(self) -> Decimal:
        """USD for what was sent: tokens by how they were read, images, and the fee of the request."""
        price = self.prices()
        written = price.get("input_cache_write_1h") if self.written_for_an_hour else price.get("input_cache_write")
        plain = self.prompt_tokens - self.cached_tokens - self.written_tokens
        return (
            plain * price["prompt"]
            + self.cached_tokens * price.get("input_cache_read", price["prompt"])
            + self.written_tokens * (written if written is not None else price["prompt"])
            + self.images * price.get("image", Decimal(0))
            + price.get("request", Decimal(0))
        )

    @property
    def completion_cost(self) -> Decimal:
        """USD for what was answered; thinking at its own price where the list has one."""
        price = self.prices()
        said = self.completion_tokens - self.reasoning_tokens
        return said * price["completion"] + self.reasoning_tokens * price.get("internal_reasoning", price["completion"])

    @property
    def search_cost(self) -> Decimal:
        """USD for web searches; a model without a price for them does not search."""
        return self.searches * self.prices().get("web_search", Decimal(0))

    @property
    def upstream_cost(self) -> Decimal:
        """USD that the provider takes."""
        return self.prompt_cost + self.completion_cost

    @property
    def cost(self) -> Decimal:
        """USD that the account is charged, exact."""
        return self.search_cost + (Decimal(0) if self.is_byok else self.upstream_cost)

    def cost_details(self, said: str = "prompt", answered: str = "completions") -> dict[str, Any]:
        """The parts of the cost; with one's own key the parts are 0 and the upstream cost is what is paid elsewhere."""
        nothing = Decimal(0)
        found: dict[str, Any] = {
            "upstream_inference_cost": number(self.upstream_cost),
            f"upstream_inference_{said}_cost": number(nothing if self.is_byok else self.prompt_cost),
            f"upstream_inference_{answered}_cost": number(nothing if self.is_byok else self.completion_cost),
        }
        return found | ({"server_tool_cost": number(self.search_cost)} if self.searches else {})

    def usage(self) -> dict[str, Any]:
        """The usage block (wire reference 4)."""
        found: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost": number(self.cost),
            "is_byok": self.is_byok,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": self.written_tokens,
                "audio_tokens": 0,
                "video_tokens": 0,
            },
            "cost_details": self.cost_details(),
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "image_tokens": 0,
                "audio_tokens": 0,
            },
        }
        if self.searches:
            found["server_tool_use_details"] = {
                "web_search_requests": self.searches,
                "tool_calls_requested": self.searches,
                "tool_calls_executed": self.searches,
            }
        return found


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
    byok_spend: Decimal = Decimal(0)
    """What providers took from the caller's own keys."""
    cached_prompts: set[str] = field(default_factory=set)
    """Digests of prompts that were written to the cache."""
    free_starts: deque[float] = field(default_factory=deque)
    by_day: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2_000))
    """The last bodies of completion requests, as they came: what a test proves was sent."""
    _ids: random.Random = field(default_factory=random.SystemRandom)

    def new_id(self) -> str:
        """A generation id: gen-<unix>-<20 letters and digits>."""
        tail = "".join(self._ids.choices(string.ascii_letters + string.digits, k=20))
        return f"gen-{int(time.time())}-{tail}"

    def record(
        self,
        generation_id: str,
        bill: Bill,
        *,
        fingerprint: str,
        cancelled: bool,
        streamed: bool,
        api_type: str = "completions",
        failed: Sequence[FailedTry] = (),
    ) -> None:
        """Books a call that produced something; failed: who was tried before."""
        self.spend += bill.cost
        self.byok_spend += bill.upstream_cost if bill.is_byok else 0
        self.paid[fingerprint] += 1
        self.written_at[generation_id] = time.monotonic() + self.config.generation_delay_s
        row = generation_row(generation_id, bill, cancelled=cancelled, streamed=streamed, failed=failed)
        self.generations[generation_id] = row | {"api_type": api_type}

    def free_wait_s(self) -> float:
        """Seconds until the free tier takes another request, counting this one; 0: it does now."""
        now = self.config.clock()
        while self.free_starts and self.free_starts[0] <= now - 60:
            self.free_starts.popleft()
        if len(self.free_starts) >= self.config.free_per_minute:
            return self.free_starts[0] + 60 - now
        self.free_starts.append(now)
        return 0.0


def generation_row(
    generation_id: str, bill: Bill, *, cancelled: bool, streamed: bool, failed: Sequence[FailedTry] = ()
) -> dict[str, Any]:
    """The data of GET /generation (wire reference 7.1, 11.13)."""
    cost = number(bill.cost)
    return {
        "id": generation_id,
        "request_id": None,
        "upstream_id": None,
        "model": slug(bill.persona),
        "provider_name": bill.endpoint.provider,
        "router": None,
        "api_type": "completions",
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "origin": "",
        "http_referer": None,
        "user_agent": None,
        "app_id": None,
        "external_user": None,
        "session_id": None,
        "preset_id": None,
        "workspace_id": None,
        "data_region": "global",
        "service_tier": None,
        "streamed": streamed,
        "cancelled": cancelled,
        "finish_reason": None if cancelled else "stop",
        "native_finish_reason": None,
        "latency": 100,
        "generation_time": 100,
        "moderation_latency": None,
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": number(bill.upstream_cost) if bill.is_byok else 0,
        "cache_discount": None,
        "is_byok": bill.is_byok,
        "response_cache_source_id": None,
        "tokens_prompt": bill.prompt_tokens,
        "tokens_completion": bill.completion_tokens,
        "native_tokens_prompt": bill.prompt_tokens,
        "native_tokens_completion": bill.completion_tokens,
        "native_tokens_reasoning": bill.reasoning_tokens,
        "native_tokens_cached": bill.cached_tokens,
        "native_tokens_completion_images": 0,
        "num_media_prompt": bill.images,
        "num_input_audio_prompt": 0,
        "num_media_completion": 0,
        "num_search_results": bill.searches,
        "num_fetches": 0,
        "web_search_engine": None,
        "provider_responses": [
            *({"provider_name": tried.provider, "status": tried.status, "latency": 40} for tried in failed),
            {"provider_name": bill.endpoint.provider, "status": 200, "latency": 100},
        ],
    }
