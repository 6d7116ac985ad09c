"""A template with its slots filled, as it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from assay.domain.contestant import Prompt
from assay.prompts.template import render_prompt


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text of the one user message."""
    (message,) = render_prompt(Prompt(text), values)
    assert isinstance(message.content, str)
    return message.content
