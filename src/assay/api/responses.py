"""OpenAI's Responses over completions: items in, items and events out (wire reference 7.10).

Nothing is kept between two of them: what refers to an earlier response, or wants to be stored, is refused.
Tools are functions of the caller; the gateway's own tools have fees of their own and are refused.

ResponsesIn   what comes in, as a request of the client layer
response_of   a finished completion as a response
Telling       a stream as the events of a response
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from assay.api.asked import Asked, ModelId, Switches, assembled
from assay.api.bodies import Refused
from assay.api.failing import status_of
from assay.api.payloads import dumped
from assay.api.relay import COMMENT, Relay
from assay.domain.completion import Completion, Usage
from assay.domain.messages import Message
from assay.openrouter.failures import Failure
from assay.runs.dispatch import Outcome

Json = dict[str, Any]
_IGNORED = (
    "include",
    "background",
    "truncation",
    "max_tool_calls",
    "stream_options",
    "store",
    "previous_response_id",
    "conversation",
    "prompt",
)


class ResponsesIn(BaseModel):
    """A completion in the words of OpenAI's Responses."""

    model_config = ConfigDict(extra="allow")

    model: str = ModelId
    input: str | list[Json] = Field(min_length=1)
    instructions: str | None = None
    stream: bool | None = False
    max_output_tokens: int | None = Field(None, ge=1)
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    text: Json | None = None
    reasoning: Json | None = None
    provider: Json | None = None
    allow_unknown: bool = False

    @model_validator(mode="after")
    def _keeps_nothing(self) -> ResponsesIn:
        more = self.model_extra or {}
        for name in ("previous_response_id", "conversation", "prompt"):
            if more.get(name):
                raise ValueError(f"{name}: nothing is kept between responses; send the whole conversation as input")
        if more.get("store") or more.get("background"):
            raise ValueError("store, background: nothing is kept; leave them out")
        for tool in self.tools or ():
            if tool.get("type") != "function" or not isinstance(tool.get("name"), str):
                raise ValueError(f"tools: {str(tool.get('type'))[:60]!r} is no function of yours; only those are taken")
        return self

    def asked(self, switches: Switches) -> Asked:
        """The request of the client layer. Raises Refused for an item that has no place in a conversation."""
        more = self.model_extra or {}
        sent = {name: value for name, value in more.items() if value is not None and name not in _IGNORED}
        if self.max_output_tokens is not None:
            sent["max_tokens"] = self.max_output_tokens
        if self.tools:
            sent["tools"] = [_tool(tool) for tool in self.tools]
        if self.tool_choice is not None:
            sent["tool_choice"] = _choice(self.tool_choice)
        if (shape := _shape(self.text or {})) is not None:
            sent["response_format"] = shape
        if (self.text or {}).get("verbosity"):
            sent["verbosity"] = (self.text or {})["verbosity"]
        if self.reasoning:
            told = {name: value for name, value in self.reasoning.items() if value is not None}
            sent["reasoning"] = {
                name: value for name, value in told.items() if name in ("effort", "max_tokens", "enabled")
            }
        head = [Message("system", self.instructions)] if self.instructions else []
        sent["provider"] = dict(self.provider or {})
        return assembled(self.model, [*head, *_conversation(self.input)], sent, switches.widened(self.allow_unknown))


def _tool(tool: Mapping[str, Any]) -> Json:
    names = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _choice(choice: str | Json) -> str | Json:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


def _shape(text: Mapping[str, Any]) -> Json | None:
    wanted = text.get("format")
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return None
    if wanted["type"] != "json_schema":
        return {"type": wanted["type"]}
    inner = {name: wanted[name] for name in ("name", "description", "schema", "strict") if wanted.get(name) is not None}
    return {"type": "json_schema", "json_schema": inner}


def _conversation(given: str | Sequence[Json]) -> list[Message]:
    if isinstance(given, str):
        return [Message("user", given)]
    messages: list[Message] = []
    for item in given:
        kind = item.get("type") or "message"
        if kind == "message":
            messages.append(_message(item))
        elif kind == "function_call":
            _add_call(messages, item)
        elif kind == "function_call_output":
            output = item.get("output")
            text = output if isinstance(output, str) else orjson.dumps(output).decode()
            messages.append(Message("tool", text, {"tool_call_id": str(item.get("call_id"))}))
        elif kind != "reasoning":  # what the model thought belongs to it, and is not sent back
            raise Refused(422, f"input: an item of type {str(kind)[:60]!r} cannot be sent")
    return messages


