"""The playground's panes: answers side by side, streaming, with facts, votes and a diff."""

from __future__ import annotations

import difflib
import html
import random
import re
import time
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from assay.domain.colours import colours_of
from assay.domain.contestant import names_of
from assay.views import components, words
from assay.workbench import playground
from assay.workbench.playground import ComparisonView, Pane
from assay.workbench.session import Session

PER_ROW = 3
FAST_S, SLOW_S, LONG = 0.1, 0.3, 8_000
STATUS = {
    "streaming": ":material/progress_activity: answering",
    "ok": ":material/check: done",
    "failed": ":material/error: failed",
    "stopped": ":material/stop_circle: stopped",
    "interrupted": ":material/link_off: interrupted",
}


def show(session: Session, comparison_id: str) -> None:
    """Shows a comparison and, while it streams, keeps it up to date until it is finished."""
    view = playground.watch(session, comparison_id)
    hidden = view.blind and view.vote is None
    order = list(range(len(view.panes)))
    if hidden:
        random.Random(comparison_id).shuffle(order)  # noqa: S311 - a repeatable shuffle, no secret
    _bar(session, view)
    colours = colours_of([pane.contestant for pane in view.panes])
    places: dict[int, DeltaGenerator] = {}
    for start in range(0, len(order), PER_ROW):
        chunk = order[start : start + PER_ROW]
        for column, position in zip(st.columns(min(PER_ROW, len(order))), chunk, strict=False):
            with column, st.container(border=True):
                name = (
                    f"Answer {chr(65 + order.index(position))}"
                    if hidden
                    else names_of([pane.contestant for pane in view.panes])[position]
                )
                components.dot("#8b90a0" if hidden else colours[view.panes[position].contestant.key], name)
                places[position] = st.empty()
                _actions(session, view, position)
    if not view.finished:
        _follow(session, comparison_id, places)
        st.rerun()
    source = st.session_state.get("playground.source") == "Source"
    for position, place in places.items():
        _finished(place, view.panes[position], comparison_id, source=source, hidden=hidden)
    _below(session, view, hidden=hidden)


