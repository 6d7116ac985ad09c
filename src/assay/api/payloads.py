"""What goes out, as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from assay.domain.completion import Completion
from assay.money import exact_usd, plain
from assay.openrouter.assembly import parse_json
from assay.openrouter.catalogue import Model
from assay.runs.dispatch import Outcome


def completion_out(outcome: Outcome, notes: Sequence[str]) -> dict[str, Any]:
    """A finished completion as a `chat.completion`, with Assay's own words beside; money as decimal text, unknown null.

    notes: about what was asked for in old words.
    """
    completion, settled = outcome.completion, outcome.settlement
    assert completion is not None  # noqa: S101 - the caller has looked for a failure
    found = {
        **_as_answered(completion),
        "call_id": settled.call_id,
        "generation_id": completion.generation_id,
        "provider": completion.provider,
        "text": completion.text,
        "reasoning": completion.reasoning or None,
        "refusal": completion.refusal,
        "tool_calls": list(completion.tool_calls),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": settled.prompt_tokens,
        "completion_tokens": settled.completion_tokens,
        "reasoning_tokens": settled.reasoning_tokens,
        "cached_tokens": settled.cached_tokens,
        "cost_usd": None if outcome.cost.pico is None else exact_usd(outcome.cost.pico),
        "cost_provenance": outcome.cost.provenance,
        "total_ms": settled.total_ms,
    }
    return {**found, "x_assay_notes": list(notes)} if notes else found


def _as_answered(completion: Completion) -> dict[str, Any]:
    """The gateway's own `chat.completion`, with what every program expects of one where it lacks it."""
    made = chat_completion(completion)
    try:
        answered = parse_json(completion.body) if completion.body else {}
    except ValueError:
        answered = {}
    return {**made, **answered, "object": "chat.completion"} if isinstance(answered, dict) else made


def chat_completion(completion: Completion) -> dict[str, Any]:
    """A completion as OpenAI's programs read it, put together from a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.reasoning:
        message["reasoning"] = completion.reasoning
    if completion.refusal:
        message["refusal"] = completion.refusal
    if completion.tool_calls:
        message["tool_calls"] = list(completion.tool_calls)
    choice = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
    return {
        "id": completion.generation_id or "",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": completion.model or "",
        "provider": completion.provider,
        "choices": [choice],
        "usage": dict(completion.usage.raw) if completion.usage else None,
    }


def model_out(model: Model) -> dict[str, Any]:
    """A model in the gateway's words and Assay's, whose prices are USD per million tokens; unknown as null."""

    def text(price: Decimal | None) -> str | None:
        return None if price is None else plain(price)

    return {
        **model.raw,
        "id": model.id,
        "name": model.name,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "prompt_usd_per_million": text(model.prompt_usd_per_million),
        "completion_usd_per_million": text(model.completion_usd_per_million),
        "is_free": model.is_free,
        "input_modalities": list(model.input_modalities),
        "supported_parameters": sorted(model.supported_parameters),
        "expiration_date": model.expiration_date,
        "is_moderated": model.is_moderated,
    }


def chunks_of(completion: Completion) -> list[bytes]:
    """The events of a stream for an answer that came whole although a stream was asked for."""
    whole = chat_completion(completion)
    message = whole["choices"][0]["message"]
    calls = [{"index": place, **call} for place, call in enumerate(completion.tool_calls)]
    delta = {**message, "tool_calls": calls} if calls else message
    head = {name: whole[name] for name in ("id", "created", "model", "provider")} | {"object": "chat.completion.chunk"}
    first = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": completion.finish_reason or "stop"}]}
    if whole["usage"]:
        last["usage"] = whole["usage"]
    return [dumped(first), dumped(last), b"[DONE]"]


def openai_model(model: Model) -> dict[str, Any]:
    """A model as OpenAI's programs list it, with every field of the gateway's catalogue beside."""
    return {**model.raw, "id": model.id, "object": "model", "created": model.created or 0, "owned_by": model.author}


def dumped(value: Any) -> bytes:
    """JSON bytes in which a Decimal keeps its digits."""
    return json.dumps(value, ensure_ascii=False, default=_number).encode("utf-8", "replace")


def _number(value: object) -> float | str:
    return float(value) if isinstance(value, Decimal) else str(value)
