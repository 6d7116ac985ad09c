"""CSV in any dialect: delimiter found by trying, values kept as typed, problems reported by line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

from assay.datasets.dialect import (
    NO_DELIMITER,
    Cut,
    find_cut,
    odd_quotes,
    uncut,
    unlikely_header,
)
from assay.datasets.doctor import CHARS_TOGETHER, Doctor, Numbered
from assay.datasets.encoding import SAMPLE, chosen_encoding, opened_text
from assay.datasets.source import OnPart, Source, written_limit
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns
from assay.errors import ImportRefused

RECORD_LIMIT = 16 * 1024 * 1024
"""Characters of a line, and of a cell whose quote is open, at most: past that it is no table."""
ROW_LIMIT = 4 * RECORD_LIMIT


class DelimitedFile:
    """A CSV or TSV file: encoding and delimiter are found out once, then it is read as often as needed."""

    def __init__(self, source: Source, options: ReadOptions, on_part: OnPart | None = None) -> None:
        self._source, self._options = source, options
        self._encoding = chosen_encoding(source, options.encoding, on_part)
        text = self._sample()
        if not text.strip("\ufeff \t\r\n"):
            raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")
        if options.header:
            _check_line_ends(text)
        self._cut = find_cut(text, delimiter=options.delimiter, tabs=source.ending == "tsv", header=options.header)
        shown = "" if self._cut.delimiter == NO_DELIMITER else self._cut.delimiter
        self.dialect = Dialect("csv", encoding=self._encoding.name.removesuffix("-sig"), delimiter=shown)
        with self.rows() as rows:
            self.columns = rows.columns

    def close(self) -> None:
        """There is nothing to free."""

    @contextmanager
    def rows(self, on_part: OnPart | None = None) -> Iterator[DelimitedRows]:
        """The rows in lists of some. Raises ImportRefused, also while they are read."""
        with opened_text(self._source, self._encoding.name, on_part) as text:
            for _ in range(self._cut.skip):
                text.readline(RECORD_LIMIT)
            limit = written_limit(self._source.size)
            yield DelimitedRows(text, self._cut, self._options, self._beside(), limit)

    def _beside(self) -> list[Finding]:
        found = [*self._encoding.findings(), *self._cut.findings()]
        if self._source.ending in ("xlsx", "xls", "ods", "json", "parquet"):
            message = f"The file is called .{self._source.ending}, but holds plain text; it was read as CSV."
            found.append(Finding("ending", "warning", 1, message, cure="Check that it is the right file."))
        if self._cut.delimiter == NO_DELIMITER:
            found += uncut(self._sample())
        return found

    def _sample(self) -> str:
        decoder = codecs.getincrementaldecoder(self._encoding.name)("replace")
        return decoder.decode(self._source.head(SAMPLE)).lstrip("\ufeff")


_LINE_ENDS = {
    "\x85": "NEL (U+0085)",
    "\u2028": "U+2028",
    "\u2029": "U+2029",
    "\x0b": "vertical tabs",
    "\x0c": "form feeds",
    "\x1c": "U+001C",
    "\x1d": "U+001D",
    "\x1e": "U+001E",
}
"""Signs that some programs take for line ends, and CSV does not: they stand within cells too."""


def _check_line_ends(sample: str) -> None:
    """Refuses a text whose lines end in a way that would make one header of all of them."""
    if "\n" in sample or "\r" in sample:
        return
    for sign, name in _LINE_ENDS.items():
        if sign in sample.strip():
            raise ImportRefused(
                f"The file has no line ends, but {name} where they may be meant.",
                cure="Save it with ordinary line ends (LF or CRLF).",
            )


class DelimitedRows:
    """The rows of a delimited text, read as they are asked for; header and first rows are there at once.

    Iterating gives lists of some rows, each of the header's width. What is noticed on the way is complete when the
    last list was given. Raises ImportRefused with a line where the text cannot be read.
    """

    def __init__(self, text: TextIO, cut: Cut, options: ReadOptions, beside: list[Finding], limit: int) -> None:
        self.notes = Notes()
        self._options, self._beside = options, beside
        self._text = text
        self._cut = cut
        self._odd = odd_quotes(cut)
        # Larger cells are a finding; past this a quote was never closed.
        csv.field_size_limit(max(options.max_cell, RECORD_LIMIT))
        self._raw: list[str] = []
        self._chars = 0
        self._reader = cut.reader(self._physical())
        self._started = self._line = cut.skip + 1
        self._first: list[str] | None = None
        header = self._header()
        self.columns, self._header_findings = checked_columns(header)
        self._doctor = Doctor(self.columns, options, self.notes, limit=limit)

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._beside, *self._header_findings, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        try:
            first, self._first = self._first, None
            pending: list[Numbered] = [(self._started, first)] if first is not None else []
            for row in self._reader:
                self._started, self._line = self._line, self._reader.line_num + self._cut.skip + 1
                pending.append((self._started, row))
                if len(pending) == self._doctor.together or self._chars > CHARS_TOGETHER:
                    yield self._taken(pending)
                    pending = []
            if pending:
                yield self._taken(pending)
        except csv.Error as error:
            raise self._refused(error) from error

    def _taken(self, pending: list[Numbered]) -> list[list[str]]:
        whole = "\n".join(("", *self._raw))
        if self._cut.quote in whole:
            self._check_quotes(pending)
        self._note_odd_quotes(pending[0][0], whole)
        self._raw, self._chars = [], 0
        return self._doctor.examined(pending)

    def _check_quotes(self, pending: list[Numbered]) -> None:
        """Notes rows with text after a closing quote, which loses its quotes. Raises ImportRefused for an open one."""
        strict = partial(self._cut.reader, strict=True)
        try:
            for _ in strict(self._raw):
                pass
        except csv.Error:
            # Rare, so that each row may be looked at by itself.
            first = pending[0][0]
            starts = [line - first for line, _ in pending]
            for start, end in zip(starts, [*starts[1:], len(self._raw)], strict=True):
                try:
                    for _ in strict(self._raw[start:end]):
                        pass
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise ImportRefused(
                            f"The quote that is opened in line {first + start} is never closed.",
                            cure="Close it, or double it where it is text.",
                        ) from error
                    self.notes.note("quote", first + start)

    def _note_odd_quotes(self, first: int, whole: str) -> None:
        """Notes rows whose quotes were read as text, and their cells cut otherwise than they meant.

        first: number of the first line. whole: the lines, each after a line end.
        """
        for odd in self._odd:
            for place in odd.lines(self._raw, whole):
                self.notes.note(odd.kind, first + place)

    def _header(self) -> list[str]:
        """The first row that is not blank; where the file has no header, that row stays the first of the rows."""
        try:
            for row in self._reader:
                self._started, self._line = self._line, self._reader.line_num + self._cut.skip + 1
                if not row or (len(row) == 1 and not row[0].strip()):
                    self._raw, self._chars = [], 0
                    continue
                if not self._options.header:
                    self._first = row
                    return [f"column {n}" for n in range(1, len(row) + 1)]
                self._check_quotes([(self._started, row)])
                self._note_odd_quotes(self._started, "\n".join(("", *self._raw)))
                self._raw, self._chars = [], 0
                self._beside.extend(unlikely_header(row))
                return row
        except csv.Error as error:
            raise self._refused(error) from error
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")

    def _refused(self, error: csv.Error) -> ImportRefused:
        if "field larger" in str(error):
            return ImportRefused(
                f"The quote that is opened in line {self._line} is not closed within {RECORD_LIMIT // 2**20} million "
                "characters.",
                cure="Close it, or double it where it is text.",
            )
        return ImportRefused(f"Line {self._line} cannot be read: {error}.", cure="Check the quotes around it.")

    def _physical(self) -> Iterator[str]:
        """The lines of the text, with NUL replaced; one without an end is refused before it fills the memory."""
        read = partial(self._text.readline, RECORD_LIMIT)
        for number, line in enumerate(iter(read, ""), self._cut.skip + 1):
            self._chars += len(line)
            if self._chars >= RECORD_LIMIT:
                self._check_size(number, line)
            if "\x00" in line:
                self.notes.note("nul", number)
                line = line.replace("\x00", "\ufffd")
            if number == 1:
                line = line.lstrip("\ufeff")
            self._raw.append(line)
            yield line

    def _check_size(self, number: int, line: str) -> None:
        if len(line) >= RECORD_LIMIT and line[-1] not in "\r\n":
            raise ImportRefused(
                f"Line {number} has more than {RECORD_LIMIT // 2**20} million characters.",
                cure="Check that it is a CSV file.",
            )
        if self._chars > ROW_LIMIT:
            raise ImportRefused(
                f"The row that begins in line {self._line} has more than {ROW_LIMIT // 2**20} million characters.",
                cure="Check the quotes around its cells.",
            )
