"""Whether the rows of a file are another tool's: then they become plain columns (`tool_rows` holds the tools)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from assay.datasets.table import COLUMN_LIMIT, Finding, shortened
from assay.datasets.tool_rows import (
    ALPACA,
    CHECKS,
    CONVERSATIONS,
    LANGFUSE,
    SHAPES,
    UNSAID,
    Row,
    Shape,
    listed,
    promptfoo_test,
)
from assay.domain.json_values import loads
from assay.errors import ImportRefused

ROW_LISTS = ("cases", "tests", "requests", "data", "rows", "examples", "items", "samples", "goldens")
"""Names under which a JSON file that holds several lists keeps its rows."""
CURE = "Under how the file is read, choose rows as they are if this is wrong."
_UNSAID = Finding(
    "checks",
    "warning",
    1,
    f"Weights, sets, metrics and providers of single checks are not applied; they are kept in the column `{UNSAID}`.",
    cure="Give each set of checks a row of its own if they matter.",
)


class Layout(NamedTuple):
    """How the rows of a file become plain columns."""

    keys: tuple[str, ...]
    """The fields of all rows, in the order first met."""
    shape: Shape | None
    findings: tuple[Finding, ...]

    def flat(self, row: Row) -> Row:
        """A row by the fields."""
        return self.shape.flatten(row) if self.shape is not None else row


class Survey:
    """What the rows of a file have in common, found out row by row; what is kept does not grow with them."""

    def __init__(self, *, shaped: bool = True) -> None:
        self.count = 0
        self._shaped = shaped
        self._names: dict[str, None] = {}
        self._fitting: list[tuple[Shape, dict[str, None]]] = [(shape, {}) for shape in SHAPES] if shaped else []
        self._first: Row = {}
        self._objects: set[str] = set()
        self._lists: set[str] = set()

    def add(self, row: Row) -> None:
        """Takes in a row. Raises ImportRefused: the rows have too many fields."""
        self.count += 1
        self._names.update(dict.fromkeys(row))
        if self._fitting:
            self._fitting = [(shape, fields) for shape, fields in self._fitting if shape.fits(row)]
            for shape, fields in self._fitting:
                fields.update(dict.fromkeys(shape.flatten(row)))
        if self.count == 1:
            self._first = row
        for name, value in row.items():
            if isinstance(value, Mapping):
                self._objects.add(name)
            elif isinstance(value, list) and len(value) > 1 and all(isinstance(one, Mapping) for one in value):
                self._lists.add(name)
        if len(self._names) > COLUMN_LIMIT:
            raise ImportRefused(
                f"The first {self.count:,} rows have more than {COLUMN_LIMIT:,} different fields.",
                cure="Give the rows the same fields; names that are values belong into a field of their own.",
            )

    def layout(self) -> Layout:
        """The columns of all rows seen, and the shape that every one of them has."""
        names = set(self._names)
        for shape, fields in self._fitting:
            if shape.marks(names):
                message = f"{shape.name} rows: {shape.says(self._first)}."
                findings = [_finding(self.count, message)]
                if shape.flatten is promptfoo_test and UNSAID in fields:
                    findings.append(_UNSAID)
                if tools := [name for name in fields if name.removeprefix("metadata.") in ("tools", "functions")]:
                    findings.append(_tools_unsent(tools))
                return Layout(tuple(fields), shape, tuple(findings))
        # Who chose the rows as they are knows what is in them.
        nested = tuple(_nested(self._objects, self._lists)) if self._shaped else ()
        return Layout(tuple(self._names), None, nested)


def _nested(objects: set[str], lists: set[str]) -> Iterator[Finding]:
    """What to say of fields that hold objects, and of those that hold rows of their own."""
    if lists:
        message = f"Lists of objects are one cell of JSON each: {_some(lists)}."
        yield Finding("rows_within", "warning", len(lists), message, cure="If they are the rows, save them as a list.")
    if objects := objects - lists:
        yield Finding("objects", "note", len(objects), f"Objects are one cell of JSON each: {_some(objects)}.")


def _some(names: set[str]) -> str:
    return listed([shortened(name) for name in sorted(names)[:6]]) + (" and others" if len(names) > 6 else "")


def _tools_unsent(names: Sequence[str]) -> Finding:
    message = f"The rows' {listed(names)} are kept as a column; they are not sent with the conversations."
    return Finding("tools", "warning", 1, message, cure="Give the contestant the tools as a parameter.")


def is_row(value: Row) -> bool:
    """Whether an object is itself a row of a known shape."""
    survey = Survey()
    survey.add(value)
    return survey.layout().shape is not None


def _finding(count: int, message: str) -> Finding:
    return Finding("shape", "note", count, message, cure=CURE)


# -- tables ----------------------------------------------------------------------------------------------------

WRAPPING = (
    "vars",
    "item",
    "sample",
    "inputs",
    "outputs",
    "reference_outputs",
    "metadata",
    "ideal",
    "tools",
)
"""Columns of a CSV whose cells may hold an object or a list as JSON."""
_OF_LANGFUSE = ("input", "expectedOutput", "expected_output", "metadata")
_OBJECTS = ("vars", "item", "inputs")


def wraps_objects(columns: Sequence[str]) -> bool:
    """Whether the columns of a CSV may hold another tool's objects."""
    names = set(columns)
    known = names & {*_OBJECTS, *CONVERSATIONS} or _is_langfuse(names) or names >= ALPACA
    return bool(known) and not any(name.startswith("__") for name in columns)


