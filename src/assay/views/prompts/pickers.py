"""The library in other pages: keep what is written there, open a version there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from assay.domain.contestant import Prompt
from assay.errors import AssayError
from assay.views import components, state, words
from assay.workbench import prompts
from assay.workbench.prompts import PromptReference
from assay.workbench.session import Session


def save_popover(session: Session, written: Sequence[Prompt], *, key: str, name: str = "") -> None:
    """Keeps a prompt under a new name, or as the next version of one of the library; name: the first suggestion."""
    with st.popover("Save prompt", icon=":material/bookmark_add:"):
        place = 0
        if len(written) > 1:
            place = st.selectbox(
                "Which", range(len(written)), key=f"{key}.which", format_func=lambda n: f"Prompt {n + 1}"
            )
        known = [summary.name for summary in prompts.list_prompts(session, limit=200)]
        options = list(dict.fromkeys([*([name] if name else []), *known]))
        given = st.selectbox(
            "Name",
            options,
            index=0 if name else None,
            key=f"{key}.name",
            accept_new_options=True,
            placeholder="A new name, or one of the library",
            format_func=words.plain,
            help="Under a name that there is, other text becomes its next version.",
        )
        note = st.text_input("Note", key=f"{key}.note", placeholder="Why; may stay empty")
        if not st.button("Save", key=f"{key}.save", type="primary"):
            return
        try:
            saved = prompts.save_prompt(session, given or "", written[place], note=note or "")
        except AssayError as error:
            components.show_error(error)
            return
        version = saved.version
        said = (
            f"version {version.version} is kept." if saved.is_new else f"has this already: version {version.version}."
        )
        st.success(f"{words.label(version.name)} {said}", icon=":material/bookmark_added:")
        st.page_link(
            st.session_state["shell.pages"]["prompts"],
            label="Show in the library",
            query_params={"prompt": version.name, "version": str(version.version)},
        )


def open_popover(session: Session, *, key: str) -> None:
    """Puts a version of the library into the playground's form."""
    with st.popover("Open from library", icon=":material/library_books:"):
        found = {one.text: one for one in prompts.references(session)}
        if not found:
            st.caption("The library is empty. Save prompt keeps what is written here.")
            return
        chosen = st.selectbox("Prompt", list(found), key=key, format_func=lambda text: reference_line(found[text]))
        st.button("Open", key=f"{key}.open", type="primary", on_click=_open, args=(session, chosen))


def reference_line(reference: PromptReference) -> str:
    """A reference as a list shows it."""
    at = f" (version {reference.version})" if reference.label else ""
    return words.plain(reference.text) + at


def _open(session: Session, reference: str) -> None:
    try:
        state.fill_playground(prompts.find_version(session, reference))
    except AssayError as error:
        st.session_state["playground.problem"] = error


def library_picker(session: Session, *, key: str, on_change: Callable[[], None] | None = None) -> list[Prompt]:
    """Versions chosen for a run, by label or number; each only once. Nothing where the library is empty."""
    found = {one.text: one for one in prompts.references(session)}
    options = list(dict.fromkeys([*found, *st.session_state.get(key, ())]))
    if not options:
        return []
    chosen = st.multiselect(
        "From the library",
        options,
        key=key,
        persist_state="session",
        placeholder="Prompts by label or version",
        format_func=lambda text: reference_line(found[text]) if text in found else words.plain(text),
        on_change=on_change,
    )
    versions = [prompts.find_version(session, text) for text in chosen]
    return list({version.key: prompts.run_prompt(version) for version in versions}.values())
