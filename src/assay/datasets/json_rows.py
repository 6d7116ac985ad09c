"""Where the rows are in a JSON or YAML value that was read whole: in lists, by columns, by id, or the value itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from assay.datasets.roles import guess_roles
from assay.datasets.shapes import ROW_LISTS, is_row
from assay.datasets.table import Finding, shortened
from assay.errors import ImportRefused

_SPLITS = frozenset(
    (
        "train",
        "training",
        "test",
        "testing",
        "validation",
        "valid",
        "val",
        "dev",
        "development",
        "eval",
        "evaluation",
        "holdout",
        "calibration",
        "sample",
        "few_shot",
    )
)
"""Names of lists that are parts of one dataset."""
_ABOUT = frozenset(("schema", "pandas_version", "features", "$schema", "version", "name", "description", "evaluators"))
"""Fields beside the rows that nobody misses."""


class Within(NamedTuple):
    """The rows of a value, and what was left out or assumed."""

    rows: Sequence[Any]
    findings: tuple[Finding, ...] = ()


def rows_within(value: Any) -> Within:
    """The rows of a value. Raises ImportRefused where there are none."""
    if isinstance(value, Mapping):
        return _of_object(value)
    if not isinstance(value, list):
        raise ImportRefused("The file holds no rows.", cure="It must be a list of objects.")
    return Within(value)


def _of_object(value: Mapping[str, Any]) -> Within:
    found = _by_columns(value) or _splits_by_columns(value)
    if found is not None:
        return found
    if is_row(value):
        return Within([value])
    found = _in_lists(value) or _table(value) or _by_id(value)
    if found is not None:
        return found
    only = next(iter(value.values()), None)
    if len(value) == 1 and isinstance(only, Mapping):
        within = _of_object(only)
        if list(within.rows) != [only]:
            return within
    return Within([value], (_one_row(value),))


def _one_row(value: Mapping[str, Any]) -> Finding:
    nested = any(isinstance(inner, Mapping | list) for inner in value.values())
    message = "The file is one object; it was read as one row."
    return Finding("one_row", "warning" if nested else "note", 1, message, cure="Save several rows as a list.")


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping | list)


# -- by columns ------------------------------------------------------------------------------------------------


def _by_columns(value: Mapping[str, Any]) -> Within | None:
    """A list for each column, or an object of values by row number: what pandas and Hugging Face write."""
    columns = list(value.values())
    if not columns:
        return None
    if all(isinstance(column, list) and all(map(_is_plain, column)) for column in columns):
        lengths = {len(column) for column in columns}
        if lengths == {0} or (len(lengths) > 1 and min(lengths) < 2):
            return None
        rows = [{name: column[n] for name, column in value.items() if n < len(column)} for n in range(max(lengths))]
        return Within(rows, (_read_as("columns", len(rows), "Each field is a column with the values of all rows."),))
    if all(isinstance(column, Mapping) and column and all(map(str.isdigit, column)) for column in columns):
        places = dict.fromkeys(place for column in columns for place in column)
        rows = [{name: column[n] for name, column in value.items() if n in column} for n in places]
        return Within(rows, (_read_as("columns", len(rows), "Each field is a column with its values by number."),))
    return None


def _splits_by_columns(value: Mapping[str, Any]) -> Within | None:
    """Parts of one dataset, each with a list for each column."""
    if not value or not all(name.lower() in _SPLITS and isinstance(inner, Mapping) for name, inner in value.items()):
        return None
    parts = {name: _by_columns(inner) for name, inner in value.items()}
    lists = {name: list(within.rows) for name, within in parts.items() if within is not None}
    return _parts(lists, value) if len(lists) == len(value) else None


def _table(value: Mapping[str, Any]) -> Within | None:
    """Names in one field and lists of values in another: pandas' `split`, and tables of web services."""
    names = next((value[key] for key in ("columns", "header", "headers") if isinstance(value.get(key), list)), None)
    lists = next((value[key] for key in ("data", "rows", "values") if _are(list, value.get(key))), None)
    if lists is None or (names is not None and not all(isinstance(name, str) for name in names)):
        return None
    if names is None:
        return Within(lists)
    index = value.get("index")
    rows = [named(names, row) for row in lists]
    if (
        isinstance(index, list)
        and len(index) == len(rows)
        and list(map(str, index)) != list(map(str, range(len(rows))))
    ):
        rows = [{"index": place, **row} for place, row in zip(index, rows, strict=True)]
    return Within(rows, (_read_as("columns", len(rows), "The columns are named apart from their values."),))


