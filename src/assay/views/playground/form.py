"""The playground's upper half: models, prompt, variables, parameters, and sending."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from assay.domain.contestant import Contestant, Prompt
from assay.errors import AssayError
from assay.money import format_usd
from assay.prompts.template import prompt_variables
from assay.views import components, state, words
from assay.views.parameters import parameters_popover
from assay.views.prompts import pickers
from assay.views.prompts.template import show_prompt
from assay.views.routing import in_words, routing_popover
from assay.workbench import playground
from assay.workbench.session import Session

SAMPLE_PROMPT = "How should {{product}} tell {{audience}} that the next version comes two weeks late?"
SAMPLE_VALUES = {"product": "a team behind a calendar app", "audience": "paying customers"}
DOUBLE_CLICK_S = 1.5


@dataclass(frozen=True, slots=True)
class PlaygroundDraft:
    """What stands in the form."""

    prompt: Prompt
    variables: dict[str, str]
    contestants: tuple[Contestant, ...]
    blind: bool
    allow_unknown: bool = False
    """Whether parameters and routing that nobody knows by name are sent."""


def form(session: Session) -> PlaygroundDraft:
    """The form with its Run button."""
    models = components.model_picker(session, key="playground.models", default=components.default_models(session))
    prompt = _prompt()
    variables = _variables(prompt)
    with st.container(horizontal=True, vertical_alignment="center"):
        params, provider, unknown = parameters_popover(session, models, key="playground.params")
        variant, routing = routing_popover(session, models, key="playground.routing", allow_unknown=unknown)
        provider |= routing
        pickers.open_popover(session, key="playground.library")
        blind = st.toggle("Blind", key="playground.blind", help="Hides which model is which until you vote.")
        contestants = tuple(Contestant(name, params, provider, variant) for name in models)  # type: ignore[arg-type]
        draft = PlaygroundDraft(prompt, variables, contestants, blind, unknown)
        st.space("stretch")
        ready = _cost(session, draft)
        # No callback: it would get the draft of the run before, without what was typed just before the click.
        if (
            st.button(
                "Run",
                key="playground.run",
                type="primary",
                icon=":material/play_arrow:",
                shortcut="Ctrl+Enter",
                disabled=not ready,
            )
            and ready
        ):
            _send(session, draft)
    if provider:
        st.caption(f":material/alt_route: {words.label(in_words(provider), 300)}")
    if problem := st.session_state.pop("playground.problem", None):
        components.show_error(problem)
    return draft


def _prompt() -> Prompt:
    """What is written, or the conversation that was opened from the library."""
    opened = state.opened_version()
    if opened is not None and opened.prompt.messages:
        with st.container(border=True):
            st.caption(f"Conversation {words.label(opened.name)}, version {opened.version}")
            show_prompt(opened.prompt)
            st.button("Write a prompt instead", key="playground.write", on_click=_write)
        return opened.prompt
    st.session_state.setdefault("playground.user", SAMPLE_PROMPT)
    with st.expander("System", icon=":material/psychology_alt:"):
        system = st.text_area(
            "System text",
            key="playground.system",
            height=80,
            persist_state="session",
            label_visibility="collapsed",
            placeholder="How the model should behave",
        )
    user = st.text_area(
        "Prompt",
        key="playground.user",
        height=110,
        persist_state="session",
        help="{{name}} is a variable.",
        placeholder="What the models should answer",
    )
    return Prompt(user=user or "", system=system or "")


def _write() -> None:
    st.session_state.pop("playground.opened", None)
    st.session_state["playground.user"] = SAMPLE_PROMPT


def _variables(prompt: Prompt) -> dict[str, str]:
    names = prompt_variables(prompt)
    if not names:
        return {}
    values: dict[str, str] = {}
    columns = st.columns(min(3, len(names)))
    for n, name in enumerate(names):
        key = f"playground.var.{name}"
        st.session_state.setdefault(key, SAMPLE_VALUES.get(name, ""))
        with columns[n % len(columns)]:
            values[name] = st.text_input(words.label(name), key=key, persist_state="session") or ""
    return values


def _cost(session: Session, draft: PlaygroundDraft) -> bool:
    """Says what sending will cost; whether it can be sent."""
    if not draft.contestants or not (draft.prompt.user.strip() or draft.prompt.messages):
        st.caption("Choose a model and write a prompt.")
        return False
    try:
        cost = playground.expected_cost(session, draft.prompt, draft.variables, draft.contestants)
    except AssayError as error:
        components.show_error(error)
        return False
    about = "price unknown" if cost.expected is None else f"about \\{format_usd(cost.expected)}"
    st.caption(about, help="Prompt length and the answers' usual length at today's prices.")
    return True


def _send(session: Session, draft: PlaygroundDraft) -> None:
    """Sends once: a second click within a moment on the same form is the same click."""
    last, at = st.session_state.get("playground.sent", (None, 0.0))
    if last == draft and time.monotonic() - at < DOUBLE_CLICK_S:
        return
    st.session_state["playground.sent"] = (draft, time.monotonic())
    try:
        st.query_params["comparison"] = playground.start_comparison(
            session,
            prompt=draft.prompt,
            variables=draft.variables,
            contestants=draft.contestants,
            blind=draft.blind,
            allow_unknown=draft.allow_unknown,
        )
    except AssayError as error:
        st.session_state["playground.problem"] = error


def below(session: Session, draft: PlaygroundDraft) -> None:
    """Send to batch, save, and the history."""
    with st.container(horizontal=True):
        if st.button("Send to batch", key="playground.to_batch", icon=":material/table_rows:"):
            opened = state.opened_version()
            library = (f"{opened.name}:{opened.version}",) if opened and opened.prompt == draft.prompt else ()
            state.hand_over(state.BatchSeed(draft.prompt, tuple(c.model for c in draft.contestants), library))
            state.go_to("batch")
        opened = state.opened_version()
        pickers.save_popover(session, [draft.prompt], key="playground.keep", name=opened.name if opened else "")
    with st.expander("History", icon=":material/history:"):
        search = st.text_input("Search", key="playground.search", placeholder="Text in a prompt", type="search")
        found = playground.history(session, limit=15, search=search or "")
        if not found:
            st.caption("No comparison yet. Run sends the first one.")
        for past in found:
            known = f"\\{format_usd(past.known_pico)}" + (" and unknown" if past.unknown_calls else "")
            when, what = words.moment(past.created_ms), words.label(past.title, 60)
            text = f"{when} · {what} · {len(past.labels)} models · {known}"
            if st.button(text, key=f"playground.past.{past.id}", type="tertiary"):
                st.query_params["comparison"] = past.id
                st.rerun()
