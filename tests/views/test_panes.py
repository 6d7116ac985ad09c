"""What the playground shows of two answers side by side."""

from __future__ import annotations

import random
import re

from assay.views.playground.panes import difference


def shown(html: str) -> tuple[str, str]:
    """The two texts that a marked difference holds: without what came, and without what went."""
    before = re.sub(r"<ins[^>]*>.*?</ins>", "", html, flags=re.DOTALL)
    after = re.sub(r"<del[^>]*>.*?</del>", "", html, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "", before), re.sub(r"<[^>]+>", "", after)


def test_difference_holds_both_texts_and_marks_words() -> None:
    """Words that differ are marked, the second text's spaces and lines stay, and nothing becomes markup."""
    found = difference("  a b\n\nc", "  a <i>\n\nc d")

    before, after = shown(found)
    assert (before.split(), after) == (["a", "b", "c"], "  a &lt;i&gt;\n\nc d")
    assert "<i>" not in found
    assert found.count("<ins") == 2


def test_difference_of_long_answers_is_whole() -> None:
    """Thousands of words with as many spaces between them: each space once matched every other."""
    rng = random.Random(1)
    words = [f"w{n}" for n in range(800)]
    before, after = (" ".join(rng.choices(words, k=3_500)) for _ in range(2))

    left, right = shown(difference(before, after))
    assert ("".join(left.split()), right) == (before.replace(" ", ""), after)