def named(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """A row of values by the names of their columns; further ones are numbered."""
    further = [f"column {n}" for n in range(len(names) + 1, len(row) + 1)]
    return dict(zip((*names, *further), row, strict=False))


def _read_as(kind: str, count: int, message: str) -> Finding:
    return Finding(kind, "note", count, message, cure="Save the rows as a list of objects if this is wrong.")


# -- in lists --------------------------------------------------------------------------------------------------


def _are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, kind) for value in values)


def _in_lists(value: Mapping[str, Any]) -> Within | None:
    """The only list of objects; all of them where they are parts of one dataset; else one, and the others are said."""
    lists = {name: inner for name, inner in value.items() if _are(Mapping, inner)}
    if not lists:
        return None
    if len(lists) > 1 and all(name.lower() in _SPLITS for name in lists):
        return _parts(lists, value)
    known = next((name for name in ROW_LISTS if name in lists), None)
    chosen = known or max(lists, key=lambda name: len(lists[name]))
    others = [f"`{name}` ({len(inner):,})" for name, inner in lists.items() if name != chosen and name not in _ABOUT]
    findings = [_left_out(f"The rows of `{chosen}` were read; not those of {', '.join(others)}")] if others else []
    return Within(lists[chosen], (*findings, *_beside(value, lists)))


def _parts(lists: Mapping[str, list[Any]], value: Mapping[str, Any]) -> Within:
    taken = any("split" in row for rows in lists.values() for row in rows)
    column = "part" if taken else "split"
    rows = [{**row, column: name} for name, inner in lists.items() for row in inner]
    counts = ", ".join(f"`{name}` ({len(inner):,})" for name, inner in lists.items())
    said = _read_as("parts", len(rows), f"The lists {counts} were read one after another; `{column}` says which.")
    return Within(rows, (said, *_beside(value, lists)))


def _beside(value: Mapping[str, Any], lists: Mapping[str, Any]) -> Iterator[Finding]:
    fields = [
        name for name, inner in value.items() if name not in lists and name not in _ABOUT and inner not in ([], {})
    ]
    if fields:
        listed = ", ".join(f"`{name}`" for name in fields[:10])
        yield Finding("beside", "note", len(fields), f"What stands beside the rows was left out: {listed}.")


def _left_out(message: str) -> Finding:
    return Finding("lists", "warning", 1, f"{message}.", cure="Save each list as a file of its own.")


# -- by id -----------------------------------------------------------------------------------------------------


def _by_id(value: Mapping[str, Any]) -> Within | None:
    """An object of objects: of rows by their id, or of columns by the rows' ids."""
    inner = list(value.values())
    if len(inner) < 2 or not _are(Mapping, inner):
        return None
    fields = dict.fromkeys(name for row in inner for name in row)
    if _are_columns(value, fields):
        rows: list[Any] = [_with_id(key, {name: c[key] for name, c in value.items() if key in c}) for key in fields]
        return Within(
            rows, (_read_as("columns", len(rows), "Each field is a column with the values by the row's id."),)
        )
    numbered = list(value) == list(map(str, range(len(value))))
    rows = inner if numbered else [_with_id(key, row) for key, row in value.items()]
    return Within(rows, (_read_as("by_id", len(rows), "Each field is a row; its name is the row's id."),))


def _are_columns(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool:
    """Whether the outer names rather than the inner ones are those of columns."""
    alike = all(len(column) == len(inner) for column in outer.values())
    return alike and len(guess_roles(outer)) > len(guess_roles(inner))


def _with_id(key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {("key" if "id" in row else "id"): key, **row}


# -- lists of lists --------------------------------------------------------------------------------------------


def all_texts(values: Sequence[Any]) -> bool:
    """Whether all values are texts, as names are."""
    return all(isinstance(value, str) and type(value) is str for value in values)


def first_names(names: Sequence[str]) -> Finding:
    """A warning that the first list is no row, which the rows below it, of texts too, do not say."""
    message = f"The first list was taken as the names of the columns: {shortened(', '.join(names))}."
    return Finding("header", "warning", 1, message, cure="If it is a row, choose that there is no header.")


def names_of(first: Sequence[Any], *, header: bool) -> tuple[list[str], bool]:
    """The names of the columns of a list of lists, and whether the first list holds them. header: it may."""
    if header and first and all_texts(first) and all(map(str.strip, first)):
        return list(first), True
    return [f"column {n}" for n in range(1, len(first) + 1)], False
