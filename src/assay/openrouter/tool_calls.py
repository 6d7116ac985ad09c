"""Tool calls put together from fragments, by index and id (wire reference 5.2, 13).

Servers that imitate OpenAI leave the index out, give two calls the same one, repeat the name in every fragment, or
send the arguments as an object; none of that may merge two calls or lose one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from assay.openrouter.wire_values import clean, clean_json

_LOOKS = 8
"""How often the arguments of one call are tested for being whole."""


@dataclass(slots=True)
class _Call:
    index: int
    id: str = ""
    type: str = "function"
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    looks: int = 0

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def is_whole(self) -> bool:
        """Whether its arguments are a JSON object already; not looked at for ever."""
        self.looks += 1
        if self.looks > _LOOKS or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(orjson.loads(self.arguments), dict)
        except ValueError:
            return False


class ToolCalls:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}
        """The call of each index that further fragments belong to."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add_from(self, message: Mapping[str, Any]) -> bool:
        """Adds the calls of a message or the fragments of a delta; whether there were any."""
        calls, old = message.get("tool_calls"), message.get("function_call")
        found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        if not found and isinstance(old, dict) and old:
            found = [{"function": old}]  # OpenAI's form before tool_calls
        for fragment in found:
            self._add(fragment)
        return bool(found)

    def _add(self, fragment: Mapping[str, Any]) -> None:
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = _text(function.get("name")), _json(function.get("arguments"))
        call = self._call_of(_number(fragment.get("index")), _id(fragment.get("id")), name, arguments)
        call.type = _text(fragment.get("type")) or call.type
        call.name = call.name or name
        if arguments:
            call.pieces.append(arguments)

    def _call_of(self, index: int | None, id: str, name: str, arguments: str) -> _Call:
        """The call that a fragment belongs to, which may begin with it."""
        known = next((call for call in reversed(self._calls[-64:]) if id and call.id == id), None)
        if known is not None and index in (None, known.index):
            return known
        newest = self._calls[-1] if self._calls else None
        current = newest if index is None else self._open.get(index)
        if current is None or _begins(current, id, name, arguments):
            place = newest.index if newest else 0
            current = _Call(place if index is None else index, id)
            self._calls.append(current)
        current.id = current.id or id
        self._open[current.index] = current
        return current

    def whole(self) -> tuple[Mapping[str, Any], ...]:
        """The calls, in the order of their indices and, within one, of their coming."""
        return tuple(
            {
                "id": clean(call.id) or None,
                "type": clean(call.type),
                "function": {"name": clean(call.name), "arguments": clean(call.arguments)},
            }
            for call in sorted(self._calls, key=lambda call: call.index)
        )


def _begins(current: _Call, id: str, name: str, arguments: str) -> bool:
    """Whether a fragment begins a further call although its index is the current one's, or missing."""
    if id:
        return bool(current.id) and id != current.id
    if not name or not current.name:
        return False
    # A name without an id: some servers repeat it in every fragment, others begin the next call with it.
    return name != current.name or (arguments.lstrip().startswith("{") and current.is_whole())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _id(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _json(value: object) -> str:
    """Arguments as text; some servers send the object itself."""
    if not isinstance(value, dict | list):
        return value if isinstance(value, str) else ""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # lone surrogates, integers beyond 64 bits, hundreds of levels
        return json.dumps(clean_json(value), ensure_ascii=False, default=str)
