"""Numbers as people read them."""

from __future__ import annotations

import pytest

from assay.domain.completion import Cost
from assay.views import words


@pytest.mark.parametrize(("count", "shown"), [(0, "0 rows"), (1, "1 row"), (1200, "1,200 rows")])
def test_counted_is_in_the_plural_unless_it_is_one(count: int, shown: str) -> None:
    """A number stands with its noun in the right form."""
    assert words.counted(count, "row") == shown


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (Cost(36_079_500_000, "upstream", 36_079_500_000), "$0.036 upstream by your own key"),
        (Cost(37_079_500_000, "upstream", 36_079_500_000), "$0.037 upstream, $0.036 of it by your own key"),
        (Cost(10**12, "billed"), "$1.00 billed"),
        (Cost(10**12, "estimated"), "about $1.00 estimated"),
        (Cost(0, "estimated"), "$0 estimated"),
        (Cost(None, "unknown"), "cost unknown"),
    ],
)
def test_cost_says_where_it_is_known_from_and_whose_key_paid(cost: Cost, shown: str) -> None:
    """Billed is said of what the gateway billed; what one's own key paid is named."""
    assert words.cost_words(cost) == shown
