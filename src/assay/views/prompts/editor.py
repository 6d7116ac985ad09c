"""Writing a new prompt, or editing a version into the next one.

What is typed lives under keys of the version that it started from, so that looking something up on another page loses
nothing.
"""

from __future__ import annotations

import json

import streamlit as st

from assay.domain.contestant import Prompt
from assay.errors import AssayError
from assay.prompts.template import convert, guess_foreign, prompt_variables
from assay.views import components, words
from assay.views.prompts.template import variable_badges
from assay.workbench import prompts
from assay.workbench.prompts import PromptVersion
from assay.workbench.session import Session

TEXT, CONVERSATION = "Text", "Conversation"
FIELDS = ("name", "kind", "system", "user", "messages", "note")
EXAMPLE = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{question}}"}]'


def is_open() -> bool:
    """Whether the page shows the editor."""
    return "edit" in st.query_params


def open_new() -> None:
    """Opens the editor empty."""
    st.query_params.clear()
    st.query_params["edit"] = "new"


def open_version(version: PromptVersion) -> None:
    """Opens the editor with a version's text."""
    st.query_params["edit"] = str(version.version)


def form(session: Session) -> None:
    """The editor; Save closes it."""
    name, number = st.query_params.get("prompt"), st.query_params["edit"]
    base = prompts.find_version(session, f"{name}:{number}") if name and number != "new" else None
    keys = _keys(base)
    _fill(base, keys)
    _heading(base, keys)
    kind = st.segmented_control(
        "Written as",
        [TEXT, CONVERSATION],
        key=keys["kind"],
        required=True,
        help="A conversation is a JSON list of messages with roles.",
    )
    if kind == CONVERSATION:
        _text("Messages", keys["messages"], height=260, placeholder=EXAMPLE)
    else:
        _text("System", keys["system"], height=90, placeholder="How the model should behave; may stay empty")
        _text("Prompt", keys["user"], height=220, placeholder="What the model should answer, with {{variables}}")
    variable_badges(_variables(keys))
    st.text_input(
        "Note",
        key=keys["note"],
        placeholder="Why this version exists; may stay empty",
        max_chars=prompts.LONGEST_NOTE,
        persist_state="session",
    )
    with st.container(horizontal=True):
        st.button(
            "Save",
            key="prompts.save",
            type="primary",
            icon=":material/save:",
            shortcut="Ctrl+Enter",
            on_click=_save,
            args=(session, base, keys),
        )
        st.button("Cancel", key="prompts.cancel", on_click=_close, args=(keys,))
    if problem := st.session_state.pop("prompts.problem", None):
        components.show_error(problem)


def _keys(base: PromptVersion | None) -> dict[str, str]:
    mark = f"{base.name}:{base.version}" if base else "new"
    return {field: f"prompts.{field}.{mark}" for field in FIELDS}


def _fill(base: PromptVersion | None, keys: dict[str, str]) -> None:
    prompt = base.prompt if base else Prompt("")
    messages = [message.as_json() for message in prompt.messages]
    start = {
        "name": base.name if base else "",
        "kind": CONVERSATION if messages else TEXT,
        "system": prompt.system,
        "user": prompt.user,
        "messages": json.dumps(messages, ensure_ascii=False, indent=1) if messages else "",
        "note": "",
    }
    for field, value in start.items():
        st.session_state.setdefault(keys[field], value)


def _heading(base: PromptVersion | None, keys: dict[str, str]) -> None:
    if base is None:
        st.subheader("New prompt", anchor=False)
        st.text_input(
            "Name",
            key=keys["name"],
            placeholder="ticket-triage",
            max_chars=prompts.LONGEST_NAME,
            width=420,
            persist_state="session",
        )
        return
    st.subheader(f"{words.label(base.name)}: next version", anchor=False)
    st.caption(f"Starts from version {base.version}. What is kept stays as it is; a change becomes a version.")


def _text(label: str, key: str, *, height: int, placeholder: str) -> None:
    """A text area with the offer to turn another tool's variables into ours."""
    text = st.text_area(label, key=key, height=height, placeholder=placeholder, persist_state="session") or ""
    if found := guess_foreign(text):
        st.button(
            f"Turn {', '.join(words.label(name) for name in found[:8])} into double braces",
            key=f"{key}.convert",
            icon=":material/data_object:",
            on_click=_convert,
            args=(key,),
        )


def _convert(key: str) -> None:
    text = st.session_state[key]
    st.session_state[key] = convert(text, guess_foreign(text))


def _written(keys: dict[str, str]) -> Prompt:
    """What stands in the fields. Raises DataError for a conversation that is none."""
    given = {field: st.session_state.get(key) or "" for field, key in keys.items()}
    if given["kind"] == CONVERSATION:
        return Prompt("", messages=prompts.read_messages(given["messages"]))
    return Prompt(given["user"], given["system"])


def _variables(keys: dict[str, str]) -> tuple[str, ...]:
    try:
        return prompt_variables(_written(keys))
    except AssayError:
        return ()


def _save(session: Session, base: PromptVersion | None, keys: dict[str, str]) -> None:
    try:
        name = base.name if base else prompts.checked_name(st.session_state.get(keys["name"]) or "")
        if base is None and prompts.is_taken(session, name):
            said = f"There is already a prompt {name!r}. Open it and edit it into a new version."
            st.session_state["prompts.problem"] = said
            return
        saved = prompts.save_prompt(session, name, _written(keys), note=st.session_state.get(keys["note"]) or "")
    except AssayError as error:
        st.session_state["prompts.problem"] = error
        return
    _close(keys)
    st.query_params.from_dict({"prompt": name, "version": str(saved.version.version)})
    known = f"Nothing was changed: this is version {saved.version.version} already."
    st.toast(f"Version {saved.version.version} is kept." if saved.is_new else known, icon=":material/bookmark_added:")


def _close(keys: dict[str, str]) -> None:
    for key in keys.values():
        st.session_state.pop(key, None)
    st.query_params.pop("edit", None)
