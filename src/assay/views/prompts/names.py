"""The names of the library at the left of the page, and what an empty library says."""

from __future__ import annotations

import streamlit as st

from assay.prompts.template import prompt_variables
from assay.views import state, words
from assay.views.prompts import editor
from assay.workbench import prompts
from assay.workbench.prompts import PromptSummary
from assay.workbench.session import Session

PAGE = 8


def chosen(session: Session) -> str | None:
    """The list with search and pages; the name that is open, or else the first one shown."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input("Search", key="prompts.search", placeholder="Name, text or note", type="search") or ""
        st.button("New", key="prompts.new", icon=":material/add:", on_click=editor.open_new, help="Write a new prompt.")
    archived = st.toggle("Archived", key="prompts.archived")
    total = prompts.count_prompts(session, search=search, archived=archived)
    pages = -(-total // PAGE)
    page = min(max(1, int(st.session_state.get("prompts.page") or 1)), max(1, pages))
    found = prompts.list_prompts(session, limit=PAGE, offset=(page - 1) * PAGE, search=search, archived=archived)
    opened = st.query_params.get("prompt") or (found[0].name if found else None)
    if not found:
        st.caption("Nothing is archived." if archived and not search else "No prompt fits.")
    for summary in found:
        _line(summary, is_open=summary.name == opened)
    if pages > 1:
        st.pagination(pages, key="prompts.page")
    return opened


def _line(summary: PromptSummary, *, is_open: bool) -> None:
    with st.container(border=is_open, gap="xsmall"):
        st.button(
            f"**{words.label(summary.name, 60)}**",
            key=f"prompts.open.{summary.name}",
            type="tertiary",
            on_click=_open,
            args=(summary.name,),
            icon=":material/chevron_right:" if is_open else None,
        )
        runs = f"{summary.runs:,} run{'' if summary.runs == 1 else 's'}" if summary.runs else "not used yet"
        newest = summary.newest.version
        labels = [label if at == newest else f"{label} on version {at}" for label, at in summary.labels]
        last = f"last {words.moment(summary.last_used_ms)}" if summary.last_used_ms else ""
        said = [f"version {newest}", *labels, runs, last]
        st.caption(words.label(" · ".join(part for part in said if part), 200))
        if names := prompt_variables(summary.newest.prompt):
            st.caption(words.label(" ".join(f"{{{{{name}}}}}" for name in names), 120))


def _open(name: str) -> None:
    st.query_params.clear()
    st.query_params["prompt"] = name


def empty() -> None:
    """What to do when nothing was ever kept."""
    st.info(
        "No prompt is kept yet. Keep one under a name: every change becomes a version, labels say which one is in "
        "production, and each version shows the runs that used it and what it scored.",
        icon=":material/library_books:",
    )
    with st.container(horizontal=True):
        st.button(
            "Write the first prompt",
            key="prompts.first",
            type="primary",
            icon=":material/add:",
            on_click=editor.open_new,
        )
        if st.button("Try one in the playground", key="prompts.playground", icon=":material/forum:"):
            state.go_to("playground")
