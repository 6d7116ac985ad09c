"""JSON values as cells: text and numbers exactly as typed, objects and lists as JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from assay.errors import ImportRefused


class Number(str):
    """A JSON number as it was typed: 1.50 stays 1.50."""

    __slots__ = ()


_SURROGATE = "u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"\\u[dD][89aAbB]..\\u[dD][c-fC-F]..|(\\{_SURROGATE})|\\.", re.DOTALL)


class Decoder:
    """Decodes JSON values, and remembers what was lost on the way until it is asked."""

    def __init__(self) -> None:
        self.repeated = False
        """Whether an object, at any depth, named a field more than once; the last value stands."""
        self._decoder = json.JSONDecoder(parse_float=Number, parse_int=Number, object_pairs_hook=self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self.repeated = self.repeated or len(found) != len(pairs)
        return found

    def at(self, text: str, place: int) -> tuple[Any, int]:
        """The value that begins at a place, and the place of its end; half a character stays. Raises as `loads`."""
        return self._decoder.raw_decode(text, place)

    def loads(self, text: str) -> Any:
        """See `loads`."""
        return self._decoder.decode(whole(text))


def has_half(text: str) -> bool:
    """Whether a JSON text holds half a character as an escape."""
    return ("\\ud" in text or "\\uD" in text) and any(found[1] for found in _ESCAPE.finditer(text))


def whole(text: str) -> str:
    """A JSON text with U+FFFD for each half of a character."""
    if "\\ud" in text or "\\uD" in text:
        return _ESCAPE.sub(lambda found: "\\ufffd" if found[1] else found[0], text)
    return text


def loads(text: str) -> Any:
    """The value of a JSON text, its numbers as Number, half a character as U+FFFD: no file and no database holds it.

    Raises ValueError, RecursionError.
    """
    return _PLAIN.loads(text)


_PLAIN = Decoder()


def as_text(value: Any) -> str:
    """A value as a cell; nothing is an empty cell. Raises ImportRefused when it is nested too deeply."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    try:
        return _dumped(value)
    except RecursionError as error:
        raise ImportRefused("The JSON is nested too deeply.", cure="Flatten it.") from error


def _dumped(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_dumped(str(key))}: {_dumped(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
