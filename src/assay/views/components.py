"""Pieces that several pages show."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from assay.errors import AssayError
from assay.openrouter.catalogue import Model
from assay.views import words
from assay.workbench.gateway.catalogue import catalogue_state, list_models
from assay.workbench.session import Session


def title(name: str, purpose: str) -> None:
    """The page's name and one line of purpose."""
    st.title(name, anchor=False)
    st.caption(purpose)


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Shows an error of Assay in words with its cure, instead of a traceback."""
    try:
        yield
    except AssayError as error:
        show_error(error)


def show_error(error: AssayError | str) -> None:
    """An error in words."""
    if isinstance(error, AssayError):
        text = words.label(error.message, 600)
        cure = f"  \n{words.label(error.cure, 300)}" if error.cure else ""
        st.error(text + cure, icon=":material/error:")
    else:
        st.error(words.label(error, 600), icon=":material/error:")


def dot(colour: str, name: str) -> None:
    """A contestant's dot and name."""
    st.html(
        f'<div style="display:flex;align-items:center;gap:.45rem;font-weight:600;min-width:0">'
        f'<span style="width:.7rem;height:.7rem;border-radius:50%;background:{colour};flex:none"></span>'
        f'<span style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap">{html.escape(words.plain(name))}'
        "</span></div>"
    )


def answer_text(text: str, *, source: bool, key: str) -> None:
    """A model's answer: as Markdown in which nothing loads, or as its source; a very long one always as source."""
    if not text:
        st.caption("The answer is empty.")
    elif source or len(text) > words.MARKDOWN_LIMIT:
        st.code(words.plain(text), language=None, wrap_lines=True, height=400 if len(text) > 4000 else "content")
    else:
        with st.container(key=f"answer_{key}"):
            st.markdown(words.defanged(text))


def model_line(model: Model) -> str:
    """A model in the picker: id, price in and out per million tokens, context, what it reads."""
    given, taken = (words.per_million(p) for p in (model.prompt_usd_per_million, model.completion_usd_per_million))
    prices = "free" if model.is_free else f"{given} / {taken}"
    extra = [m for m in model.input_modalities if m != "text"]
    reads = f" · reads {', '.join(extra)}" if extra else ""
    moderated = " · moderated" if model.is_moderated else ""
    return f"{model.id} · {prices} · {words.context(model.context_length)}{reads}{moderated}"


def model_picker(session: Session, *, key: str, default: Sequence[str], most: int = 10) -> list[str]:
    """Chosen model ids; the list can be searched by typing."""
    models = {model.id: model for model in list_models(session)}
    if not models:
        state = catalogue_state(session)
        st.warning(
            f"The model catalogue is not there yet. {words.label(state.error or 'It is being fetched.', 300)}",
            icon=":material/cloud_off:",
        )
        if st.button("Try again", key=f"{key}.refresh"):
            session.wait(session.catalogue.refresh())
            st.rerun()
        return []
    if key not in st.session_state:
        st.session_state[key] = [name for name in default if name in models]
    return st.multiselect(
        "Models",
        list(models),
        key=key,
        format_func=lambda name: model_line(models[name]),
        max_selections=most,
        placeholder="Search models by name or author",
        help="USD per million tokens, in and out, and the context in tokens.",
        persist_state="session",
    )


def default_models(session: Session) -> list[str]:
    """The models of a first visit: three of the sandbox, or three well-priced ones of the catalogue."""
    if session.is_sandbox:
        return ["sandbox/atlas-large", "sandbox/swift", "sandbox/scribe"]
    priced = [m for m in list_models(session) if m.pricing.known and not m.is_free and not m.pricing.variable]
    return [m.id for m in sorted(priced, key=lambda m: m.created or 0, reverse=True)[:3]]
