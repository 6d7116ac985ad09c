"""Takes keys out of whatever a gateway sends back, before anything else sees it.

A proxy that quotes a request's headers, a debug page, a provider's name, a model that was shown a log: what comes back
may hold a key that went out, as it is, cut short, or encoded. The client passes every text through here, so that no
table, log, export or screen needs to know of it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from assay.config import Gateway, Settings, endpoint_gateways
from assay.domain.completion import Completion
from assay.openrouter.failures import GatewayFailed

T = TypeVar("T")
GONE = "[key removed]"
SHORTEST = 8
"""Characters of a key at least; `none` or `ollama` are words, not secrets."""
PIECE = 12
"""Characters of a key in a row that are taken for it; of an encoded one 16."""
_ENCODED_PIECE = 16
DEEPEST = 100
"""Levels of JSON that are kept where a key stands in it."""
_PUBLIC = re.compile(r"sk-(?:or-v1-|ant-(?:api\d+-)?|proj-)?")
"""How keys of a kind begin: no secret."""
_WORDS = re.compile(r"[a-z_-]{0,15}")
"""A short key of letters alone is a placeholder, such as no-key-needed."""
_ESCAPED = re.compile(rb"\\(?:u00|/)")


def secrets_of(settings: Settings, gateway: Gateway) -> set[str]:
    """All keys that this process knows, whoever they are for."""
    held = [settings.openrouter_api_key, settings.openrouter_management_key, settings.api_token]
    for each in (gateway, *endpoint_gateways(settings)):
        held += [each.api_key, each.management_key]
    return {secret.get_secret_value().strip() for secret in held if secret is not None}


class Form:
    """One way in which a key may be written, and the pieces of it that give it away."""

    def __init__(self, whole: str, pieces: Iterable[str]) -> None:
        self.whole = whole
        self.pieces = tuple(pieces)


def _forms(secret: str) -> Iterator[Form]:
    public = _PUBLIC.match(secret)
    hidden = secret[public.end() :] if public else secret
    # Any run of 2 x PIECE - 1 characters holds one of these pieces; its ends too, however it was cut short.
    yield Form(secret, _pieces(hidden, PIECE, every=True) if len(hidden) >= PIECE else [secret])
    if len(hidden) < PIECE:
        return
    raw = secret.encode()
    written = {raw.hex(), raw.hex().upper(), quote(secret, safe="")}
    written |= {"".join(f"%{byte:02{case}}" for byte in raw) for case in "xX"}
    written |= {"".join(f"\\u{byte:04{case}}" for byte in raw) for case in "xX"}
    for shift in range(3):  # what stands before it, such as "Bearer ", moves the groups of three
        packed = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
        sure = packed[4 if shift else 0 : -2]
        written |= {sure, sure.replace("+", "-").replace("/", "_"), sure.replace("/", "\\/")}
    for whole in written - {secret}:
        yield Form(whole, _pieces(whole, _ENCODED_PIECE, every=False))


def _pieces(whole: str, size: int, *, every: bool) -> list[str]:
    last = max(0, len(whole) - size)
    places = [*range(0, last + 1, size), last] if every else [0, last // 2, last]
    return list(dict.fromkeys(whole[place : place + size] for place in places))


class Redactor:
    """Takes the given keys out of texts, bytes and JSON; one without keys gives back what it gets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        real = {s for s in secrets if len(s) >= SHORTEST and not _WORDS.fullmatch(s)}
        self.forms = [form for secret in sorted(real) for form in _forms(secret)]
        self._pieces = [piece for form in self.forms for piece in form.pieces]
        self._packed = [piece.encode() for piece in self._pieces]

    def holds(self, text: str) -> bool:
        """Whether a key, or a telling piece of one, stands in the text."""
        return any(piece in text for piece in self._pieces)

    def text(self, text: str) -> str:
        """The text without the keys."""
        if not self.holds(text):
            return text
        for form in self.forms:
            text = text.replace(form.whole, GONE)
            for piece in form.pieces:
                text = _without(text, form.whole, piece)
        return text

    def value(self, value: T) -> T:
        """JSON without the keys, in its names too."""
        return self._value(value) if self.holds("\n".join(_texts(value))) else value

    def _value(self, value: Any, depth: int = DEEPEST) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if depth == 0 and isinstance(value, Mapping | list | tuple):
            return GONE
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._value(each, depth - 1) for name, each in value.items()}
        return [self._value(each, depth - 1) for each in value] if isinstance(value, list | tuple) else value

    def body(self, body: bytes) -> bytes:
        """The body of an answer without the keys: JSON stays JSON, whatever its escapes hide."""
        if not self._packed or not (any(piece in body for piece in self._packed) or _ESCAPED.search(body)):
            return body
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        clean = self.value(said)
        return body if clean is said else json.dumps(clean, ensure_ascii=True).encode()

    def failed(self, error: GatewayFailed) -> GatewayFailed:
        """A failed call without the keys, in what it says and in what had arrived."""
        failure = error.failure
        provider = failure.provider and self.text(failure.provider)
        failure = replace(failure, message=self.text(failure.message), cure=self.text(failure.cure), provider=provider)
        partial = error.partial and self.completion(error.partial)
        kept = error.generation_id if not self.holds(error.generation_id or "") else None
        return GatewayFailed(
            failure, partial=partial, generation_id=kept, status=error.status, body=self.body(error.body)
        )

    def completion(self, completion: Completion) -> Completion:
        """An answer without the keys, in any of its fields."""
        texts = {name: value for name in _TEXTS if isinstance(value := getattr(completion, name), str)}
        values = {name: value for name in _VALUES if (value := getattr(completion, name))}
        if not self._pieces or not self.holds("\n".join((*texts.values(), *_texts(list(values.values()))))):
            return completion
        clean: dict[str, Any] = {name: self.text(text) for name, text in texts.items()}
        clean |= {name: type(value)(self._value(value)) for name, value in values.items()}
        if clean.get("generation_id") != completion.generation_id:
            clean["generation_id"] = None  # nothing can be asked for by it
        usage = completion.usage and replace(
            completion.usage,
            raw=self.value(completion.usage.raw),
            cost_details=self.value(completion.usage.cost_details),
        )
        return replace(completion, **clean, usage=usage, body=self.body(completion.body))


