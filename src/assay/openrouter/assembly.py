"""From a JSON body or the chunks of a stream to a Completion, or to the failure inside a 200.

Source: wire reference 4, 5 and 6.4.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from assay.domain.completion import Completion
from assay.openrouter.failures import Failure, classify_body, classify_error, failure_of
from assay.openrouter.usage import cost_of, parse_usage
from assay.openrouter.wire_values import clean, id_of, text_of

DONE = b"[DONE]"


def _exact(number: str) -> Decimal | None:
    try:
        return Decimal(number)
    except ArithmeticError:  # an exponent of twenty digits
        return None


_EXACT = json.JSONDecoder(parse_float=_exact, parse_constant=lambda _: None)


def parse_json(data: str | bytes) -> Any:
    """JSON with numbers as exact Decimals; NaN and Infinity, which are no JSON, and what no Decimal holds are None.

    Raises ValueError; RecursionError of a nesting bomb is one too.
    """
    try:
        if isinstance(data, bytes):
            data = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
        return _EXACT.decode(data)
    except RecursionError as error:
        raise ValueError("The JSON is nested too deeply.") from error


def parse_events(events: Sequence[bytes]) -> list[Any]:
    """The JSON of a stream's events, exact where it may hold money; None for one that is not JSON."""
    try:
        # A stream has hundreds of events that come by the dozen: one call of the parser is a third of the work.
        joined = b",".join(events)
        chunks = orjson.loads(b"[%b]" % joined)
    except ValueError:
        chunks = []
    if len(chunks) != len(events):
        return [_parse_event(event) for event in events]
    if b"cost" in joined:
        for place, event in enumerate(events):
            if b"cost" in event:
                chunks[place] = _parse_event(event)
    return list(chunks)


def _parse_event(event: bytes) -> Any:
    if b"cost" not in event:
        try:
            return orjson.loads(event)
        except ValueError:  # it refuses lone surrogates, which the wire may hold
            pass
    try:
        return parse_json(event)
    except ValueError:
        return None


def read_body(body: Mapping[str, Any], *, generation_id: str | None = None) -> tuple[Completion, Failure | None]:
    """The completion of a plain answer, and the failure inside it if there is one (then the text is partial)."""
    failure = classify_body(body)
    choices = body.get("choices")
    choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
    message = _object(choice.get("message"))
    usage = parse_usage(body.get("usage"))
    calls = message.get("tool_calls")
    return (
        Completion(
            text=clean(_content(message.get("content"))),
            finish_reason=text_of(choice.get("finish_reason")),
            native_finish_reason=text_of(choice.get("native_finish_reason")),
            usage=usage,
            cost=cost_of(usage),
            model=text_of(body.get("model")),
            provider=text_of(body.get("provider")),
            generation_id=id_of(body.get("id")) or generation_id,
            reasoning=clean(_text(message.get("reasoning")) or ""),
            refusal=text_of(message.get("refusal")),
            tool_calls=tuple(call for call in calls if isinstance(call, dict)) if isinstance(calls, list) else (),
            raw=body,
        ),
        failure,
    )