def _message(item: Mapping[str, Any]) -> Message:
    role = item.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        raise Refused(422, f"input: {str(role)[:60]!r} is no role")
    content = item.get("content")
    if not isinstance(content, list):
        return Message(role, content if isinstance(content, str) else "")
    parts = [_part(part) for part in content if isinstance(part, dict)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return Message(role, "".join(texts) if len(texts) == len(parts) else tuple(parts))


def _part(part: Mapping[str, Any]) -> Json:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": str(part.get("text") or "")}
        case "refusal":
            return {"type": "text", "text": str(part.get("refusal") or "")}
        case "input_image":
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": str(part.get("image_url")), **detail}}
        case "input_file":
            file = {"filename": part.get("filename"), "file_data": part.get("file_data") or part.get("file_url")}
            return {"type": "file", "file": {name: value for name, value in file.items() if value}}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        case kind:
            raise Refused(422, f"input: a part of type {str(kind)[:60]!r} cannot be sent")


def _add_call(messages: list[Message], item: Mapping[str, Any]) -> None:
    function = {"name": str(item.get("name")), "arguments": str(item.get("arguments") or "{}")}
    call = {"id": str(item.get("call_id")), "type": "function", "function": function}
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant":
        calls = [*last.extra.get("tool_calls", ()), call]
        messages[-1] = Message("assistant", last.content, {**last.extra, "tool_calls": calls})
    else:
        messages.append(Message("assistant", None, {"tool_calls": [call]}))


# -- out ---------------------------------------------------------------------------------------------------------


def response_of(asked: ResponsesIn, outcome: Outcome) -> Json:
    """A finished completion as a response."""
    assert outcome.completion is not None  # noqa: S101 - the caller has looked for a failure
    return _Frame.of(asked).ended(outcome.completion)


class _Frame(NamedTuple):
    """What all states of one response share."""

    id: str
    created: int
    asked: ResponsesIn

    @classmethod
    def of(cls, asked: ResponsesIn) -> _Frame:
        """A new response."""
        return cls(f"resp_{uuid4().hex}", int(time.time()), asked)

    def shell(self, status: str) -> Json:
        """The response without its output."""
        more = self.asked.model_extra or {}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": status,
            "model": self.asked.model,
            "output": [],
            "error": None,
            "incomplete_details": None,
            "usage": None,
            "instructions": self.asked.instructions,
            "max_output_tokens": self.asked.max_output_tokens,
            "metadata": more.get("metadata") or {},
            "parallel_tool_calls": more.get("parallel_tool_calls", True),
            "temperature": more.get("temperature"),
            "top_p": more.get("top_p"),
            "presence_penalty": more.get("presence_penalty"),
            "frequency_penalty": more.get("frequency_penalty"),
            "tool_choice": self.asked.tool_choice or "auto",
            "tools": self.asked.tools or [],
            "store": False,
            "text": self.asked.text or {"format": {"type": "text"}},
            "truncation": "disabled",
            "reasoning": self.asked.reasoning,
            "previous_response_id": None,
            "background": False,
        }

    def ended(self, completion: Completion, output: Sequence[Json] | None = None) -> Json:
        """The response of a finished completion."""
        cut = completion.finish_reason in ("length", "content_filter")
        why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(completion.finish_reason or "")
        said = output if output is not None else items_of(completion)
        return {
            **self.shell("incomplete" if cut else "completed"),
            "model": completion.model or self.asked.model,
            "completed_at": int(time.time()),
            "incomplete_details": {"reason": why} if cut else None,
            "output": list(said),
            "output_text": completion.text,
            "usage": _usage(completion.usage),
        }

    def failed(self, failure: Failure) -> Json:
        """The response of a call that failed while it streamed."""
        code = "rate_limit_exceeded" if status_of(failure) == 429 else "server_error"
        return {**self.shell("failed"), "error": {"code": code, "message": str(failure)}}


