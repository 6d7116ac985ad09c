"""A table as read from a file: columns, rows of strings as typed, and what was noticed on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from assay.errors import ImportRefused

Severity = Literal["note", "warning"]
BadRows = Literal["pad", "skip"]
ShapeChoice = Literal["auto", "none"]
ControlChoice = Literal["keep", "strip"]
SHOWN_LINES = 20
COLUMN_LIMIT = 16_384
"""As many as a spreadsheet has."""
HEADERS_TOLD = 10
"""Names that are told one by one before the rest is counted."""
BAD_KEPT = 10_000
"""Bad rows that are kept to be downloaded."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file; None: find out."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header: bool = True
    bad_rows: BadRows = "pad"
    """Rows with too few, too many or too large cells: fill up and cut, or leave out."""
    control: ControlChoice = "keep"
    """Control and invisible characters: keep, or take out."""
    shape: ShapeChoice = "auto"
    """Rows as another tool writes them: flatten into plain columns, or keep the fields as they are."""
    folder: Path | None = None
    """The folder whose files a configuration may name; None: it was uploaded, and names none."""
    max_bytes: int = 300 * 1024 * 1024
    max_cell: int = 1_000_000
    """Characters of one cell at most."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file was read."""

    kind: str
    """csv, xlsx, xls, ods, json, jsonl, yaml or parquet."""
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

    @property
    def words(self) -> str:
        """All of it in one line."""
        return f"{self.message.removesuffix('.')}{self._places()}. {self.cure}".rstrip()

    def _places(self) -> str:
        if not self.lines:
            return ""
        more = f" and {self.count - len(self.lines):,} more" if self.count > len(self.lines) else ""
        numbers = ", ".join(str(line) for line in self.lines)
        return f" (line{'s' if len(self.lines) > 1 else ''} {numbers}{more})"


