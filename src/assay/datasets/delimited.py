"""CSV in any dialect: delimiter found by trying, values kept as typed, problems reported by line."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TextIO

from assay.datasets.encoding import SAMPLE, Encoding, decode, detect
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, Table, checked_columns
from assay.errors import ImportRefused

DELIMITERS = (",", ";", "\t", "|")
TOGETHER = 1_000
"""Rows that are examined at once."""
RECORD_LIMIT = 16 * 1024 * 1024
"""Characters of a line, and of a cell whose quote is open, at most: past that it is no table."""
LARGE_SHOWN = 200
"""Characters of a cell that was too large, where it is listed."""
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_SUSPICIOUS = re.compile(f"{_CONTROL.pattern}|{_INVISIBLE.pattern}")


def read_delimited(content: bytes, options: ReadOptions, *, tabs: bool = False) -> Table:
    """A CSV or TSV file. Raises ImportRefused in words with a line where it cannot be read."""
    encoding = detect(content[:SAMPLE])
    if options.encoding is None and encoding.name == "utf-8":
        encoding = _utf8_throughout(content)
    name = options.encoding or encoding.name
    text = decode(content, name).removeprefix("\ufeff")
    if not text.strip():
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")
    delimiter = options.delimiter or ("\t" if tabs else find_delimiter(text[:SAMPLE]))
    source = DelimitedRows(io.StringIO(text, newline=""), delimiter, options)
    rows = [row for rows in source for row in rows]
    dialect = Dialect("csv", encoding=name.removesuffix("-sig"), delimiter=delimiter)
    findings = (*guessed(encoding, options), *source.findings())
    return Table(source.columns, rows, dialect, findings, tuple(source.notes.bad))


def guessed(encoding: Encoding, options: ReadOptions) -> tuple[Finding, ...]:
    """What to say of an encoding that the bytes do not prove."""
    if options.encoding is not None or encoding.certain:
        return ()
    message = f"The file is not UTF-8; it was read as {encoding.name}. Check that accents and signs look right."
    return (Finding("encoding", "note", 1, message, cure="Change the encoding if they do not."),)


def _utf8_throughout(content: bytes) -> Encoding:
    """The sample was UTF-8; the rest decides."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return replace(detect(content), certain=False)
    return Encoding("utf-8", certain=True)


def find_delimiter(sample: str) -> str:
    """The delimiter that splits the sample's rows most evenly into most cells; a comma where none does."""
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows[:-1] or rows)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        header = len(rows[0])
        score = (count / widths.total()) * min(header, width) if min(header, width) > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


class DelimitedRows:
    """The rows of a delimited text, read as they are asked for; header and first rows are there at once.

    Iterating gives lists of some rows, each of the header's width. What is noticed on the way is complete when the
    last list was given. Raises ImportRefused with a line where the text cannot be read.
    """

    def __init__(self, text: TextIO, delimiter: str, options: ReadOptions) -> None:
        self.notes = Notes()
        self._options = options
        self._text = text
        # Larger cells are a finding; past this a quote was never closed.
        csv.field_size_limit(max(options.max_cell, RECORD_LIMIT))
        self._reader = csv.reader(self._physical(), delimiter=delimiter, strict=False)
        self._started = self._line = 1
        self._first: list[str] | None = None
        header = self._header()
        self.columns, self._header_findings = checked_columns(header)

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._header_findings, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        try:
            first, self._first = self._first, None
            pending = [(self._started, first)] if first is not None else []
            for row in self._reader:
                self._started, self._line = self._line, self._reader.line_num + 1
                pending.append((self._started, row))
                if len(pending) == TOGETHER:
                    yield self._examined(pending)
                    pending = []
            if pending:
                yield self._examined(pending)
        except csv.Error as error:
            raise self._refused(error) from error

    def _header(self) -> list[str]:
        """The first row that is not blank; where the file has no header, that row stays the first of the rows."""
        try:
            for row in self._reader:
                self._started, self._line = self._line, self._reader.line_num + 1
                if not row or (len(row) == 1 and not row[0].strip()):
                    continue
                row[0] = row[0].removeprefix("\ufeff")
                if self._options.header:
                    return row
                self._first = row
                return [f"column {n}" for n in range(1, len(row) + 1)]
        except csv.Error as error:
            raise self._refused(error) from error
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")

    def _refused(self, error: csv.Error) -> ImportRefused:
        if "field larger" in str(error):
            return ImportRefused(
                f"The quote that is opened in line {self._line} is not closed within {RECORD_LIMIT // 2**20} million "
                "characters.", cure="Close it, or double it where it is text.",
            )  # fmt: skip
        return ImportRefused(f"Line {self._line} cannot be read: {error}.", cure="Check the quotes around it.")

    def _physical(self) -> Iterator[str]:
        """The lines of the text, with NUL replaced; one without an end is refused before it fills the memory."""
        read = partial(self._text.readline, RECORD_LIMIT)
        for number, line in enumerate(iter(read, ""), 1):
            if len(line) >= RECORD_LIMIT and line[-1] not in "\r\n":
                raise ImportRefused(
                    f"Line {number} has more than {RECORD_LIMIT // 2**20} million characters.",
                    cure="Check that it is a CSV file.",
                )
            if "\x00" in line:
                self.notes.note("nul", number)
                yield line.replace("\x00", "\ufffd")
            else:
                yield line

    def _examined(self, pending: list[tuple[int, list[str]]]) -> list[list[str]]:
        """Rows as they are taken: what is wrong with them is noted, and cured as the options say."""
        width, options, notes = len(self.columns), self._options, self.notes
        whole = "".join(chain.from_iterable(row for _, row in pending))
        # One look at all cells together: nearly no file has what each cell would be searched for.
        if _SUSPICIOUS.search(whole):
            pending = [(line, self._inspected(row, line)) for line, row in pending]
        if len(whole) > options.max_cell:
            pending = [(line, fit) for line, row in pending if (fit := self._within(row, line)) is not None]
        rows = []
        for line, row in pending:
            if len(row) == width and (width > 1 or row[0].strip()):
                rows.append(row)
            elif not row or (len(row) == 1 and not row[0].strip() and width > 1):
                notes.note("blank", line)
            elif len(row) == width:
                rows.append(row)
            else:
                notes.note("short" if len(row) < width else "long", line, row)
                if options.bad_rows == "pad":
                    rows.append((row + [""] * width)[:width])
        return rows

    def _inspected(self, row: list[str], line: int) -> list[str]:
        if any(_CONTROL.search(cell) for cell in row):
            self.notes.note("control", line)
        if any(_INVISIBLE.search(cell) for cell in row):
            self.notes.note("invisible", line)
        return [_SUSPICIOUS.sub("", cell) for cell in row] if self._options.control == "strip" else row

    def _within(self, row: list[str], line: int) -> list[str] | None:
        limit = self._options.max_cell
        if not any(len(cell) > limit for cell in row):
            return row
        self.notes.note("large", line, [cell[:LARGE_SHOWN] for cell in row])
        return [cell[:limit] for cell in row] if self._options.bad_rows == "pad" else None
