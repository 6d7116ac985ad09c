"""Roles of columns whose names give nothing away."""

from __future__ import annotations

from assay.datasets.roles import wordiest

ROWS = [
    {"Ticket Nr.": "1", "Kunden-Text (de)": "Rechnung doppelt; bitte prüfen", "Lösung": "Die Rechnung wird storniert."},
    {"Ticket Nr.": "2", "Kunden-Text (de)": "", "Lösung": "Ein langer Text, länger als die Frage selbst."},
]


def test_wordiest_column_is_the_one_with_the_longest_texts() -> None:
    """Odd headers: the texts decide, a number is not taken for the question."""
    assert wordiest(ROWS, besides="Lösung") == "Kunden-Text (de)"
    assert wordiest(ROWS) == "Lösung"


def test_wordiest_of_one_column_is_that_column() -> None:
    """The only column is taken, even where it is the expected answer."""
    assert wordiest([{"a": ""}], besides="a") == "a"
