"""Templates with their variables as chips, and what changed between two, as escaped HTML."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator, Sequence

import streamlit as st

from assay.domain.contestant import Prompt
from assay.prompts.differences import DiffLine, SectionDiff, sections_of
from assay.prompts.template import pieces
from assay.views import words

BOX = (
    "border:1px solid rgba(128,128,128,.28);border-radius:.375rem;padding:.6rem .75rem;font-family:'Source Code Pro',"
    "ui-monospace,monospace;font-size:.86rem;line-height:1.6;white-space:pre-wrap;overflow-wrap:anywhere;"
    "max-height:24rem;overflow:auto"
)
CHIP = "border-radius:.3rem;padding:.05rem .3rem;font-weight:600;"
KNOWN, UNDEFINED = "background:rgba(99,102,241,.18)", "background:rgba(220,38,38,.2);border:1px dashed rgb(220,38,38)"
AROUND = 3
"""Unchanged lines shown around a change."""
STYLE = {
    "-": ("rgba(220,38,38,.10)", "background:rgba(220,38,38,.28);text-decoration:line-through"),
    "+": ("rgba(22,163,74,.10)", "background:rgba(22,163,74,.28);text-decoration:underline"),
    " ": ("transparent", ""),
}


def show_prompt(prompt: Prompt, *, source: bool = False, undefined: Collection[str] = ()) -> None:
    """Every message of a template under its role; source: as plain code that can be copied."""
    sections = sections_of(prompt)
    for section in sections:
        with st.container(gap="xxsmall"):
            if len(sections) > 1:
                st.caption(section.role.capitalize())
            if source or len(section.text) > words.MARKDOWN_LIMIT:
                show_source(section.text)
            else:
                st.html(f'<div style="{BOX}">{template_html(section.text, undefined=undefined)}</div>')


def show_source(text: str) -> None:
    """Text as it is, to be copied; a long one in a box that scrolls."""
    long = text.count("\n") > 20 or len(text) > 2_000
    st.code(words.plain(text) or " ", language=None, wrap_lines=True, height=400 if long else "content")


def template_html(text: str, *, undefined: Collection[str] = ()) -> str:
    """A template with each variable as a chip; those that are undefined in red, dashed, and said in a title."""
    parts = []
    for written, name in pieces(text):
        shown = html.escape(words.plain(written))
        if name is None:
            parts.append(shown)
        elif name in undefined:
            parts.append(f'<span style="{CHIP}{UNDEFINED}" title="undefined">{shown}</span>')
        else:
            parts.append(f'<span style="{CHIP}{KNOWN}">{shown}</span>')
    return "".join(parts) or " "


def variable_badges(names: Sequence[str]) -> None:
    """The variables of a prompt in one line; none: it says so."""
    if not names:
        st.caption("No variables: every row is sent the same text.")
        return
    chips = " ".join(
        f'<span style="{CHIP}{KNOWN};font-size:.86rem">{html.escape(words.plain(f"{{{{{name}}}}}"))}</span>'
        for name in names[:40]
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.35rem;align-items:center">{chips}</div>')


# -- differences -----------------------------------------------------------------------------------------------


def show_difference(sections: Sequence[SectionDiff]) -> None:
    """What changed, message by message; lines that went are marked with -, lines that came with +."""
    changed = [section for section in sections if section.changed]
    if not changed:
        st.caption("The two are the same.")
    for section in changed:
        with st.container(gap="xxsmall"):
            st.caption(section.title.capitalize())
            st.html(difference_html(section.lines))


def difference_html(lines: Sequence[DiffLine]) -> str:
    """Lines with their marks; long stretches without a change are folded into a count."""
    return f'<div style="{BOX};padding:.3rem 0;max-height:36rem">{"".join(_folded(lines))}</div>'


def _folded(lines: Sequence[DiffLine]) -> Iterator[str]:
    near = [False] * len(lines)
    for n, line in enumerate(lines):
        if line.mark != " ":
            near[max(0, n - AROUND) : n + AROUND + 1] = [True] * len(near[max(0, n - AROUND) : n + AROUND + 1])
    hidden = 0
    for line, shown in zip(lines, near, strict=True):
        if not shown:
            hidden += 1
            continue
        if hidden:
            yield _fold(hidden)
            hidden = 0
        yield _line(line)
    if hidden:
        yield _fold(hidden)


def _fold(count: int) -> str:
    return f'<div style="opacity:.65;padding:0 .75rem">⋯ {count:,} unchanged line{"" if count == 1 else "s"}</div>'


def _line(line: DiffLine) -> str:
    ground, changed = STYLE[line.mark]
    text = "".join(
        f'<span style="{changed}">{_shown(span.text)}</span>' if span.changed else _shown(span.text)
        for span in line.spans
    )
    return (
        f'<div style="display:flex;background:{ground};padding:0 .75rem">'
        f'<span style="flex:none;width:1.4rem;font-weight:700;user-select:none">{line.mark.strip()}</span>'
        f'<span style="min-width:0;flex:1">{text or "&nbsp;"}</span></div>'
    )


def _shown(text: str) -> str:
    return html.escape(words.plain(text))
