"""Exact money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.money import exact_usd, format_usd, from_pico, plain, to_pico, to_pico_ceiling, usd


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_pico_there_and_back_is_equal(pico: int) -> None:
    """Storing and reading an amount changes nothing."""
    assert to_pico(from_pico(pico)) == pico


@given(st.lists(st.decimals(min_value=0, max_value=1000, places=12), max_size=50))
def test_pico_sum_equals_decimal_sum(amounts: list[Decimal]) -> None:
    """A sum of stored amounts is exact, in any order."""
    assert sum(map(to_pico, amounts)) == to_pico(sum(amounts, Decimal(0)))


@given(st.decimals(min_value=0, max_value=1000, places=18))
def test_pico_ceiling_is_never_below(amount: Decimal) -> None:
    """A bound rounded to pico-dollars is never below the exact bound."""
    assert from_pico(to_pico_ceiling(amount)) >= amount


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1,5"])
def test_usd_of_no_number_is_refused(text: str) -> None:
    """A text that is not a finite amount raises with the text in the message."""
    with pytest.raises(ValueError, match="amount of money"):
        usd(text)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0"),
        ("0.00000015", "$0.00000015"),
        ("0.0041", "$0.0041"),
        ("0.01", "$0.010"),
        ("0.012", "$0.012"),
        ("0.3319", "$0.33"),
        ("0.31", "$0.31"),
        ("1.234", "$1.23"),
        ("-0.5", "-$0.50"),
        ("12345.6", "$12,346"),
    ],
)
def test_format_usd_keeps_sensible_digits(amount: str, shown: str) -> None:
    """Two significant digits below a dollar, cents above."""
    assert format_usd(to_pico(usd(amount))) == shown


def test_format_usd_of_unknown_is_not_zero() -> None:
    """An unknown amount is written as unknown."""
    assert format_usd(None) == "unknown"


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_exact_usd_is_plain_and_loses_nothing(pico: int) -> None:
    """No exponent, no needless zero, and the amount itself."""
    text = exact_usd(pico)

    assert to_pico(Decimal(text)) == pico
    assert "E" not in text.upper()
    assert not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("amount", "shown"), [("0E-12", "0"), ("-0.00", "0"), ("1E+3", "1000"), ("1.500E-9", "0.0000000015"), ("10", "10")]
)
def test_plain_amount_has_no_exponent(amount: str, shown: str) -> None:
    """Whatever form a Decimal has, its digits are written."""
    assert plain(Decimal(amount)) == shown
