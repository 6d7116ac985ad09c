"""The rows of a comparison: filtered by what became of them, read one by one with both answers and their difference."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from assay.money import format_usd
from assay.prompts.differences import line_diff
from assay.views import components, words
from assay.views.prompts.template import difference_html
from assay.workbench.results.cells import CellDetail, cell_detail
from assay.workbench.results.pairing import Change, Half, Pairing, PairRow, Side
from assay.workbench.session import Session

SHOWN = {"worse": "Worse", "better": "Better", "same": "Same", "unscored": "Not scored", "all": "All"}
LISTED = 500
"""Rows in the list; the reader goes through all."""
WORD = {True: ":green[:material/check_circle: pass]", False: ":red[:material/cancel: fail]", None: "not scored"}


@st.fragment
def rows_part(session: Session, pair: Pairing) -> None:
    """Filter, reader and list."""
    with components.errors_in_words():
        show = _filter(pair)
        rows = pair.of(show)  # type: ignore[arg-type]  # one of SHOWN
        if not rows:
            st.caption("No such row.")
            return
        _reader(session, pair, rows)
        _listed(pair, rows)


def _filter(pair: Pairing) -> str:
    counts = {change: len(pair.of(change)) for change in get_args(Change)} | {"all": len(pair.rows)}
    wanted = st.query_params.get("show", "all")
    st.session_state["compare.show"] = wanted if wanted in SHOWN else "all"

    def keep() -> None:
        st.query_params["show"] = st.session_state["compare.show"] or "all"
        st.query_params.pop("row", None)

    shown = [name for name in SHOWN if counts[name] or name in ("worse", "better", "all", wanted)]
    st.segmented_control(
        "Rows by what became of their score",
        shown,
        key="compare.show",
        format_func=lambda name: f"{SHOWN[name]} {counts[name]:,}",
        on_change=keep,
    )
    return str(st.session_state["compare.show"] or "all")


def _reader(session: Session, pair: Pairing, rows: tuple[PairRow, ...]) -> None:
    """One row, and buttons to its neighbours: J and K do the same."""
    keys = [row.key for row in rows]
    wanted = st.query_params.get("row")
    at = keys.index(wanted) if wanted in keys else 0

    def go(step: int) -> None:
        st.query_params["row"] = keys[(at + step) % len(keys)]

    with st.container(horizontal=True, vertical_alignment="center"):
        for step, name, key, icon in ((-1, "Previous", "k", "back"), (1, "Next", "j", "forward")):
            st.button(
                name,
                key=f"compare.{name.lower()}",
                icon=f":material/arrow_{icon}:",
                shortcut=key,
                on_click=go,
                args=(step,),
            )
        st.markdown(f"Row **{words.label(keys[at])}** · {at + 1:,} of {len(keys):,} · {rows[at].change}")
    row = rows[at]
    before, after = _detail(session, pair.a, row.before), _detail(session, pair.b, row.after)
    _given(pair, before, after)
    left, right = st.columns(2, gap="medium")
    with left:
        _answer("Baseline", pair.a, row.before, before)
    with right:
        _answer("Compared", pair.b, row.after, after)
    texts = [detail.record.output for detail in (before, after)]
    if texts[0] == texts[1]:
        st.caption("Both answers are the same, letter by letter.")
    else:
        st.caption("Difference of the answers")
        st.html(difference_html(line_diff(*texts)))


def _detail(session: Session, side: Side, half: Half) -> CellDetail:
    return cell_detail(session, side.run.id, half.cells[0])


def _given(pair: Pairing, before: CellDetail, after: CellDetail) -> None:
    """The row's values, what was expected first; where the two versions differ, both."""
    columns = dict(zip(pair.b.run.dataset.columns, after.record.values, strict=False))
    was = dict(zip(pair.a.run.dataset.columns, before.record.values, strict=False))
    expected = pair.b.run.plan.expected_column
    names = sorted(columns, key=lambda name: name != expected)
    with st.container(border=True, gap="xxsmall"):
        for name in names[:12]:
            role = " (expected)" if name == expected else ""
            before_value = was.get(name, columns[name])
            edited = "" if before_value == columns[name] else f" (in the baseline: {words.label(before_value, 300)})"
            st.markdown(f"**{words.label(name)}**{role}: {words.label(columns[name], 600) or '–'}{edited}")
        if len(names) > 12:
            st.caption(f"and {len(names) - 12:,} further columns")


def _answer(title: str, side: Side, half: Half, detail: CellDetail) -> None:
    record = detail.record
    st.markdown(f":gray-badge[{title}] **{words.label(side.label)}**")
    score = "not scored" if half.score is None else f"{half.score:.2f}"
    cost = "cost unknown" if half.cost_pico is None else format_usd(round(half.cost_pico))
    more = f" · first of {len(half.cells)} answers" if len(half.cells) > 1 else ""
    st.caption(f"score {score} · {cost} · {words.seconds(half.ms)}{more}".replace("$", "\\$"))
    if record.error:
        components.show_error(record.error)
    if record.output or not record.error:
        components.answer_text(record.output, source=True, key=f"compare_{title}")
    for score_row in record.scores:
        st.markdown(f"{words.label(detail.graders[score_row.grader])}: {WORD[score_row.passed]}")
        st.caption(words.label(score_row.reason, 300))


def _listed(pair: Pairing, rows: tuple[PairRow, ...]) -> None:
    """The rows of the filter; a selected one is read above."""
    shown = rows[:LISTED]
    columns = {
        "Row": [row.key for row in shown],
        "Change": [row.change for row in shown],
        "Baseline": [row.before.score for row in shown],
        "Compared": [row.after.score for row in shown],
        "Baseline's answer": [words.plain(row.before.preview) for row in shown],
        "Compared answer": [words.plain(row.after.preview) for row in shown],
    }

    def pick() -> None:
        chosen: Any = st.session_state["compare.rows"]
        if chosen.selection.rows and chosen.selection.rows[0] < len(shown):
            st.query_params["row"] = shown[chosen.selection.rows[0]].key

    st.dataframe(
        columns,
        hide_index=True,
        key="compare.rows",
        on_select=pick,
        selection_mode="single-row",
        height=320 if len(shown) > 8 else "auto",
        placeholder="–",
        column_config={name: st.column_config.NumberColumn(format="%.2f") for name in ("Baseline", "Compared")},
    )
    if len(rows) > len(shown):
        st.caption(f"The first {len(shown):,} of {len(rows):,} rows; the buttons above go through all.")
