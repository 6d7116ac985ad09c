"""Numbers and untrusted text as people read them."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from assay.domain.completion import Cost
from assay.money import format_usd
from assay.money import plain as digits

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS = re.compile(r"([\\`*_\[\]{}()#+\-!|~$:<>&])")
_LIVE = re.compile(r":(?=[\w+/-]*[a-z+][\w+/-]*:|//)|(?<=www)(?=\.)", re.IGNORECASE)
"""Where an icon, an emoji or a link begins: Streamlit finds these in the text itself, escaped or not."""
MARKDOWN_LIMIT = 50_000


def plain(text: str) -> str:
    """Untrusted text without control characters; direction marks are made visible."""
    shown = _CONTROL.sub("\ufffd", text.encode("utf-8", "replace").decode())
    return _DIRECTION.sub(lambda found: f"<U+{ord(found.group()):04X}>", shown)


def defanged(text: str) -> str:
    """Untrusted Markdown in which no image loads."""
    return re.sub(r"!(?=\[)", "!\u200b", plain(text))


def label(text: str, limit: int = 80) -> str:
    """Untrusted text as a widget's label: one line, every mark of Markdown escaped, no icon, emoji or link."""
    flat = " ".join(plain(text).split())
    flat = flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
    return _MARKS.sub(r"\\\1", _LIVE.sub("\\g<0>\u200b", flat))


def cost_words(cost: Cost) -> str:
    """A cost with where it is known from."""
    if cost.pico is None:
        return "cost unknown"
    mark = "about " if cost.provenance == "estimated" and cost.pico else ""
    said = f"{mark}{format_usd(cost.pico)} {cost.provenance}"
    if not cost.upstream_pico:
        return said
    part = "" if cost.upstream_pico == cost.pico else f", {format_usd(cost.upstream_pico)} of it"
    return f"{said}{part} by your own key"


def counted(count: int, noun: str) -> str:
    """A number with its noun, which is in the plural unless the number is 1."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def seconds(ms: float | None) -> str:
    """Milliseconds in human units; None is a dash."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 60_000 else f"{ms / 60_000:.1f} min"


def duration(value_s: float | None) -> str:
    """Seconds in human units; None is a dash."""
    if value_s is None:
        return "–"
    if value_s < 60:
        return f"{max(1, round(value_s))} s"
    return f"{value_s / 60:.0f} min" if value_s < 5400 else f"{value_s / 3600:.1f} h"


def per_million(price: Decimal | None) -> str:
    """USD per million tokens."""
    if price is None:
        return "?"
    return "free" if price == 0 else f"${digits(price)}"


def context(length: int | None) -> str:
    """A context length."""
    if not length:
        return "? context"
    return f"{length / 1_000_000:g}M" if length >= 1_000_000 else f"{round(length / 1000)}k"


def moment(ms: int) -> str:
    """A time in the local zone: the hour today, else the date too."""
    local = datetime.fromtimestamp(ms / 1000)
    return local.strftime("%H:%M") if local.date() == datetime.now().date() else local.strftime("%d %b %H:%M")