class StreamAssembly:
    """Adds up the chunks of one stream."""

    def __init__(self, *, generation_id: str | None = None) -> None:
        self.generation_id = generation_id
        self.done = False
        """Whether [DONE] was seen."""
        self.failure: Failure | None = None
        self.malformed = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._tools: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._native: str | None = None
        self._usage: object = None
        self._model: str | None = None
        self._provider: str | None = None
        self._last: Mapping[str, Any] = {}

    def add(self, events: Sequence[bytes]) -> list[tuple[str, str]]:
        """The pieces of text and of reasoning that these events add, in order; one of a pair may be empty.

        What comes after [DONE] counts for nothing, however the bytes were split.
        """
        if self.done:
            return []
        end = next((n for n, event in enumerate(events) if DONE in event and event.strip() == DONE), len(events))
        self.done = end != len(events)
        pieces = []
        for chunk in parse_events(events[:end]):
            if not isinstance(chunk, dict):
                self.malformed = True
                continue
            piece = self._add(chunk)
            if piece[0] or piece[1]:
                pieces.append(piece)
        return pieces

    def _add(self, chunk: Mapping[str, Any]) -> tuple[str, str]:
        self._note(chunk)
        choices = chunk.get("choices")
        choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
        if finish := choice.get("finish_reason"):
            self._finish = text_of(finish) or self._finish
        if native := choice.get("native_finish_reason"):
            self._native = text_of(native) or self._native
        error = chunk.get("error") or choice.get("error")
        if error and self.failure is None:
            self.failure = classify_error(error)
        return self._delta(_object(choice.get("delta")))

    def _note(self, chunk: Mapping[str, Any]) -> None:
        """Keeps what stands beside the text. A stream has hundreds of chunks that say the same: only news is read."""
        self._last = chunk
        if self.generation_id is None:
            self.generation_id = id_of(chunk.get("id"))
        if (model := chunk.get("model")) != self._model:
            self._model = text_of(model) or self._model
        if (provider := chunk.get("provider")) != self._provider:
            self._provider = text_of(provider) or self._provider
        if usage := chunk.get("usage"):
            self._usage = usage

    def _delta(self, delta: Mapping[str, Any]) -> tuple[str, str]:
        text = reasoning = ""
        if content := delta.get("content"):
            text = _content(content)
            self._text.append(text)
        if thought := delta.get("reasoning"):
            reasoning = _text(thought) or ""
            self._reasoning.append(reasoning)
        if refusal := delta.get("refusal"):
            self._refusal.append(_text(refusal) or "")
        if calls := delta.get("tool_calls"):
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    self._add_tool_call(call)
        return text, reasoning

    def _add_tool_call(self, fragment: Mapping[str, Any]) -> None:
        index = fragment.get("index")
        call = self._tools.setdefault(
            index if isinstance(index, int) else 0, {"type": "function", "function": {"name": "", "arguments": ""}}
        )
        function = _object(fragment.get("function"))
        call["id"] = fragment.get("id") or call.get("id")
        call["type"] = fragment.get("type") or call["type"]
        call["function"]["name"] = call["function"]["name"] or _text(function.get("name")) or ""
        call["function"]["arguments"] += _text(function.get("arguments")) or ""

    def completion(self, *, first_token_ms: float | None = None, total_ms: float | None = None) -> Completion:
        """What has arrived so far."""
        usage = parse_usage(self._usage)
        return Completion(
            text=clean("".join(self._text)),
            finish_reason=self._finish,
            native_finish_reason=self._native,
            usage=usage,
            cost=cost_of(usage),
            model=self._model,
            provider=self._provider,
            generation_id=self.generation_id,
            reasoning=clean("".join(self._reasoning)),
            refusal=clean("".join(self._refusal)) or None,
            tool_calls=tuple(call for _, call in sorted(self._tools.items())),
            first_token_ms=first_token_ms,
            total_ms=total_ms,
            raw=self._last,
        )

    def verdict(self) -> Failure | None:
        """The failure of the stream after its last byte; None: a complete answer.

        Complete means a finish reason, [DONE], and no error or unreadable chunk on the way.
        """
        said = any(self._text) or self._tools or any(self._reasoning) or any(self._refusal)
        if self.failure is not None:
            # What was generated before the error may be billed: only the usage, or the gateway's record, can tell.
            return replace(self.failure, billed="unknown") if said else self.failure
        if "error" in (self._finish, self._native):
            return failure_of("provider_unavailable", detail="the provider broke off", billed="unknown")
        if self.malformed:
            return failure_of("malformed", detail="a chunk of the stream is not JSON")
        if not self.done or self._finish is None:
            return failure_of("truncated")
        if not said and not self._usage:
            return failure_of("empty", detail="no text and no usage")
        return None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _content(value: object) -> str:
    """Text of a content field: a string, or the text parts of a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(_object(part).get("text")) or "" for part in value)
    return ""
