"""The invented models, their endpoints and prices, in the shape of OpenRouter's catalogue (wire reference 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

JsonHabit = Literal["strict", "fenced", "never"]
COMMON = ("max_tokens", "temperature", "top_p", "stop", "seed")
NOTE = "Simulated by Assay's sandbox: invented answers, invented prices."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider that serves a model, priced relative to the model's list price."""

    provider: str
    tag: str
    factor: str = "1"
    quantization: str = "fp8"
    zdr: bool = False
    trains: bool = False
    throughput: float = 1.0
    cancels: bool = True
    """Whether it stops, and bills only what was produced, when the client hangs up."""
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Persona:
    """A model and how it answers."""

    id: str
    name: str
    prompt: str
    completion: str
    quality: float
    """Chance of a right answer."""
    verbosity: int
    """0 terse, 1 a sentence, 2 paragraphs."""
    first_token_s: float
    tokens_per_s: float
    context: int
    max_completion: int
    about: str
    json: JsonHabit = "fenced"
    reasons: bool = False
    fails: float = 0.0
    images: bool = False
    parameters: tuple[str, ...] = COMMON
    endpoints: tuple[Endpoint, ...] = field(default=())
    extra_pricing: dict[str, Any] = field(default_factory=dict)
    expires: str | None = None
    recorded: str | None = None
    """Key of the recorded system whose answers it repeats."""
    outputs: tuple[str, ...] = ("text",)
    moderated: bool = False

    @property
    def is_free(self) -> bool:
        """Whether the free tier's limits hold."""
        return self.id.endswith(":free")


_NORTH = Endpoint("Northwind", "northwind/fp8", zdr=True)
_NORTH_FLEX = Endpoint("Northwind", "northwind/flex", "0.5", "fp8", zdr=True, throughput=0.4, service_tier="flex")
_EAST = Endpoint("Eastbay", "eastbay", "1.15", "bf16", zdr=True, throughput=1.6)
_SOUTH = Endpoint("Southgate", "southgate", "0.9", "int8", trains=True, throughput=0.7, cancels=False)
_ALL = (
    *COMMON,
    "response_format",
    "structured_outputs",
    "tools",
    "tool_choice",
    "frequency_penalty",
    "presence_penalty",
)