def items_of(completion: Completion) -> list[Json]:
    """The output items of a completion: reasoning, message, calls of functions."""
    items: list[Json] = []
    if completion.reasoning:
        summary = [{"type": "summary_text", "text": completion.reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{uuid4().hex}", "summary": summary, "status": "completed"})
    if completion.text or completion.refusal or not completion.tool_calls:
        items.append(_message_item(f"msg_{uuid4().hex}", completion))
    return items + [_call_item(call) for call in completion.tool_calls]


def _message_item(item_id: str, completion: Completion) -> Json:
    parts: list[Json] = []
    if completion.text or not completion.refusal:
        parts.append(_text_part(completion.text))
    if completion.refusal:
        parts.append({"type": "refusal", "refusal": completion.refusal})
    return {"type": "message", "id": item_id, "status": "completed", "role": "assistant", "content": parts}


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call_item(call: Mapping[str, Any]) -> Json:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    return {
        "type": "function_call",
        "id": f"fc_{uuid4().hex}",
        "call_id": str(call.get("id") or f"call_{uuid4().hex}"),
        "name": str(function.get("name") or ""),
        "arguments": str(function.get("arguments") or ""),
        "status": "completed",
    }


def _usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    into, out = usage.prompt_tokens or 0, usage.completion_tokens or 0
    told: Json = {
        "input_tokens": into,
        "output_tokens": out,
        "total_tokens": into + out,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
    kept = ("cost", "is_byok", "cost_details")
    return {**told, **{name: usage.raw[name] for name in kept if usage.raw.get(name) is not None}}


class Telling:
    """A stream of completion chunks as the events of a response. whole: the answer came in one piece."""

    def __init__(self, asked: ResponsesIn, relay: Relay, *, whole: bool) -> None:
        self._frame = _Frame.of(asked)
        self._relay = relay
        self._whole = whole
        self._item = f"msg_{uuid4().hex}"
        self._number = 0
        self._text: list[str] = []

    async def pieces(self) -> AsyncIterator[bytes]:
        """The events as they stand on the wire."""
        yield self._event("response.created", response=self._frame.shell("in_progress"))
        yield self._event("response.in_progress", response=self._frame.shell("in_progress"))
        failed = None
        if not self._whole:
            async for event in self._relay.events():
                if not event:
                    yield COMMENT
                for piece in self._delta(event):
                    yield piece
            failed = self._relay.failure()
        outcome = self._relay.outcome()
        completion = outcome.completion if outcome is not None else None
        if failed is not None or completion is None:
            if failed is not None:
                yield self._event("response.failed", response=self._frame.failed(failed))
        else:
            for piece in self._ending(completion):
                yield piece

    def _delta(self, event: bytes) -> list[bytes]:
        try:
            chunk = orjson.loads(event) if event else {}
            text = chunk["choices"][0]["delta"].get("content")
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            return []
        if not isinstance(text, str) or not text:
            return []
        head = [] if self._text else self._opening()
        self._text.append(text)
        return [*head, self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])]

    def _opening(self) -> list[bytes]:
        item = {"type": "message", "id": self._item, "status": "in_progress", "role": "assistant", "content": []}
        return [
            self._event("response.output_item.added", output_index=0, item=item),
            self._event("response.content_part.added", **self._place(), part=_text_part("")),
        ]

    def _place(self) -> Json:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _ending(self, completion: Completion) -> list[bytes]:
        pieces: list[bytes] = []
        if completion.text and not self._text:
            pieces += self._opening()
            pieces.append(
                self._event("response.output_text.delta", **self._place(), delta=completion.text, logprobs=[])
            )
            self._text.append(completion.text)
        output: list[Json] = []
        if self._text:
            whole = "".join(self._text)
            message = _message_item(self._item, completion)
            output.append(message)
            pieces += [
                self._event("response.output_text.done", **self._place(), text=whole, logprobs=[]),
                self._event("response.content_part.done", **self._place(), part=_text_part(whole)),
                self._event("response.output_item.done", output_index=0, item=message),
            ]
        for item in items_of(completion):
            if item["type"] == "message" and output:
                continue
            place = len(output)
            output.append(item)
            pieces.append(self._event("response.output_item.added", output_index=place, item=item))
            if item["type"] == "function_call":
                done = {"item_id": item["id"], "output_index": place, "arguments": item["arguments"]}
                pieces.append(
                    self._event(
                        "response.function_call_arguments.delta",
                        item_id=item["id"],
                        output_index=place,
                        delta=item["arguments"],
                    )
                )
                pieces.append(self._event("response.function_call_arguments.done", **done, name=item["name"]))
            pieces.append(self._event("response.output_item.done", output_index=place, item=item))
        response = self._frame.ended(completion, output)
        return [*pieces, self._event(f"response.{response['status']}", response=response)]

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = dumped({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"
