"""The results page: the list of runs, and one run with its scoreboard, chart, rows and calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from assay.datasets.roles import guess_roles
from assay.domain.colours import colours_of
from assay.exports.scoreboard import ContestantScore
from assay.prompts.template import prompt_variables
from assay.views import components, words
from assay.views.prompts.template import show_prompt
from assay.views.results import growth, run_history, run_progress
from assay.views.results.cell_view import cell_panel
from assay.views.results.export_menu import export_menu
from assay.views.results.failed_rows import failed_rows_menu
from assay.views.results.frontier import frontier_part
from assay.views.results.scoreboard import scoreboard
from assay.views.results.verdict import verdict_block
from assay.views.spend.money_table import dollars, exact, money_table
from assay.views.state import go_to
from assay.workbench.results import cells as results
from assay.workbench.results.cells import RunRecord
from assay.workbench.results.standing import standing
from assay.workbench.running import runs
from assay.workbench.running.estimating import length_notes
from assay.workbench.session import Session
from assay.workbench.spending import spend

PAGE = 50
FEW = 11
"""Rows that are shown whole, without a box that scrolls."""
BOARD_EVERY_S = 5.0
BOARD_EVERY_LARGE_S = 20.0
"""Of a large run, whose scores move slowly: the chart is drawn anew in every tab that shows it."""
EARLY = 0.02
"""Share of the cells until which a large board, too, is renewed as often as a small one."""
SHOW = {"all": "All rows", "failed": "Not passed", "errors": "No answer", "disagree": "Disagreements"}


def run_list(session: Session) -> None:
    """All runs, newest first; a selected one opens."""
    found = runs.list_runs(session, limit=200)
    if not found:
        st.info("No run yet. A batch eval sends a file of prompts to several models.", icon=":material/leaderboard:")
        if st.button("Start a batch eval", type="primary", key="results.first"):
            go_to("batch")
        return
    columns = {
        "Run": [words.plain(r.name) for r in found],
        "State": ["waits" if r.waits else r.state for r in found],
        "Started": [words.moment(r.created_ms) for r in found],
        "Cells": [f"{r.done:,} of {r.cells:,}" for r in found],
        "Failed": [r.failed for r in found],
        "Spent": dollars(r.spent_pico for r in found),
        "Gateway": [r.gateway for r in found],
    }
    said = {(n, "Spent"): r.spent_words for n, r in enumerate(found) if r.unknown_calls}
    event: Any = st.dataframe(
        money_table(columns, ("Spent",), said=said),
        hide_index=True,
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        key="results.list",
    )
    if event.selection.cells:
        st.query_params["run"] = found[event.selection.cells[0][0]].id
        st.rerun()
    chosen = [found[n] for n in sorted(event.selection.rows) if n < len(found)]
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 1 and st.button("Open", key="results.open", icon=":material/open_in_new:"):
            st.query_params["run"] = chosen[0].id
            st.rerun()
        if len(chosen) == 2 and st.button("Compare", type="primary", key="results.compare", icon=":material/compare:"):
            go_to("compare", a=chosen[1].id, b=chosen[0].id)
        st.caption("Click on a run to open it; tick two to compare them, the older one is the baseline.")


def run_page(session: Session, run_id: str) -> None:
    """One run."""
    run = results.get_run(session, run_id)
    name, actions = st.columns([1, 1], vertical_alignment="center")
    name.subheader(words.label(run.name, 120), anchor=False)
    with actions.container(horizontal=True, horizontal_alignment="right"):
        st.button("All runs", key="results.back", icon=":material/arrow_back:", on_click=_close)
        if run.done and st.button("Compare", key="results.compare", icon=":material/compare:"):
            go_to("compare", b=run.id)
        failed_rows_menu(session, run)
        export_menu(session, run)
    live = run.state in runs.LIVE
    if run.done and not live:
        verdict_block(session, run, standing(session, run.id), live=False)
    run_progress.panel(session, run.id)
    if not live:
        run_history.estimate_caption(session, run)
        growth.actions(session, run)
    run_history.gates(session, run)
    _standing(session, run, live=live)
    _tabs(session, run)


def _standing(session: Session, run: RunRecord, *, live: bool) -> None:
    """Scoreboard and chart, and the verdict so far while the run is worked: then they renew themselves."""
    colours = colours_of(run.plan.contestants)

    early = _is_early(standing(session, run.id).board)
    seconds = BOARD_EVERY_S if early or run.plan.cell_count <= run_progress.LARGE else BOARD_EVERY_LARGE_S

    @st.fragment(run_every=seconds if live else None)
    def stands() -> None:
        with components.errors_in_words():
            stands = standing(session, run.id)
            board = stands.board
            scored = any(line.scored for line in board)
            if live and early and not _is_early(board):
                st.rerun()  # with the rows, and from now on at its own pace
            if live and scored:
                verdict_block(session, run, stands, live=True)
            scoreboard(session, run, board)
            if any(line.score for line in board):
                frontier_part(board, colours)

    stands()


def _is_early(board: Sequence[ContestantScore]) -> bool:
    """Whether so little of a run is done that its board changes with every look."""
    return sum(line.answered + line.failed for line in board) < EARLY * sum(line.cells for line in board)


@st.fragment
def _tabs(session: Session, run: RunRecord) -> None:
    """What is looked through: a filter or a page turned renews this part alone."""
    rows, calls, plan = st.tabs(["Rows", "Calls", "Plan"], key="results.tab", on_change="rerun")
    with components.errors_in_words():
        if rows.open:
            with rows:
                _rows(session, run)
        if calls.open:
            with calls:
                ledger_table(session, spend.SpendFilter(run_id=run.id), key="results.calls")
        if plan.open:
            with plan:
                _plan(session, run)


def _close() -> None:
    st.query_params.clear()


def _rows(session: Session, run: RunRecord) -> None:
    import pandas as pd

    left, right = st.columns(2)
    with left:
        show: Any = st.segmented_control(
            "Show",
            list(SHOW),
            default="all",
            format_func=SHOW.__getitem__,
            key="results.show",
            bind="query-params",
            on_change=_first_page,
        )
    with right:
        search = (
            st.text_input(
                "Search",
                key="results.search",
                placeholder="Text in rows and answers",
                type="search",
                bind="query-params",
                on_change=_first_page,
            )
            or ""
        )
    number = max(1, int(st.session_state.get("results.page") or 1))
    page = results.rows_page(session, run.id, show=show or "all", search=search, page=number, size=PAGE)
    if not page.total:
        narrowed = bool(search) or show not in (None, "all")
        _rows_note(run, "No row fits." if narrowed else "No answer yet. Rows stand here as soon as there are answers.")
        return
    if page.total > PAGE:
        st.pagination(-(-page.total // PAGE), key="results.page")
    before, after = columns_around(run)
    lines = []
    for row in page.rows:
        values = dict(zip(run.dataset.columns, (words.plain(v)[:80] for v in row.values), strict=False))
        line = {"Row": row.key} | {column: values.get(column, "") for column in before}
        for cell in row.cells:
            name = results.label_of(run.plan, cell.prompt, cell.contestant)
            name += f" #{cell.sample + 1}" if run.plan.samples > 1 else ""
            mark = "error" if cell.status == "failed" else {True: "pass", False: "fail", None: ""}[cell.passed]
            line[name] = f"{mark}: {words.plain(cell.preview)}" if mark else words.plain(cell.preview)
        lines.append(line | {column: values.get(column, "") for column in after})
    frame = pd.DataFrame(lines, dtype=str).fillna("")
    answers = [c for c in frame.columns if c not in ("Row", *before, *after)]
    tinted: Any = frame.style
    event: Any = st.dataframe(
        tinted.map(_tint, subset=answers),
        hide_index=True,
        key="results.rows",
        on_select="rerun",
        selection_mode="single-row",
        height=460 if len(lines) > FEW else "auto",
    )
    so_far = f" so far, as of {datetime.now():%H:%M:%S}" if run.state in runs.LIVE else ""
    _rows_note(run, f"{words.counted(page.total, 'row')}{so_far}. Select one to read it in full.")
    if event.selection.rows and event.selection.rows[0] < len(page.rows):
        cell_panel(session, run, page.rows[event.selection.rows[0]])


def _rows_note(run: RunRecord, text: str) -> None:
    """What stands below the rows; while the run is worked with a button that reads them anew."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(text, width="content")
        if run.state in runs.LIVE:
            st.button("Refresh", key="results.rows.refresh", icon=":material/refresh:", type="tertiary")


