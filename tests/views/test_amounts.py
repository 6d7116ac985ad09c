"""Numbers as people read them."""

from __future__ import annotations

import pytest

from assay.views import words


@pytest.mark.parametrize(("count", "shown"), [(0, "0 rows"), (1, "1 row"), (1200, "1,200 rows")])
def test_counted_is_in_the_plural_unless_it_is_one(count: int, shown: str) -> None:
    """A number stands with its noun in the right form."""
    assert words.counted(count, "row") == shown