_TEXTS = (
    "text",
    "finish_reason",
    "model",
    "provider",
    "generation_id",
    "reasoning",
    "refusal",
    "native_finish_reason",
)
_VALUES = ("tool_calls", "media", "failed_providers", "raw")


def _texts(value: object) -> Iterator[str]:
    """All texts in a JSON value, however deeply it is nested, in no order."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            yield from map(str, each)
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each


def _without(text: str, whole: str, piece: str) -> str:
    """The text without each run that holds the piece and goes on, to both sides, as the key does."""
    place, offset = text.find(piece), whole.find(piece)
    kept, kept_to = [], 0
    while place >= 0:
        begin, end = place, place + len(piece)
        at = offset
        while begin > kept_to and at > 0 and text[begin - 1] == whole[at - 1]:
            begin, at = begin - 1, at - 1
        at = offset + len(piece)
        while end < len(text) and at < len(whole) and text[end] == whole[at]:
            end, at = end + 1, at + 1
        kept += [text[kept_to:begin], GONE]
        kept_to = end
        place = text.find(piece, end)
    return "".join((*kept, text[kept_to:]))


class Pieces:
    """A text that comes in pieces, without the keys: what may be a key's beginning waits for the next piece."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def add(self, piece: str) -> str:
        """What can be shown now."""
        text = self._held + piece
        sure = len(text) - max((_begun(text, form.whole) for form in self._redactor.forms), default=0)
        self._held = text[sure:]
        return self._redactor.text(text[:sure])

    def flush(self) -> str:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, ""
        return self._redactor.text(held)


def _begun(text: str, whole: str) -> int:
    """Characters at the text's end that are the beginning of the key, but not all of it."""
    most = min(len(text), len(whole) - 1)
    return next((size for size in range(most, 0, -1) if whole.startswith(text[len(text) - size :])), 0)
