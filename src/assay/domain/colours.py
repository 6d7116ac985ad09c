"""Ten contestant colours that colour-blind readers can tell apart, the same on every page and chart."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from assay.domain.contestant import Contestant

COLOURS = (
    "#4f46e5",
    "#d97706",
    "#0f8b8d",
    "#c2410c",
    "#8b5cf6",
    "#15803d",
    "#db2777",
    "#0284c7",
    "#78716c",
    "#a16207",
)


def colours_of(contestants: Sequence[Contestant]) -> dict[str, str]:
    """A colour per contestant key: by its model, and the next free one where two would share it."""
    taken: dict[str, str] = {}
    for contestant in contestants:
        start = crc32(contestant.model.encode()) % len(COLOURS)
        ordered = COLOURS[start:] + COLOURS[:start]
        taken[contestant.key] = next((c for c in ordered if c not in taken.values()), ordered[0])
    return taken
