"""Text from outside as a terminal or a log may have it: what would steer it is shown as an escape."""

from __future__ import annotations

import re

_STEERS = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1: ESC, CSI and OSC begin here
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of what follows
    r"\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # line separators, and what is never seen
    r"\ud800-\udfff"  # lone surrogates, which no terminal can be sent
)
_STEERING = re.compile(f"[{_STEERS}]")
_STEERING_OR_BREAK = re.compile(f"[{_STEERS}\\n]")


def as_escapes(text: str, *, one_line: bool = False) -> str:
    r"""The text with control characters, bidi overrides and lone surrogates as \x1b or \u202e; the rest as it is.

    one_line: line feeds too, for a name within a line.
    """
    return (_STEERING_OR_BREAK if one_line else _STEERING).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0A:
        return "\\n"
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_json_escapes(text: str) -> str:
    """JSON text with the same characters in JSON's own escapes: it means exactly what it meant."""
    return _STEERING.sub(lambda found: _json_escape(ord(found[0])), text)


def _json_escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
