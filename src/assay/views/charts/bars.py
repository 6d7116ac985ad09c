"""Ranked bars as a small table of HTML: a page holds several of them for the price of none of a chart library's."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from assay.views import words

MOST = 10
ACCENT = "#6366f1"
_ROW = "display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 .75rem;padding:.22rem 0"
_NAME = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_AMOUNT = "font-variant-numeric:tabular-nums;text-align:right"
_TRACK = "grid-column:1/-1;height:5px;border-radius:3px;background:rgba(128,132,149,.18);margin-top:.15rem"


class Bar(NamedTuple):
    """A named amount, >= 0, and how it is written."""

    name: str
    amount: float
    written: str


def ranked(bars: Sequence[Bar], *, colours: Mapping[str, str] | None = None, label: str) -> None:
    """Bars in the order given, the largest full; past the tenth they are counted. colours: by name, else the accent."""
    st.html(as_html(bars, colours=colours or {}, label=label))


def as_html(bars: Sequence[Bar], *, colours: Mapping[str, str], label: str) -> str:
    """The bars as HTML; names are untrusted and escaped."""
    largest = max((bar.amount for bar in bars), default=0.0)
    lines = [_line(bar, largest, colours.get(bar.name, ACCENT)) for bar in bars[:MOST]]
    if len(bars) > MOST:
        lines.append(f'<div style="opacity:.7;padding-top:.3rem">and {len(bars) - MOST:,} more in the table</div>')
    return f'<div role="list" aria-label="{html.escape(label)}">{"".join(lines)}</div>'


def _line(bar: Bar, largest: float, colour: str) -> str:
    name = html.escape(words.plain(bar.name))
    share = 100 * bar.amount / largest if largest else 0.0
    least = "min-width:2px;" if bar.amount else ""
    return (
        f'<div role="listitem" style="{_ROW}"><span style="{_NAME}" title="{name}">{name}</span>'
        f'<span style="{_AMOUNT}">{html.escape(bar.written)}</span>'
        f'<div style="{_TRACK}"><div style="{least}width:{share:.1f}%;height:100%;border-radius:3px;'
        f'background:{colour}"></div></div></div>'
    )
