"""What comes in and goes out, as JSON."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest, Message
from assay.errors import SettingsError
from assay.money import from_pico
from assay.openrouter.catalogue import Model
from assay.openrouter.failures import Failure
from assay.openrouter.parameters import check_parameter, modern_settings
from assay.runs.dispatch import Outcome

ModelId = Field(min_length=1, max_length=200)


class MessageIn(BaseModel):
    """A message; fields beyond role and content (tool calls, names) are passed on."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None

    def as_message(self) -> Message:
        """The message as the client layer sends it."""
        return Message.from_json(self.model_dump(exclude_unset=True))


class CompletionIn(BaseModel):
    """A completion in Assay's own words."""

    model_config = ConfigDict(extra="forbid")

    model: str = ModelId
    prompt: str | None = None
    """A user message; or else `messages`."""
    messages: list[MessageIn] = Field(default_factory=list)
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters by wire name."""
    provider: dict[str, Any] = Field(default_factory=dict)
    """Provider routing by wire name."""

    @field_validator("params")
    @classmethod
    def _in_range(cls, value: dict[str, Any]) -> dict[str, Any]:
        return checked(value)

    @model_validator(mode="after")
    def _has_text(self) -> CompletionIn:
        if not self.prompt and not self.messages:
            raise ValueError("give a prompt or messages")
        return self

    def as_request(self) -> CompletionRequest:
        """The request as the client layer sends it."""
        messages = [message.as_message() for message in self.messages]
        if self.prompt:
            messages.append(Message("user", self.prompt))
        settings = modern_settings({**self.params, "provider": self.provider})
        return CompletionRequest(self.model, tuple(messages), settings.params, settings.provider)


class ChatIn(BaseModel):
    """A completion as OpenAI's programs ask for it; every further field is a parameter and is passed on."""

    model_config = ConfigDict(extra="allow")

    model: str = ModelId
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool = False

    @model_validator(mode="after")
    def _in_range(self) -> ChatIn:
        checked(self.model_extra or {})
        if not isinstance((self.model_extra or {}).get("provider") or {}, dict):
            raise ValueError("provider: it is an object of routing settings")
        if (self.model_extra or {}).get("n") not in (None, 1):
            raise ValueError("n: every call gives one answer")
        return self

    def as_request(self) -> CompletionRequest:
        """The request as the client layer sends it: only what the caller set."""
        settings = modern_settings(self.model_extra or {})
        messages = tuple(message.as_message() for message in self.messages)
        return CompletionRequest(self.model, messages, settings.params, settings.provider)


def checked(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, if each is in its range; ValueError, as validation wants it, if not."""
    for name, value in params.items():
        try:
            check_parameter(name, value)
        except SettingsError as error:
            raise ValueError(str(error)) from error
    return params


def completion_out(outcome: Outcome) -> dict[str, Any]:
    """A finished completion in Assay's own words; money as decimal text, unknown as null."""
    completion, settled = outcome.completion, outcome.settlement
    assert completion is not None  # noqa: S101 - the caller has looked for a failure
    return {
        "call_id": settled.call_id,
        "generation_id": completion.generation_id,
        "model": completion.model,
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
        "cost_usd": None if outcome.cost.pico is None else str(from_pico(outcome.cost.pico)),
        "cost_provenance": outcome.cost.provenance,
        "total_ms": settled.total_ms,
    }


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
        "id": completion.generation_id or "", "object": "chat.completion", "created": int(time.time()),
        "model": completion.model or "", "provider": completion.provider, "choices": [choice],
        "usage": dict(completion.usage.raw) if completion.usage else None,
    }  # fmt: skip


def model_out(model: Model) -> dict[str, Any]:
    """A model in Assay's own words; prices in USD per million tokens as decimal text, unknown as null."""

    def text(price: Decimal | None) -> str | None:
        return None if price is None else f"{price.normalize():f}"

    return {
        "id": model.id, "name": model.name, "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "prompt_usd_per_million": text(model.prompt_usd_per_million),
        "completion_usd_per_million": text(model.completion_usd_per_million), "is_free": model.is_free,
        "input_modalities": list(model.input_modalities), "supported_parameters": sorted(model.supported_parameters),
        "expiration_date": model.expiration_date,
    }  # fmt: skip


def openai_model(model: Model) -> dict[str, Any]:
    """A model as OpenAI's programs list it, with every field of the gateway's catalogue beside."""
    return {**model.raw, "id": model.id, "object": "model", "created": model.created or 0, "owned_by": model.author}


def failure_out(failure: Failure, status: int) -> dict[str, Any]:
    """A failure in the gateway's error shape."""
    metadata: dict[str, str] = {"error_type": failure.kind, "billed": failure.billed}
    if failure.provider:
        metadata["provider_name"] = failure.provider
    return {"error": {"code": status, "message": str(failure), "metadata": metadata}}


def dumped(value: Any) -> bytes:
    """JSON bytes in which a Decimal keeps its digits."""
    return json.dumps(value, ensure_ascii=False, default=_number).encode("utf-8", "replace")


def _number(value: object) -> float | str:
    return float(value) if isinstance(value, Decimal) else str(value)
