"""Money in tables: numbers that sort, words that people read."""

from __future__ import annotations

import pytest

from assay.views.spend.money_table import dollars, exact, money_table


def words_of(table: object) -> list[list[str]]:
    """What the cells of a table say, line by line."""
    body = table._translate(False, False)["body"]  # type: ignore[attr-defined]
    return [[cell["display_value"] for cell in line if cell["type"] == "td"] for line in body]


def test_amounts_are_numbers_and_read_as_money() -> None:
    """Zero is $0, an unknown amount no number, and a cell may say more; sorting sees the numbers alone."""
    picos = [0, 2_500_000, None, 10**12 * 12]
    columns = {"Who": ["a", "b", "c", "d"], "Cost": dollars(picos), "Calls": [1, 2, 3, None]}
    table = money_table(columns, ("Cost",), said={(1, "Cost"): "$0.0000025 + 1 unknown"})

    assert list(table.data["Cost"].dropna()) == [0.0, 2.5e-6, 12.0]
    assert [line[1] for line in words_of(table)] == ["$0", "$0.0000025 + 1 unknown", "–", "$12.00"]
    assert words_of(table)[3][2] == "–"


@pytest.mark.parametrize(
    ("pico", "said"), [(0, "$0"), (1, "$0.000000000001"), (123_456_789, "$0.000123456789"), (10**15, "$1000")]
)
def test_exact_amounts_keep_every_digit(pico: int, said: str) -> None:
    """Down to the pico-dollar."""
    table = money_table({"Cost": dollars([pico])}, ("Cost",), say=exact)

    assert words_of(table) == [[said]]


def test_column_of_unknown_amounts_alone_is_a_column_of_numbers() -> None:
    """Nothing is known: no type is guessed from nothing."""
    table = money_table({"Cost": dollars([None, None])}, ("Cost",), missing="unknown")

    assert str(table.data["Cost"].dtype) == "float64"
    assert words_of(table) == [["unknown"], ["unknown"]]
