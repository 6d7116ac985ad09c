"""Untrusted text as people read it."""

from __future__ import annotations

import pytest

from assay.views.words import label


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (":material/bomb:", r"\:\u200bmaterial/bomb"),
        (":streamlit:", r"\:\u200bstreamlit"),
        (":+1:", r"\:\u200b\+1"),
        ("https://evil.example/x", r"https\:\u200b//"),
        ("www.evil.example", "www\u200b."),
    ],
)
def test_label_holds_no_icon_emoji_or_link(text: str, broken: str) -> None:
    """What Streamlit finds in the text although it is escaped is broken by a character of no width."""
    assert broken.replace(r"\u200b", "\u200b") in label(text)


@pytest.mark.parametrize("text", ["12:30:45", "meta/llama-3:free", "a: b"])
def test_label_leaves_ordinary_colons_alone(text: str) -> None:
    """Times and model ids stay as they are but for the escape."""
    assert label(text).replace("\\", "") == text
