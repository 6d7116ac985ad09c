"""Writes a pattern of Python's in the syntax of RE2, where the two can mean the same.

Python's own parser reads the pattern, so nothing is guessed. What RE2 has not (lookaround, backreferences, atomic and
possessive parts) or reads otherwise is refused with Unwritable; such a pattern needs Python's engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]  # no stubs: Python's parser is public in name only
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple


class Unwritable(ValueError):
    """RE2 cannot say it, or would say something else."""


class Written(NamedTuple):
    """A pattern for RE2."""

    pattern: str
    ascii_only: bool
    r"""Whether it means the same over ASCII alone: RE2's `\b` knows no other letters."""


def written(pattern: str, flags: int) -> Written:
    """The pattern in RE2's syntax. Raises Unwritable, and what Python's parser raises."""
    parsed = parser.parse(pattern, flags)
    writer = _Writer()
    text = writer.sequence(parsed, parsed.state.flags, last=True)
    return Written(text, writer.ascii_only)


_SPACES = r"\x{9}-\x{d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_NO_SPACES = (
    r"\x{0}-\x{8}\x{e}-\x{1b}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
)
_ASCII = {
    "DIGIT": r"0-9",
    "NOT_DIGIT": r"\D",
    "WORD": r"0-9A-Za-z_",
    "NOT_WORD": r"\W",
    "SPACE": r"\x{9}-\x{d} ",
    "NOT_SPACE": r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{10ffff}",
}
_UNICODE = {
    "DIGIT": r"\p{Nd}",
    "NOT_DIGIT": r"\P{Nd}",
    "WORD": r"\p{L}\p{N}_",
    "SPACE": _SPACES,
    "NOT_SPACE": _NO_SPACES,
}
"""Insides of a set. Not a word's letter has none: RE2 cannot cut sets."""
_ANY = r"(?s:.)"
_NOTHING = r"[^\x{0}-\x{10ffff}]"


class _Writer:
    """Writes parsed parts. last: whether nothing follows that could take a character."""

    def __init__(self) -> None:
        self.ascii_only = False

    def sequence(self, parts: Iterable[tuple[Any, Any]], flags: int, *, last: bool) -> str:
        """Parts that follow one another."""
        found = list(parts)
        return "".join(
            self._part(str(kind), value, flags, last=last and place == len(found) - 1)
            for place, (kind, value) in enumerate(found)
        )

    def _part(self, kind: str, value: Any, flags: int, *, last: bool) -> str:
        match kind:
            case "LITERAL":
                return _folding(_character(value), flags)
            case "NOT_LITERAL":
                return _folding(f"[^{_character(value)}]", flags)
            case "ANY":
                return _ANY if flags & re.DOTALL else r"[^\n]"
            case "IN":
                return _folding(self._set(value, flags), flags)
            case "AT":
                return self._at(str(value), flags, last=last)
            case "BRANCH":
                return f"(?:{'|'.join(self.sequence(branch, flags, last=last) for branch in value[1])})"
            case "SUBPATTERN":
                _, added, removed, inner = value
                return f"(?:{self.sequence(inner, (flags | added) & ~removed, last=last)})"
            case "MAX_REPEAT":
                return self._repeat(value, flags)
            case "MIN_REPEAT":
                return f"{self._repeat(value, flags)}?"
        raise Unwritable(kind)

    def _repeat(self, value: Sequence[Any], flags: int) -> str:
        low, high, inner = value
        times = {(0, sre.MAXREPEAT): "*", (1, sre.MAXREPEAT): "+", (0, 1): "?"}.get((low, high))
        if times is None:
            times = f"{{{low},{'' if high is sre.MAXREPEAT else high}}}"
        return f"(?:{self.sequence(inner, flags, last=False)}){times}"

    def _at(self, place: str, flags: int, *, last: bool) -> str:
        match place:
            case "AT_BEGINNING":
                return "(?m:^)" if flags & re.MULTILINE else r"\A"
            case "AT_BEGINNING_STRING":
                return r"\A"
            case "AT_END_STRING":
                return r"\z"
            case "AT_END" if flags & re.MULTILINE:
                return "(?m:$)"
            case "AT_END" if last:
                return r"(?:\n?\z)"  # Python's end is also before a last line break
            case "AT_BOUNDARY" | "AT_NON_BOUNDARY":
                self.ascii_only = self.ascii_only or not flags & re.ASCII
                return r"\b" if place == "AT_BOUNDARY" else r"\B"
        raise Unwritable(place)

    def _set(self, items: Sequence[tuple[Any, Any]], flags: int) -> str:
        negated = str(items[0][0]) == "NEGATE"
        kept = items[1:] if negated else items
        classes = {str(value).removeprefix("CATEGORY_") for kind, value in kept if str(kind) == "CATEGORY"}
        if any(f"NOT_{name}" in classes for name in classes):
            return _NOTHING if negated else _ANY
        known = _ASCII if flags & re.ASCII else _UNICODE
        if classes == {"NOT_WORD"} and len(kept) == 1:
            return f"[{'' if negated else '^'}{known['WORD']}]"
        inside = "".join(_inside(str(kind), value, known) for kind, value in kept)
        return f"[{'^' if negated else ''}{inside}]"


def _inside(kind: str, value: Any, known: dict[str, str]) -> str:
    match kind:
        case "LITERAL":
            return _character(value)
        case "RANGE":
            return f"{_character(value[0], half=True)}-{_character(value[1], half=True)}"
        case "CATEGORY" if (name := str(value).removeprefix("CATEGORY_")) in known:
            return known[name]
    raise Unwritable(kind)


def _character(code: int, *, half: bool = False) -> str:
    if 0xD800 <= code <= 0xDFFF and not half:
        raise Unwritable("half a character")
    mark = chr(code)
    return mark if mark.isascii() and mark.isalnum() else f"\\x{{{code:x}}}"


def _folding(piece: str, flags: int) -> str:
    return f"(?i:{piece})" if flags & re.IGNORECASE else piece
