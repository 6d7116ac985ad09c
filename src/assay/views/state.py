"""What pages hand to each other within a session."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from assay.domain.contestant import Prompt
from assay.workbench.prompts import PromptVersion


@dataclass(frozen=True, slots=True)
class BatchSeed:
    """A prompt and models that another page sends to the batch page."""

    prompt: Prompt
    models: tuple[str, ...]
    library: tuple[str, ...] = ()
    """References to versions of the library, instead of the prompt's text."""


def hand_over(seed: BatchSeed) -> None:
    """Leaves a seed for the batch page."""
    st.session_state["batch.seed"] = seed


def take_seed() -> BatchSeed | None:
    """Takes the seed that was left; None: there is none."""
    found = st.session_state.pop("batch.seed", None)
    return found if isinstance(found, BatchSeed) else None


def fill_playground(version: PromptVersion) -> None:
    """Puts a version of the library into the playground's form."""
    st.session_state["playground.user"] = version.prompt.user
    st.session_state["playground.system"] = version.prompt.system
    st.session_state["playground.opened"] = version


def opened_version() -> PromptVersion | None:
    """The version of the library that was last put into the playground's form."""
    found: PromptVersion | None = st.session_state.get("playground.opened")
    return found


def go_to(name: str, **query: str) -> None:
    """Opens a page by its key in the shell's navigation."""
    page = st.session_state["shell.pages"][name]
    st.switch_page(page, query_params=query or None)