class BadRow(NamedTuple):
    """A row of the file that could not be taken as it stands."""

    line: int
    reason: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table in memory. Every cell is a string exactly as typed."""

    columns: tuple[str, ...]
    rows: list[list[str]]
    dialect: Dialect
    findings: tuple[Finding, ...] = field(default=())
    bad_rows: tuple[BadRow, ...] = field(default=())
    """The first 10,000 rows that were cut, filled up or left out."""

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Rows as dictionaries."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)


BAD_REASONS = {
    "short": "fewer cells than the header",
    "long": "more cells than the header",
    "large": "a cell too large",
    "conversation": "a conversation that cannot be sent as it is",
}


QUIET = ("blank", "invisible", "lacking", "null", "unanswered")
"""Kinds of findings that are only notes."""


@dataclass(slots=True)
class Notes:
    """Collects findings while a file is read, in memory that does not grow with the file."""

    bad: list[BadRow] = field(default_factory=list)
    _lines: dict[str, list[int]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, line: int, cells: list[str] | None = None) -> None:
        """Counts one occurrence at a line; cells: of a row that cannot be taken as it stands."""
        self._counts[kind] += 1
        lines = self._lines.setdefault(kind, [])
        if len(lines) < SHOWN_LINES:
            lines.append(line)
        if cells is not None and len(self.bad) < BAD_KEPT:
            self.bad.append(BadRow(line, BAD_REASONS[kind], cells))

    def note_range(self, kind: str, start: int, end: int) -> None:
        """Counts one occurrence at each of the lines start..end-1."""
        lines = self._lines.setdefault(kind, [])
        lines += range(start, min(end, start + SHOWN_LINES - len(lines)))
        self._counts[kind] += end - start

    def findings(self, options: ReadOptions) -> list[Finding]:
        """The findings, in the order first met."""
        bad_rows, kept = options.bad_rows, "taken out" if options.control == "strip" else "kept"
        done = "left out" if bad_rows == "skip" else "filled up with empty cells"
        cut = "left out" if bad_rows == "skip" else "cut to the header's width"
        cut_off = "left out" if bad_rows == "skip" else "cut"
        words = {
            "short": (f"rows have fewer cells than the header; they were {done}", "Check their quotes and delimiters."),
            "long": (f"rows have more cells than the header; they were {cut}", "Check their quotes and delimiters."),
            "header_again": (
                "rows are the names of the columns once more; they were kept",
                "Take them out: files that were put together keep each its own header.",
            ),
            "blank": ("blank rows were left out", ""),
            "empty": ("rows hold only empty cells; they were left out", ""),
            "quote": (
                "rows have text after a closing quote, which lost its quotes",
                "Double the quotes that are text.",
            ),
            "lost": (
                "rows have a quote that opens within one cell and closes in another; a delimiter seems lost",
                "Put the delimiter before the quote, or double quotes that are text.",
            ),
            "spaced": (
                "rows have a space or tab before a cell in quotes, whose quotes were taken as text",
                "Take it out.",
            ),
            "single": (
                "rows have a cell in single quotes that holds the delimiter, at which it was cut",
                "Quote with double quotes.",
            ),
            "conversation": (
                "rows hold a conversation that cannot be sent as it is (a role, content or part that no model takes); "
                "they were left out",
                "Name the roles system, user, assistant or tool, and give each message text or parts with a type.",
            ),
            "unasked": (
                "rows have nothing in the column of the prompt; a prompt made of it alone is not sent for them",
                "Fill in the missing ones, or choose another column.",
            ),
            "unanswered": ("rows have no expected answer; they are not graded by it", "Fill in what is missing."),
            "surrogate": ("rows hold half a character (a lone surrogate), which became \ufffd", "Mend the text."),
            "lacking": ("rows lack some of the fields, which became empty text", ""),
            "null": ("rows hold null, which became empty text", ""),
            "repeated": ("rows name a field twice; the later value was taken", "Give each field its own name."),
            "large": (f"rows hold a cell of more than {options.max_cell:,} characters; they were {cut_off}", ""),
            "control": (f"rows hold control characters; they are {kept}", "Look for binary data or a wrong encoding."),
            "invisible": (f"rows hold invisible characters (zero width, direction marks); they are {kept}", ""),
            "nul": ("rows hold NUL characters; these were replaced", ""),
        }
        found = []
        for kind, lines in self._lines.items():
            count = self._counts[kind]
            message, cure = words[kind]
            severity: Severity = "note" if kind in QUIET else "warning"
            found.append(Finding(kind, severity, count, f"{counted(count, message)}.", tuple(lines), cure))
        return found


def counted(count: int, message: str) -> str:
    """A number before a message that speaks of several things; of one thing where that is the number."""
    first, _, rest = message.partition(" ")
    return f"{count:,} {message}" if count != 1 else f"1 {first.removesuffix('s')} {_singular(rest)}"


def _singular(message: str) -> str:
    words = {
        "rows": "row",
        "have": "has",
        "hold": "holds",
        "were": "was",
        "are": "is",
        "they": "it",
        "these": "this",
        "lack": "lacks",
        "name": "names",
    }
    return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), message)


def checked_columns(names: list[str]) -> tuple[tuple[str, ...], list[Finding]]:
    """Column names made unique and not empty, with the findings. Raises ImportRefused when there are none."""
    if not names or not any(name.strip() for name in names):
        raise ImportRefused(
            "The file has no header.", cure="Name the columns in the first row, or choose that there is no header."
        )
    if len(names) > COLUMN_LIMIT:
        raise ImportRefused(
            f"The file has {len(names):,} columns; the limit is {COLUMN_LIMIT:,}.",
            cure="Check the delimiter and the quotes, or split the file.",
        )
    unnamed: list[str] = []
    renamed: list[str] = []
    taken: dict[str, int] = {}
    columns: list[str] = []
    # Names that stand in the file keep their form; made ones go around them.
    given = set(names)
    for place, raw in enumerate(names, 1):
        raw = raw.replace("\x00", "\ufffd")
        name = raw if raw.strip() else f"column {place}"
        if not raw.strip():
            unnamed.append(f"Column {place} has no name; it is called {name!r}.")
        original = name
        while name in taken or (name != raw and name in given):
            taken[original] = taken.get(original, 1) + 1
            name = f"{original} ({taken[original]})"
        if name != original:
            renamed.append(
                f"The column name {shortened(original)!r} occurs twice; the later one is called {shortened(name)!r}."
            )
        taken[name] = taken.get(name, 1)
        columns.append(name)
    odd = [
        f"The column name {shortened(name)!r} begins or ends with a space, or holds characters that do not show."
        for name in columns
        if name != name.strip() or not name.isprintable()
    ]
    listed = (
        ("empty_header", unnamed, "columns have no name; they were named likewise"),
        ("duplicate_header", renamed, "names occur twice; they were named likewise"),
        ("odd_header", odd, "names are like that"),
    )
    found: list[Finding] = []
    for kind, messages, words in listed:
        told = messages[:HEADERS_TOLD]
        found += [Finding(kind, "warning", 1, message) for message in told]
        if rest := len(messages) - len(told):
            found.append(Finding(kind, "warning", rest, f"{rest:,} further {words}."))
    return tuple(columns), found


def shortened(text: str, size: int = 60) -> str:
    """A text as it is said in a message."""
    return text if len(text) <= size else f"{text[: size - 1]}…"
