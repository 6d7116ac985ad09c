"""Regular expressions as JavaScript reads them: promptfoo's patterns, translated for Python's engine.

Where the two differ a pattern would match other texts: `$` before a last line break, `.` on separators of lines, `\\d`
on digits of other scripts, `\\s`, names of groups. A character beyond the basic plane is one here, and two there.
"""

from __future__ import annotations

import re

from assay.errors import GraderError
from assay.scoring.kinds import shown

SPACES = "\\t-\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"
"""What `\\s` matches, as the inside of a set."""
NO_SPACES = (
    "\\0-\\x08\\x0e-\\x1f!-\\x9f\\u00a1-\\u167f\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e\\u2030-\\u205e\\u2060-\\u2fff"
    "\\u3001-\\ufefe\\uff00-\\U0010ffff"
)
"""What `\\S` matches."""
_GROUP = re.compile(r"\(\?(:|=|!|<=|<!|<([A-Za-z_$][\w$]*)>)")
_NAMED = re.compile(r"\\k<([A-Za-z_$][\w$]*)>")
_CODE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_CONTROL = re.compile(r"\\c([A-Za-z])")
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_TIMES = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})")
_CLASS = re.compile(r"\\[dDwWsS]")
_CLASS_BEFORE = re.compile(r"(?<!\\)(?:\\\\)*\\[dDwWsS]\Z")
_SAME = frozenset("bBdDwWfnrtv0123456789")
"""Letters and digits whose escape means the same in both."""


def python_pattern(pattern: str) -> str:
    """The pattern for Python's engine, to be compiled with re.ASCII. Raises GraderError for what JavaScript refuses."""
    found: list[str] = []
    place, inside = 0, False
    while place < len(pattern):
        piece, length, inside = _set_piece(pattern, place) if inside else _piece(pattern, place)
        found.append(piece)
        place += length
    return "".join(found)


def _piece(pattern: str, place: int) -> tuple[str, int, bool]:
    """The next piece outside a set: its translation, its length, and whether a set begins."""
    mark = pattern[place]
    if mark == "\\":
        piece, length = _escape(pattern, place, inside=False)
        return piece, length, False
    if mark == "[":
        return _set_start(pattern, place)
    if mark == ".":
        return "[^\\n\\r\\u2028\\u2029]", 1, False
    if mark == "$":
        return "\\Z", 1, False
    if times := _TIMES.match(pattern, place):
        return _times(pattern, times)
    if mark == "{":
        return "\\{", 1, False
    if pattern.startswith("(?", place):
        group = _GROUP.match(pattern, place)
        if group is None:
            raise GraderError(f"{shown(pattern)} is not a regular expression of JavaScript.", cure="Check its groups.")
        return f"(?P<{group[2]}>" if group[2] else group[0], len(group[0]), False
    return mark, 1, False


def _times(pattern: str, times: re.Match[str]) -> tuple[str, int, bool]:
    """How often the piece before stands; what follows cannot say it again, which to Python means something else."""
    whole = times[0] + ("?" if pattern.startswith("?", times.end()) else "")
    if _TIMES.match(pattern, times.start() + len(whole)):
        raise GraderError(f"{shown(pattern)} repeats a repetition.", cure="Put brackets around the inner one.")
    return whole, len(whole), False


def _set_start(pattern: str, place: int) -> tuple[str, int, bool]:
    if pattern.startswith("[^]", place):
        return "(?s:.)", 3, False
    if pattern.startswith("[]", place):
        return "(?!)", 2, False
    if pattern.startswith("[^", place):
        return "[^", 2, True
    return "[", 1, True


def _set_piece(pattern: str, place: int) -> tuple[str, int, bool]:
    mark = pattern[place]
    if mark == "\\":
        piece, length = _escape(pattern, place, inside=True)
        return piece, length, True
    # Python reserves these within a set, and refuses a range that begins or ends with a class.
    literal = mark in "[&~|" or (
        mark == "-" and (_CLASS.match(pattern, place + 1) or _CLASS_BEFORE.search(pattern, max(0, place - 50), place))
    )
    return (f"\\{mark}" if literal else mark), 1, mark != "]"


def _escape(pattern: str, place: int, *, inside: bool) -> tuple[str, int]:
    mark = pattern[place + 1 : place + 2]
    if pair := _PAIR.match(pattern, place):
        high, low = int(pair[1], 16), int(pair[2], 16)
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}", len(pair[0])
    if code := _CODE.match(pattern, place):
        return code[0], len(code[0])
    if control := _CONTROL.match(pattern, place):
        return f"\\x{ord(control[1]) % 32:02x}", 3
    if mark == "s":
        return (SPACES if inside else f"[{SPACES}]"), 2
    if mark == "S":
        return (NO_SPACES if inside else f"[^{SPACES}]"), 2
    if mark == "k" and not inside and (named := _NAMED.match(pattern, place)):
        return f"(?P={named[1]})", len(named[0])
    if mark == "" or mark in _SAME or not mark.isalnum():
        return f"\\{mark}", 2
    return re.escape(mark), 2
