"""From a JSON body or the chunks of a stream to a Completion, or to the failure inside a 200.

Source: wire reference 4, 5 and 6.4.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from assay.domain.completion import Completion
from assay.openrouter.failures import Failure, classify_body, classify_error, failure_of
from assay.openrouter.parts import NOTHING, Said, joined_media, said_in, thinking_apart, transcript_of
from assay.openrouter.routed import failed_providers
from assay.openrouter.tool_calls import ToolCalls
from assay.openrouter.usage import cost_of, parse_usage
from assay.openrouter.wire_values import clean, clean_json, id_of, text_of

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
    choices = body.get("choices")
    choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
    whole = StreamAssembly(generation_id=id_of(body.get("id")) or generation_id)
    whole.take_body(body, choice)
    return whole.completion(), classify_body(body, said=whole.said)


class StreamAssembly:
    """Adds up the chunks of one stream.

    clean: what errors and names go through before their words are cut and kept.
    """

    def __init__(self, *, generation_id: str | None = None, clean: Callable[[Any], Any] = lambda error: error) -> None:
        self._clean = clean
        self.generation_id = generation_id
        self.done = False
        """Whether [DONE] was seen."""
        self.failure: Failure | None = None
        self.malformed = False
        self.events = 0
        """Events seen that hold a chunk."""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._media: list[Mapping[str, Any]] = []
        self._tools = ToolCalls()
        self._finish: str | None = None
        self._native: str | None = None
        self._usage: object = None
        self._usage_beside_text = False
        """Whether usage came with pieces of the answer: then it does not tell the end."""
        self._usage_last = False
        """Whether the last chunk was one that holds usage and nothing else."""
        self._model: str | None = None
        self._provider: str | None = None
        self._metadata: object = None
        self._last: Mapping[str, Any] = {}

    def add(self, events: Sequence[bytes], *, cut: bool = False) -> list[tuple[str, str]]:
        """The pieces of text and of reasoning that these events add, in order.

        One of a pair may be empty, and both where something else was said: a refusal, a part of a tool call.
        What comes after [DONE] counts for nothing, however the bytes were split. cut: the connection's end cut the
        last event off; it counts when it can be read.
        """
        if self.done:
            return []
        end = next((n for n, event in enumerate(events) if DONE in event and event.strip() == DONE), len(events))
        self.done = end != len(events)
        pieces = []
        for event, chunk in zip(events, parse_events(events[:end]), strict=False):
            if not isinstance(chunk, dict):
                # An event without data is a keep-alive of some servers.
                self.malformed |= not cut and bool(event.strip())
                continue
            self.events += 1
            piece = self._add(chunk)
            if piece is not None:
                pieces.append(piece)
        return pieces

    def _add(self, chunk: Mapping[str, Any]) -> tuple[str, str] | None:
        self._note(chunk)
        choices = chunk.get("choices")
        choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
        self._note_end(choice)
        error = chunk.get("error") or choice.get("error")
        if error and self.failure is None:
            self.failure = classify_error(self._clean(error))
        delta = choice.get("delta")
        said, called = self._take(_object(choice.get("message") if delta is None else delta))
        if usage := chunk.get("usage"):
            self._usage = usage
            self._usage_beside_text |= said.anything or called
        self._usage_last = (
            bool(usage) and not said.anything and not called and (not choices or not self._usage_beside_text)
        )
        return (said.text, said.reasoning) if said.anything or called else None

    def _note(self, chunk: Mapping[str, Any]) -> None:
        """Keeps what stands beside the text. A stream has hundreds of chunks that say the same: only news is read."""
        self._last = chunk
        if self.generation_id is None:
            self.generation_id = id_of(chunk.get("id"))
        if (model := chunk.get("model")) != self._model:
            self._model = text_of(model) or self._model
        if (provider := chunk.get("provider")) != self._provider:
            self._provider = text_of(provider) or self._provider
        if metadata := chunk.get("openrouter_metadata"):
            self._metadata = metadata

    def _note_end(self, choice: Mapping[str, Any]) -> None:
        if finish := choice.get("finish_reason"):
            self._finish = text_of(finish) or self._finish
        if native := choice.get("native_finish_reason"):
            self._native = text_of(native) or self._native

    def _take(self, delta: Mapping[str, Any]) -> tuple[Said, bool]:
        """Adds what a delta or a message says; and whether it called a tool."""
        content = delta.get("content")
        if isinstance(content, str) and delta.keys() <= _PLAIN:  # nearly all pieces of nearly all streams
            if not content:
                return NOTHING, False
            self._text.append(content)
            return Said(content), False
        said, called = said_in(delta), self._tools.add_from(delta)
        self._text.append(said.text)
        self._reasoning.append(said.reasoning)
        self._refusal.append(said.refusal)
        self._media += said.media
        return said, called

    def take_body(self, body: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        """Takes a plain answer, which says everything at once."""
        self._note(body)
        self._note_end(choice)
        self._usage = body.get("usage")
        message = choice.get("message")
        self._take(message if isinstance(message, dict) else {"content": choice.get("text")})

    @property
    def said(self) -> bool:
        """Whether anything was said, if only in thought."""
        return self.answered or any(self._reasoning)

    @property
    def answered(self) -> bool:
        """Whether it brought an answer: text, a refusal, a tool call, an image."""
        return bool(self._tools or self._media) or any(self._text) or any(self._refusal)

    def completion(self, *, first_token_ms: float | None = None, total_ms: float | None = None) -> Completion:
        """What has arrived so far."""
        usage = parse_usage(self._usage)
        media = tuple(clean_json(part) for part in joined_media(self._media))
        text, reasoning = thinking_apart(clean("".join(self._text)), clean("".join(self._reasoning)))
        return Completion(
            text=text or transcript_of(media),
            finish_reason=self._finish,
            native_finish_reason=self._native,
            usage=usage,
            cost=cost_of(usage),
            model=self._model,
            provider=self._provider,
            generation_id=self.generation_id,
            reasoning=reasoning,
            refusal=clean("".join(self._refusal)) or None,
            tool_calls=self._tools.whole(),
            media=media,
            failed_providers=failed_providers(self._clean(self._metadata)),
            first_token_ms=first_token_ms,
            total_ms=total_ms,
            raw=self._last,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come but the usage or [DONE], by one of the three signs of the end."""
        return self.done or self._finish is not None or self._usage_last

    @property
    def has_usage(self) -> bool:
        """Whether the usage came."""
        return bool(self._usage)

    def verdict(self) -> Failure | None:
        """The failure of the stream after its last byte; None: a complete answer.

        Complete means: it brought an answer (or a reason why there is none), and [DONE], a finish reason or a last
        chunk of usage alone, and no error or unreadable chunk on the way. Usage that comes with every piece is no sign
        of the end: what breaks off then is truncated.
        """
        if self.failure is not None:
            # What was generated before the error may be billed: only the usage, or the gateway's record, can tell.
            return replace(self.failure, billed="unknown") if self.said else self.failure
        if "error" in (self._finish, self._native):
            return failure_of("provider_unavailable", detail="the provider broke off", billed="unknown")
        if self.malformed:
            return failure_of("malformed", detail="a chunk of the stream is not JSON")
        if self.done and not self.said and self._finish is None:
            return failure_of("empty", detail="the stream has no choices")
        if not self.ended or (not self.answered and self._finish is None):
            return failure_of("truncated")
        if not self.said and not self._usage:
            return failure_of("empty", detail="no text and no usage")
        return None


_PLAIN = frozenset({"role", "content"})


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
