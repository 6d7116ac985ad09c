"""What a table adds to rows that are there: told by the row key."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from assay.datasets.identity import RowKeys
from assay.errors import DataError


@dataclass(frozen=True, slots=True)
class Additions:
    """The rows of a table that are not there yet, and what was left out."""

    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """(row key, values in the order of the columns that are there)."""
    known: int
    """Rows that are there with the same values."""
    changed: tuple[str, ...]
    """Keys of rows that are there with other values: left out, for their answers stand."""
    ignored_columns: tuple[str, ...]
    """Columns that only the table has."""


def additions(
    columns: Sequence[str],
    there: Iterable[tuple[str, Sequence[str]]],
    *,
    table_columns: Sequence[str],
    table_rows: Iterable[Sequence[str]],
    id_column: str | None = None,
    answers: Container[str] = (),
) -> Additions:
    """The rows of a table whose key is not among those that are there.

    there: (row key, values in the order of columns). id_column, answers: what the keys that are there came from, as
    for `RowKeys`.
    Raises DataError when the table lacks a column.
    """
    missing = [name for name in columns if name not in table_columns]
    if missing:
        raise DataError(
            f"The new rows have no column {', '.join(map(repr, missing))}.", cure="Give them the columns of the run."
        )
    places = [table_columns.index(name) for name in columns]
    keys = RowKeys(columns, id_column=id_column, answers=answers)
    kept = {key: hash(tuple(values)) for key, values in there}
    added, known, changed = [], 0, []
    for given in table_rows:
        row = tuple(given[place] for place in places)
        key = keys.of(row)
        if key not in kept:
            added.append((key, row))
        elif kept[key] == hash(row):
            known += 1
        else:
            changed.append(key)
    ignored = tuple(name for name in table_columns if name not in columns)
    return Additions(tuple(added), known, tuple(changed), ignored)
