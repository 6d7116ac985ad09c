"""What pages hand to each other within a session."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from assay.domain.contestant import Prompt


@dataclass(frozen=True, slots=True)
class BatchSeed:
    """A prompt and models that the playground sends to the batch page."""

    prompt: Prompt
    models: tuple[str, ...]


def hand_over(seed: BatchSeed) -> None:
    """Leaves a seed for the batch page."""
    st.session_state["batch.seed"] = seed


def take_seed() -> BatchSeed | None:
    """Takes the seed that was left; None: there is none."""
    found = st.session_state.pop("batch.seed", None)
    return found if isinstance(found, BatchSeed) else None


def go_to(name: str, **query: str) -> None:
    """Opens a page by its key in the shell's navigation."""
    page = st.session_state["shell.pages"][name]
    st.switch_page(page, query_params=query or None)