def _bar(session: Session, view: ComparisonView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if view.finished:
            st.segmented_control(
                "Show answers as",
                ["Rendered", "Source"],
                default="Rendered",
                key="playground.source",
                label_visibility="collapsed",
            )
        else:
            st.button(
                "Stop all",
                key="playground.stop_all",
                icon=":material/stop_circle:",
                on_click=playground.stop_comparison,
                args=(session, view.id),
            )


def _actions(session: Session, view: ComparisonView, position: int) -> None:
    pane = view.panes[position]
    with st.container(horizontal=True):
        if pane.status == "streaming":
            st.button(
                "Stop",
                key=f"playground.stop.{position}",
                on_click=playground.stop_comparison,
                args=(session, view.id, position),
                type="tertiary",
                icon=":material/stop_circle:",
            )
            return
        if view.finished and pane.status == "ok":
            voted = view.vote == position
            st.button(
                "Best" if not voted else "Voted best",
                key=f"playground.best.{position}",
                icon=":material/thumb_up:",
                on_click=playground.vote,
                args=(session, view.id, None if voted else position),
                type="primary" if voted else "secondary",
            )
        if pane.status in ("failed", "interrupted", "stopped"):
            st.button(
                "Retry",
                key=f"playground.retry.{position}",
                icon=":material/refresh:",
                on_click=playground.retry_pane,
                args=(session, view.id, position),
            )


def _follow(session: Session, comparison_id: str, places: dict[int, DeltaGenerator]) -> None:
    """Streams as plain text; slower for long answers, because each update sends the whole text."""
    sent: dict[int, tuple[str, int, int]] = {}
    while True:
        view = playground.watch(session, comparison_id)
        for position, place in places.items():
            pane = view.panes[position]
            state = (pane.status, len(pane.text), len(pane.reasoning) if not pane.text else 0)
            if sent.get(position) != state or (pane.status == "streaming" and not pane.text):
                sent[position] = state
                _streaming(place, pane)
        if view.finished:
            return
        time.sleep(SLOW_S if max(len(p.text) for p in view.panes) > LONG else FAST_S)


def _streaming(place: DeltaGenerator, pane: Pane) -> None:
    with place.container():
        first = f"first token {words.seconds(pane.first_token_ms)}" if pane.first_token_ms is not None else "waiting"
        st.caption(f"{STATUS[pane.status]} · {first}")
        if pane.note:
            st.caption(words.label(pane.note, 600))
        if pane.reasoning and not pane.text:
            st.text(f"Thinking: {words.plain(pane.reasoning)[-400:]}")
        st.text(words.plain(pane.text) or " ")


def _finished(place: DeltaGenerator, pane: Pane, comparison_id: str, *, source: bool, hidden: bool) -> None:
    with place.container():
        if pane.status != "ok":
            st.caption(STATUS[pane.status])
        if pane.error:
            components.show_error(pane.error)
        if pane.reasoning:
            with st.expander("Reasoning", icon=":material/psychology:"):
                st.text(words.plain(pane.reasoning))
        if pane.text or pane.status == "ok":
            components.answer_text(pane.text, source=source, key=f"{comparison_id}_{pane.position}")
        if pane.note:
            st.caption(f":material/info: {words.label(pane.note, 600)}")
        elif pane.finish_reason == "length":
            st.caption(":material/content_cut: Cut at max_tokens.")
        st.caption(facts(pane, hidden=hidden))


def facts(pane: Pane, *, hidden: bool) -> str:
    """First token, total, speed, tokens, cost and provider in one line; a blind pane keeps cost and provider back."""
    speed = f"{pane.tokens_per_s:.0f} tok/s" if pane.tokens_per_s else ""
    tokens = (
        f"{pane.prompt_tokens:,} tokens in, {pane.completion_tokens:,} out"
        if pane.completion_tokens is not None
        else ""
    )
    parts = [
        f"first token {words.seconds(pane.first_token_ms)}",
        f"total {words.seconds(pane.total_ms)}",
        speed,
        tokens,
        "" if hidden else words.cost_words(pane.cost).replace("$", "\\$"),
        "" if hidden or not pane.provider else words.label(pane.provider),
        "" if hidden or not pane.failed_providers else f"after {words.label(', '.join(pane.failed_providers))} failed",
    ]
    return " · ".join(part for part in parts if part)


def _below(session: Session, view: ComparisonView, *, hidden: bool) -> None:
    if view.blind and hidden and all(pane.status != "streaming" for pane in view.panes):
        st.caption("Names, costs and providers show after your vote.")
        st.button("None of them is good", key="playground.none", on_click=playground.vote, args=(session, view.id, -1))
    answered = [pane for pane in view.panes if pane.text]
    if len(answered) >= 2 and not hidden:
        part = st.expander(
            "Difference between two answers", icon=":material/difference:", key="playground.diff", on_change="rerun"
        )
        if part.open:  # long answers take a second to compare
            with part:
                _difference(answered)


def _difference(panes: Sequence[Pane]) -> None:
    names = names_of([pane.contestant for pane in panes])
    left, right = st.columns(2)
    a = left.selectbox("From", range(len(panes)), format_func=lambda n: names[n], key="playground.diff.a")
    b = right.selectbox("To", range(len(panes)), index=1, format_func=lambda n: names[n], key="playground.diff.b")
    st.html(difference(panes[a or 0].text, panes[b or 0].text))


def difference(before: str, after: str) -> str:
    """The word difference of two texts as escaped HTML: removed words struck, added ones underlined.

    Spaces are no words: those of the second text stand where both have the same words.
    """
    old, new = (re.findall(r"\S+\s*|\s+", words.plain(text)[:20_000]) for text in (before, after))
    parts = []
    left, right = ([word.strip() for word in text] for text in (old, new))
    for what, a1, a2, b1, b2 in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        gone, come = html.escape("".join(old[a1:a2])), html.escape("".join(new[b1:b2]))
        if what == "equal":
            parts.append(come)
            continue
        if gone:
            parts.append(f'<del style="background:rgba(220,38,38,.18)">{gone}</del>')
        if come:
            parts.append(f'<ins style="background:rgba(22,163,74,.18)">{come}</ins>')
    return f'<div style="white-space:pre-wrap;line-height:1.6">{"".join(parts)}</div>'
