"""Keys to look for, and the search for them: whole, in parts of twelve characters, and as they are commonly encoded."""

from __future__ import annotations

import base64
from urllib.parse import quote

KEYS = {
    "key": "sk-or-v1-c0ffee15900dfeedfacec0de8badf00dCANARYcafebabedeadbeef0123456789abcdef",
    "management": "sk-or-v1-9b1dmanage7f6e5d4c3b2aCANARY1029384756aabbccddeeff00112233445566",
    "endpoint": "local/end+point=key&odd%characters-5e4d3c2b1a",
    "token": "api-token-of-this-service-7c6b5a493827160f",
}
"""Of each kind that a process may hold."""
PART = 12


def _parts(text: str, size: int) -> set[str]:
    return {text[place : place + size] for place in range(len(text) - size + 1)}


def _telling(secret: str) -> set[bytes]:
    """What gives a key away: any twelve characters of it, of its hex, and sixteen of its base64 and percents."""
    hidden = secret.removeprefix("sk-or-v1-")
    raw = hidden.encode()
    found = _parts(hidden, PART) | _parts(raw.hex(), 2 * PART) | _parts(raw.hex().upper(), 2 * PART)
    for shift in range(3):
        packed = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")[4 if shift else 0 : -2]
        found |= _parts(packed, 16) | _parts(packed.replace("+", "-").replace("/", "_"), 16)
    found |= _parts(quote(hidden, safe=""), 16) | _parts("".join(f"%{byte:02x}" for byte in raw), 3 * PART)
    found |= _parts("".join(f"\\u{byte:04x}" for byte in raw), 6 * PART)
    return {part.encode() for part in found}


_TELLING = {part: name for name, secret in KEYS.items() for part in _telling(secret)}
_BY_SIZE = {size: {part for part in _TELLING if len(part) == size} for size in sorted({len(part) for part in _TELLING})}


def leaks(said: str | bytes) -> list[str]:
    """Where something of a key stands, with what stands around it; empty: nowhere."""
    content = said.encode("utf-8", "surrogateescape") if isinstance(said, str) else said
    found = []
    for size, parts in _BY_SIZE.items():
        here = parts.intersection(content[place : place + size] for place in range(len(content) - size + 1))
        for name, part in {_TELLING[part]: part for part in here}.items():
            place = content.find(part)
            found.append(f"{name}: {content[max(0, place - 120) : place + 80]!r}")
    return found
