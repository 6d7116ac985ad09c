"""Ten contestant colours that colour-blind readers can tell apart, the same on every page and chart."""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = (
    "#4f46e5", "#d97706", "#0f8b8d", "#c2410c", "#8b5cf6", "#15803d", "#db2777", "#0284c7", "#78716c", "#a16207",
)  # fmt: skip


def colours_of(keys: Sequence[str]) -> dict[str, str]:
    """A colour per contestant key: by the key itself, and the next free one where two would share it."""
    taken: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        start = int(key[:6], 16) % len(COLOURS) if key[:6].isalnum() and _is_hex(key[:6]) else len(taken)
        ordered = COLOURS[start:] + COLOURS[:start]
        taken[key] = next((c for c in ordered if c not in taken.values()), ordered[0])
    return taken


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text) and bool(text)
