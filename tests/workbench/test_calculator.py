"""The price of calls without a run: exact, by every key, unknown where a price is."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assay.errors import DataError, NotFound
from assay.openrouter.pricing import Amounts, itemised, parse_pricing
from assay.workbench.session import Session
from assay.workbench.spending.calculator import price

LISTED = {
    "prompt": "0.000002",
    "completion": "0.00001",
    "input_cache_read": "0.0000002",
    "input_cache_write": "0.0000025",
    "input_cache_write_1h": "0.000004",
    "request": "0.01",
    "web_search": "0.005",
    "image": "0.002",
    "internal_reasoning": "0.00002",
    "audio": "0.00003",
}


def test_every_key_is_priced_and_parts_stand_within_their_whole() -> None:
    """The sum of the lines, counted by hand."""
    used = Amounts(
        prompt=1_000,
        cached=100,
        cache_written=200,
        cache_written_1h=300,
        audio=50,
        completion=100,
        reasoning=40,
        images=3,
        searches=2,
    )
    by_hand = (
        350 * Decimal("0.000002")
        + 100 * Decimal("0.0000002")
        + 200 * Decimal("0.0000025")
        + 300 * Decimal("0.000004")
        + 50 * Decimal("0.00003")
        + 60 * Decimal("0.00001")
        + 40 * Decimal("0.00002")
        + 3 * Decimal("0.002")
        + 2 * Decimal("0.005")
        + Decimal("0.01")
    )

    assert itemised(parse_pricing(LISTED), used).total_usd == by_hand
    assert itemised(parse_pricing(LISTED | {"discount": 0.25}), used).total_usd == by_hand * Decimal("0.75")


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({"web_search": None}, Amounts(searches=1)),
        ({"input_cache_write_1h": None}, Amounts(prompt=9, cache_written_1h=1)),
        ({"prompt": "-1"}, Amounts(prompt=1)),
        ({"video": "1"}, Amounts(prompt=1)),
        ({"audio": "?"}, Amounts(prompt=9, audio=1)),
        ({"image_output": None}, Amounts(images_output=1)),
        ({"discount": -0.5}, Amounts(prompt=1)),
    ],
)
def test_price_that_is_not_known_leaves_no_total(changes: dict[str, object], used: Amounts) -> None:
    """Unknown is never 0: where a price that was used is missing there is no total."""
    assert itemised(parse_pricing(LISTED | changes), used).total_usd is None


def test_long_context_prices_hold_from_one_token_more(session: Session) -> None:
    """The tier begins strictly above its threshold, and holds for the whole prompt."""
    at, above = (price(session, "sandbox/atlas-large", Amounts(prompt=n), calls=3) for n in (200_000, 200_001))

    assert (at.total_usd, at.is_long_context) == (Decimal("1.8"), False)
    assert (above.total_usd, above.is_long_context) == (3 * 200_001 * Decimal("0.000006"), True)


def test_what_cannot_be_priced_is_refused_in_words(session: Session) -> None:
    """An unknown model gets near ones, parts beyond their whole and negative amounts are named."""
    with pytest.raises(NotFound, match="atlas-large"):
        price(session, "sandbox/atlas-lrge", Amounts())
    with pytest.raises(DataError, match="parts of the prompt are 9"):
        price(session, "sandbox/swift", Amounts(prompt=5, cached=9))
    with pytest.raises(DataError, match="less than 0"):
        price(session, "sandbox/swift", Amounts(prompt=-1))