def columns_around(run: RunRecord) -> tuple[list[str], list[str]]:
    """The dataset's columns before and after the answers: what was asked and expected stands before them.

    A column that the row's key was taken from is left out, for the key itself stands first.
    """
    asked = {run.plan.mapping.get(name, name) for prompt in run.plan.prompts for name in prompt_variables(prompt)}
    asked |= {run.plan.expected_column or ""}
    key = guess_roles(run.dataset.columns).get("id")
    shown = [column for column in run.dataset.columns if column != key or column in asked]
    return [column for column in shown if column in asked], [column for column in shown if column not in asked]


def _first_page() -> None:
    st.session_state.pop("results.page", None)


def _tint(text: str) -> str:
    colour = {"pass": "22,163,74", "fail": "220,38,38", "error": "217,119,6"}.get(text.split(":", 1)[0])
    return f"background-color: rgba({colour},.14)" if colour else ""


def _plan(session: Session, run: RunRecord) -> None:
    plan = run.plan
    run_history.estimate_caption(session, run)
    run_history.changes(session, run)
    st.markdown(f"Dataset **{words.label(run.dataset.name)}** version {run.dataset.version}, {plan.row_count:,} rows")
    for note in length_notes(session, plan):
        st.caption(words.label(note, 400))
    for prompt in plan.prompts:
        st.caption(words.label(prompt.name) or "Prompt")
        show_prompt(prompt, source=True)
    with st.expander("Contestants, graders and settings, as JSON", icon=":material/data_object:"):
        st.json(
            {
                "contestants": [c.as_json() for c in plan.contestants],
                "graders": [g.as_json() for g in plan.graders],
                "samples": plan.samples,
                "cache": plan.cache,
                "data policy": dict(plan.data_policy),
            }
        )


