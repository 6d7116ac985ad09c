"""A table as read from a file: columns, rows of strings as typed, and what was noticed on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from assay.errors import ImportRefused

Severity = Literal["note", "warning"]
BadRows = Literal["pad", "skip"]
ShapeChoice = Literal["auto", "none"]
SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file; None: find out."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header: bool = True
    bad_rows: BadRows = "pad"
    """Rows with too few or too many cells: fill up and cut, or leave out."""
    shape: ShapeChoice = "auto"
    """Rows as another tool writes them: flatten into plain columns, or keep the fields as they are."""
    max_bytes: int = 300 * 1024 * 1024
    max_cell: int = 1_000_000
    """Characters of one cell at most."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file was read."""

    kind: str
    """csv, xlsx, json, jsonl or parquet."""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for the screen."""
        names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
        parts = [self.kind.upper()]
        if self.delimiter:
            parts.append(f"{names.get(self.delimiter, repr(self.delimiter))} separated")
        parts += [part for part in (self.encoding, self.sheet and f"sheet {self.sheet!r}") if part]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the file that the user should know."""

    kind: str
    severity: Severity
    count: int
    message: str
    """In words, with the count."""
    lines: tuple[int, ...] = ()
    """Line numbers in the file, from 1; at most 20."""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in memory. Every cell is a string exactly as typed."""

    columns: tuple[str, ...]
    rows: list[list[str]]
    dialect: Dialect
    findings: tuple[Finding, ...] = field(default=())

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Rows as dictionaries."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)


@dataclass(slots=True)
class Notes:
    """Collects findings while a file is read."""

    _found: dict[str, list[int]] = field(default_factory=dict)

    def note(self, kind: str, line: int) -> None:
        """Counts one occurrence at a line."""
        self._found.setdefault(kind, []).append(line)

    def findings(self, bad_rows: BadRows) -> list[Finding]:
        """The findings, in the order first met."""
        done = "left out" if bad_rows == "skip" else "filled up with empty cells"
        cut = "left out" if bad_rows == "skip" else "cut to the header's width"
        words = {
            "short": (f"rows have fewer cells than the header; they were {done}", "Check their quotes and delimiters."),
            "long": (f"rows have more cells than the header; they were {cut}", "Check their quotes and delimiters."),
            "blank": ("blank rows were left out", ""),
            "control": ("rows hold control characters; they are kept", "Look for binary data or a wrong encoding."),
            "invisible": ("rows hold invisible characters (zero width, direction marks); they are kept", ""),
            "nul": ("rows hold NUL characters; these were replaced", ""),
        }
        found = []
        for kind, lines in self._found.items():
            message, cure = words[kind]
            severity: Severity = "note" if kind in ("blank", "invisible") else "warning"
            text = f"{len(lines):,} {message}" if len(lines) > 1 else f"1 {_singular(message)}"
            found.append(Finding(kind, severity, len(lines), f"{text}.", tuple(lines[:SHOWN_LINES]), cure))
        return found


def _singular(message: str) -> str:
    words = {"rows": "row", "have": "has", "hold": "holds", "were": "was", "are": "is", "they": "it", "these": "this"}
    return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), message)


def checked_columns(names: list[str]) -> tuple[tuple[str, ...], list[Finding]]:
    """Column names made unique and not empty, with the findings. Raises ImportRefused when there are none."""
    if not names or not any(name.strip() for name in names):
        raise ImportRefused("The file has no header.", cure="The first row must name the columns.")
    found: list[Finding] = []
    taken: dict[str, int] = {}
    columns: list[str] = []
    for place, raw in enumerate(names, 1):
        name = raw if raw.strip() else f"column {place}"
        if not raw.strip():
            found.append(Finding("empty_header", "warning", 1, f"Column {place} has no name; it is called {name!r}."))
        original = name
        while name in taken:
            taken[original] = taken.get(original, 1) + 1
            name = f"{original} ({taken[original]})"
        if name != original:
            message = f"The column name {original!r} occurs twice; the later one is called {name!r}."
            found.append(Finding("duplicate_header", "warning", 1, message))
        taken[name] = taken.get(name, 1)
        columns.append(name)
    return tuple(columns), found