def _is_langfuse(names: set[str]) -> bool:
    return "input" in names and ("expectedOutput" in names or ("expected_output" in names and bool(LANGFUSE & names)))


def decoded_row(columns: Sequence[str], cells: Sequence[str]) -> Row:
    """A row of a CSV whose cells may hold objects."""
    if _is_langfuse(set(columns)):
        return {
            name: _written(cell) if name in _OF_LANGFUSE else cell for name, cell in zip(columns, cells, strict=True)
        }
    return {name: _decoded(name, cell) for name, cell in zip(columns, cells, strict=True)}


def holds_object(row: Row) -> bool:
    """Whether a decoded row really holds one, or is a whole row of a tool that writes plain texts too."""
    names = set(row)
    if _is_langfuse(names) or names >= ALPACA:
        return True
    return any(isinstance(row.get(name), Mapping | list) for name in (*_OBJECTS, *CONVERSATIONS))


def column_findings(columns: Sequence[str], count: int) -> list[Finding]:
    """promptfoo's own columns are pointed out, and names that are nearly theirs. count: rows."""
    return (
        _promptfoo_columns(columns, count) if any(c.startswith("__") for c in columns) else _single_underscores(columns)
    )


def _decoded(name: str, cell: str) -> Any:
    if name not in WRAPPING and name not in CONVERSATIONS:
        return cell
    return _value(cell) if cell.lstrip().startswith(("{", "[")) else cell


def _written(cell: str) -> Any:
    """A cell of Langfuse's, which may be JSON even where it is a text."""
    return _value(cell) if cell.lstrip().startswith(("{", "[", '"')) or cell == "null" else cell


def _value(cell: str) -> Any:
    try:
        return loads(cell)
    except (ValueError, RecursionError):
        return cell


def _promptfoo_columns(columns: Sequence[str], count: int) -> list[Finding]:
    checks = [name for name in columns if name.startswith(CHECKS)]
    special = [name for name in columns if name.startswith("__") and name not in checks]
    parts = [f"{listed(checks)} hold checks of the answer"] if checks else []
    if wraps := [name for name in special if name in ("__prefix", "__suffix")]:
        parts.append(f"{listed(wraps)} stand around the prompt")
    if others := [name for name in special if name not in wraps]:
        parts.append(f"{listed(others)} describe the row or its checks")
    return [_finding(count, f"promptfoo columns: {'; '.join(parts)}.")] if parts else []


def _single_underscores(columns: Sequence[str]) -> list[Finding]:
    """Names with one underscore where promptfoo has two."""
    wrong = [name for name in columns if name in ("_expected", "_prefix", "_suffix", "_threshold", "_metric")]
    return [
        Finding(
            "underscore",
            "warning",
            1,
            f"The column {name!r} is read as plain data.",
            cure=f"For promptfoo's column, call it {'_' + name!r}.",
        )
        for name in wrong
    ]
