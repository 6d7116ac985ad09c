"""A stream that is passed on as it comes, without the keys: event by event, also where a key comes in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from assay.openrouter.redaction import Pieces, Redactor

_EVENT = re.compile(rb"\r?\n\r?\n|\r\r")


class PassedOn:
    """Takes a stream's bytes as they come and gives them on in whole events.

    A text that may be the beginning of a key waits for the next event of its field, and stands in that event.
    """

    def __init__(self, redactor: Redactor, on_bytes: Callable[[bytes], object]) -> None:
        self._redactor = redactor
        self._on_bytes = on_bytes
        self._rest = bytearray()
        self._fields: dict[str, Pieces] = {}
        self._last: dict[str, Any] = {}

    def add(self, chunk: bytes) -> None:
        """Passes the events on that this chunk completes."""
        searched = max(0, len(self._rest) - 3)
        self._rest += chunk
        place, clean = 0, []
        for end in _EVENT.finditer(self._rest, searched):
            clean.append(self._event(bytes(self._rest[place : end.start()]), bytes(end[0])))
            place = end.end()
        del self._rest[:place]
        if said := b"".join(clean):
            self._on_bytes(said)

    def close(self) -> None:
        """Passes on what is left when the stream ends."""
        rest, self._rest = bytes(self._rest), bytearray()
        last = b"".join(self._leftovers()) + (self._event(rest, b"") if rest else b"")
        if last:
            self._on_bytes(last)

    def _event(self, event: bytes, end: bytes) -> bytes:
        if not event.startswith(b"data:"):
            return self._redactor.body(event) + end
        data = event[5:].strip()
        try:
            chunk = orjson.loads(data)
        except ValueError:
            return b"".join(self._leftovers()) + self._redactor.body(event) + end
        # The growing texts first: what waited of them belongs before what came.
        changed = isinstance(chunk, dict) and self._pass_fields(chunk)
        clean = self._redactor.value(chunk)
        changed |= clean is not chunk
        if isinstance(clean, dict):
            self._last = clean
        return b"data: " + json.dumps(clean).encode() + end if changed else event + end

    def _pass_fields(self, chunk: dict[str, Any]) -> bool:
        """Puts the texts of a chunk in order; whether any is another than before."""
        changed = False
        for place, fields, name in _texts_of(chunk):
            pieces = self._fields.setdefault(place, Pieces(self._redactor))
            said = pieces.add(fields[name])
            changed |= said != fields[name]
            fields[name] = said
        return changed

    def _leftovers(self) -> Iterator[bytes]:
        """An event with what still waited, for fields that got no further one."""
        left = {place: text for place, pieces in self._fields.items() if (text := pieces.flush())}
        delta: dict[str, Any] = {place: text for place, text in left.items() if not place.isdecimal()}
        calls = [{"index": int(n), "function": {"arguments": text}} for n, text in left.items() if n.isdecimal()]
        if left:
            more = {name: self._last[name] for name in ("id", "model", "object", "created") if name in self._last}
            delta |= {"tool_calls": calls} if calls else {}
            yield b"data: " + json.dumps(more | {"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def _texts_of(chunk: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The growing texts of a chunk: (place, the object that holds it, its name there)."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict):
        return
    for name, value in delta.items():
        if isinstance(value, str) and name != "role":
            yield name, delta, name
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            index = call.get("index")
            yield str(index if isinstance(index, int) and index >= 0 else 0), function, "arguments"