PERSONAS: tuple[Persona, ...] = (
    Persona(
        "sandbox/atlas-large",
        "Sandbox: Atlas Large",
        "0.000003",
        "0.000015",
        0.95,
        0,
        0.42,
        74,
        400_000,
        32_000,
        "The dear one that is nearly always right.",
        json="strict",
        parameters=_ALL,
        endpoints=(_NORTH, _EAST, _NORTH_FLEX),
        extra_pricing={
            "input_cache_read": "0.0000003",
            "web_search": "0.01",
            "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000006", "completion": "0.0000225"}],
        },
    ),
    Persona(
        "sandbox/swift",
        "Sandbox: Swift",
        "0.00000015",
        "0.0000006",
        0.86,
        0,
        0.11,
        210,
        128_000,
        16_000,
        "Cheap and fast, wrong now and then.",
        parameters=(*COMMON, "response_format", "top_k"),
        endpoints=(_EAST, _SOUTH),
        extra_pricing={"web_search": "0.005"},
    ),
    Persona(
        "sandbox/scribe",
        "Sandbox: Scribe",
        "0.0000008",
        "0.000004",
        0.9,
        2,
        0.3,
        96,
        200_000,
        16_000,
        "Right, but it cannot be brief.",
        endpoints=(_NORTH, _SOUTH),
    ),
    Persona(
        "sandbox/sage",
        "Sandbox: Sage",
        "0.000001",
        "0.000006",
        0.97,
        1,
        0.6,
        120,
        200_000,
        64_000,
        "Thinks before it answers; the thinking is billed.",
        reasons=True,
        json="strict",
        parameters=(*_ALL, "reasoning", "include_reasoning"),
        endpoints=(_NORTH,),
        moderated=True,
    ),
    Persona(
        "sandbox/ledger",
        "Sandbox: Ledger",
        "0.0000005",
        "0.0000015",
        0.82,
        0,
        0.2,
        150,
        64_000,
        8_000,
        "Disciplined: always valid JSON when asked for it.",
        json="strict",
        parameters=_ALL,
        endpoints=(_EAST,),
    ),
    Persona(
        "sandbox/bard",
        "Sandbox: Bard",
        "0.0000002",
        "0.0000008",
        0.7,
        2,
        0.25,
        130,
        32_000,
        8_000,
        "Chatty, and never valid JSON.",
        json="never",
        endpoints=(_SOUTH,),
    ),
    Persona(
        "sandbox/vista",
        "Sandbox: Vista",
        "0.0000012",
        "0.0000048",
        0.88,
        1,
        0.5,
        88,
        128_000,
        8_000,
        "Takes images too.",
        images=True,
        parameters=(*COMMON, "response_format"),
        endpoints=(_NORTH, _EAST),
        extra_pricing={"image": "0.0012"},
    ),
    Persona(
        "sandbox/budget-mini",
        "Sandbox: Budget Mini",
        "0.00000004",
        "0.00000016",
        0.62,
        0,
        0.09,
        260,
        16_000,
        4_000,
        "The cheapest; expect mistakes.",
        parameters=("max_tokens", "temperature", "stop"),
        endpoints=(_SOUTH,),
        expires="2027-03-31",
    ),
    Persona(
        "sandbox/penny:free",
        "Sandbox: Penny (free)",
        "0",
        "0",
        0.65,
        1,
        0.35,
        60,
        32_000,
        4_000,
        "Costs nothing; 20 requests a minute.",
        parameters=("max_tokens", "temperature"),
        endpoints=(_SOUTH,),
    ),
    Persona(
        "sandbox/flaky",
        "Sandbox: Flaky",
        "0.0000003",
        "0.0000012",
        0.85,
        0,
        0.2,
        140,
        64_000,
        8_000,
        "Fails about three times in ten, in many ways.",
        fails=0.3,
        endpoints=(_EAST, _SOUTH),
    ),
    *(
        Persona(
            f"recorded/gsm8k-{system.replace('_', '-')}",
            f"Recorded: GSM8K {label}",
            price,
            price,
            1.0,
            1,
            0.15,
            180,
            8_000,
            2_000,
            f"Real recorded answers of {label} to the bundled GSM8K problems; nothing else.",
            endpoints=(Endpoint("Archive", "archive", zdr=True),),
            recorded=system,
            parameters=("max_tokens",),
        )
        for system, label, price in (
            ("6b_finetuning", "6B, finetuned", "0.0000001"),
            ("6b_verification", "6B with a verifier", "0.000001"),
            ("175b_finetuning", "175B, finetuned", "0.000002"),
            ("175b_verification", "175B with a verifier", "0.00002"),
        )
    ),
    Persona(
        "sandbox/prism",
        "Sandbox: Prism",
        "0.0000011",
        "0.0000044",
        0.9,
        1,
        0.3,
        110,
        128_000,
        8_000,
        "Charges for everything that a price list can hold.",
        reasons=True,
        images=True,
        parameters=(*_ALL, "reasoning", "web_search_options"),
        endpoints=(_EAST, _SOUTH),
        moderated=True,
        extra_pricing={
            "request": "0.0005",
            "image": "0.0015",
            "web_search": "0.01",
            "internal_reasoning": "0.000006",
            "input_cache_read": "0.0000001",
            "input_cache_write": "0.00000125",
            "input_cache_write_1h": "0.000002",
        },
    ),
)
EMBEDDERS: tuple[Persona, ...] = (
    Persona(
        "sandbox/vector",
        "Sandbox: Vector",
        "0.00000002",
        "0",
        1.0,
        0,
        0.05,
        1000,
        8_000,
        0,
        "Turns texts into vectors.",
        outputs=("embeddings",),
        parameters=(),
        endpoints=(_NORTH, _SOUTH),
    ),
)
EVERYTHING = (*PERSONAS, *EMBEDDERS)
BY_ID = {persona.id: persona for persona in EVERYTHING}
CREATED = 1_788_220_800


