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
_COUNT = re.compile(r"\{\d+(,\d*)?\}")
_GROUP = re.compile(r"\(\?(:|=|!|<=|<!|<([A-Za-z_$][\w$]*)>)")
_NAMED = re.compile(r"\\k<([A-Za-z_$][\w$]*)>")
_CODE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
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
    if mark == "{" and not _COUNT.match(pattern, place):
        return "\\{", 1, False
    if pattern.startswith("(?", place):
        group = _GROUP.match(pattern, place)
        if group is None:
            raise GraderError(f"{shown(pattern)} is not a regular expression of JavaScript.", cure="Check its groups.")
        return f"(?P<{group[2]}>" if group[2] else group[0], len(group[0]), False
    return mark, 1, False


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
    # Python reserves these within a set.
    return (f"\\{mark}" if mark in "[&~|" else mark), 1, mark != "]"


def _escape(pattern: str, place: int, *, inside: bool) -> tuple[str, int]:
    mark = pattern[place + 1 : place + 2]
    if code := _CODE.match(pattern, place):
        return code[0], len(code[0])
    if mark == "s":
        return (SPACES if inside else f"[{SPACES}]"), 2
    if mark == "S" and not inside:
        return f"[^{SPACES}]", 2
    if mark == "k" and not inside and (named := _NAMED.match(pattern, place)):
        return f"(?P={named[1]})", len(named[0])
    if mark == "" or mark in _SAME or mark == "S" or not mark.isalnum():
        return f"\\{mark}", 2
    return re.escape(mark), 2


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern ready to search. Raises GraderError where it is none, or one that Python cannot run."""
    try:
        return re.compile(python_pattern(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise GraderError(f"{shown(pattern)} cannot be run: {error}.", cure="Check its brackets.") from error