def ledger_table(session: Session, chosen: spend.SpendFilter, *, key: str) -> None:
    """A page of the ledger."""
    number = max(1, int(st.session_state.get(f"{key}.page") or 1))
    rows = spend.ledger_page(session, chosen, page=number, size=100)
    if not rows:
        st.caption("No calls.")
        return
    columns = {
        "When": [words.moment(r.created_ms) for r in rows],
        "Model": [r.model for r in rows],
        "For": [r.purpose for r in rows],
        "Provider": [r.provider or "" for r in rows],
        "Outcome": [r.outcome or {"sent": "in flight", "orphan": "possibly paid"}.get(r.state, r.state) for r in rows],
        "Error": [words.plain(r.error or "")[:80] for r in rows],
        "Cost, USD": dollars(r.cost_pico for r in rows),
        "Known from": [r.provenance for r in rows],
        "Attempt": [r.attempt for r in rows],
        "Tokens in": [r.prompt_tokens for r in rows],
        "Tokens out": [r.completion_tokens for r in rows],
        "Total, s": [None if r.total_ms is None else r.total_ms / 1000 for r in rows],
        "Generation": [r.generation_id or "" for r in rows],
    }
    st.dataframe(
        money_table(columns, ("Cost, USD",), say=exact),
        hide_index=True,
        key=key,
        placeholder="–",
        column_config={"Total, s": st.column_config.NumberColumn(format="%.2f")},
    )
    total = spend.count_calls(session, chosen)
    if total > 100:
        st.pagination(-(-total // 100), key=f"{key}.page")