def row(persona: Persona) -> dict[str, Any]:
    """The catalogue row of a model."""
    found: dict[str, Any] = {
        "id": persona.id,
        "canonical_slug": slug(persona),
        "hugging_face_id": None,
        "name": persona.name,
        "created": CREATED + 86_400 * 3 * EVERYTHING.index(persona),
        "description": f"{persona.about} {NOTE}",
        "context_length": persona.context,
        "architecture": architecture(persona),
        "pricing": {"prompt": persona.prompt, "completion": persona.completion, **persona.extra_pricing},
        "top_provider": {
            "context_length": persona.context,
            "max_completion_tokens": persona.max_completion or None,
            "is_moderated": persona.moderated,
        },
        "per_request_limits": None,
        "supported_parameters": sorted(persona.parameters),
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": "2026-03-31" if not persona.recorded else "2021-09-30",
        "expiration_date": persona.expires,
        "links": {"details": f"/api/v1/models/{slug(persona)}/endpoints"},
    }
    if persona.reasons:
        found["reasoning"] = {
            "mandatory": False,
            "default_enabled": True,
            "default_effort": "medium",
            "supported_efforts": ["high", "medium", "low"],
        }
    return found


def slug(persona: Persona) -> str:
    """The dated permanent id."""
    return f"{persona.id.removesuffix(':free')}-20260901"


def architecture(persona: Persona) -> dict[str, Any]:
    """Modalities and tokenizer."""
    inputs = ["text", "image"] if persona.images else ["text"]
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(persona.outputs)}",
        "input_modalities": inputs,
        "output_modalities": list(persona.outputs),
        "tokenizer": "Other",
        "instruct_type": None,
    }


PER_TOKEN = (
    "prompt",
    "completion",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
)
"""Prices that an endpoint's factor multiplies; fees are the same everywhere."""


def price_list(persona: Persona, endpoint: Endpoint) -> dict[str, Any]:
    """The prices of a model at one of its endpoints, as the wire has them: decimal text, overrides included."""
    listed: dict[str, Any] = {"prompt": persona.prompt, "completion": persona.completion, **persona.extra_pricing}
    overrides = [_scaled(override, endpoint) for override in listed.pop("overrides", ())]
    return _scaled(listed, endpoint) | ({"overrides": overrides} if overrides else {})


def _scaled(prices: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    factor = Decimal(endpoint.factor)
    return {
        name: format((Decimal(price) * factor).normalize(), "f") if name in PER_TOKEN else price
        for name, price in prices.items()
    }


def endpoint_row(persona: Persona, endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint object of a provider (wire reference 2.3)."""
    first, speed = persona.first_token_s * 1000, persona.tokens_per_s * endpoint.throughput
    return {
        "name": f"{endpoint.provider} | {slug(persona)}",
        "model_id": slug(persona),
        "model_name": persona.name,
        "provider_name": endpoint.provider,
        "tag": endpoint.tag,
        "quantization": endpoint.quantization,
        "status": 0 if not persona.fails else -2,
        "service_tier": endpoint.service_tier,
        "context_length": persona.context,
        "max_completion_tokens": persona.max_completion or None,
        "max_prompt_tokens": None,
        "pricing": {**price_list(persona, endpoint), "discount": 0},
        "supported_parameters": sorted(persona.parameters),
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "allowed_data_regions": ["global"],
        "native_tools": {},
        "supports_tool_choice": {"auto": True, "none": True, "required": True, "function": False},
        "uptime_last_5m": 100,
        "uptime_last_30m": 99.4 if not persona.fails else 71.0,
        "uptime_last_1d": 99.1,
        "latency_last_30m": {"p50": first, "p75": first * 1.3, "p90": first * 2, "p99": first * 5},
        "throughput_last_30m": {"p50": speed, "p75": speed * 0.8, "p90": speed * 0.6, "p99": speed * 0.3},
    }


def known_model(model_id: str) -> Persona | None:
    """The model of an id or its dated slug."""
    return BY_ID.get(model_id) or next((p for p in BY_ID.values() if slug(p) == model_id), None)
