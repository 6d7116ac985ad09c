"""How the lines of a delimited text are cut into cells, found out by trying on its beginning."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import NamedTuple, Protocol

from assay.datasets.table import Finding, counted, shortened

DELIMITERS = (",", ";", "\t", "|")
SELDOM = ("^", "~", "\u00a6", "\x1f")
"""Delimiters that are taken only where they cut every line alike and none of the others cuts any."""
_IN_TEXTS = frozenset("'\"`-_.?!()[]{}<>%#$@*+")
"""Signs that stand in texts, and cut none."""
NO_DELIMITER = "\U0010ffff"
"""What separates the cells of a file of one column: no character, for ever."""
PREAMBLE = 10
"""Lines that may stand above a table."""
ROWS_TRIED = 200
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;|\t ]*(\r\n|\n|\r)', re.IGNORECASE)
"""The line by which spreadsheets are told the delimiter."""
_DATA = re.compile(
    r"\s*([-+]?[\d.,]+(e[-+]?\d+)?%?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|https?://.*|\S+@\S+\.\S+)\s*", re.I
)


class CsvReader(Protocol):
    """A reader of the standard library."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """How lines are cut into cells."""

    delimiter: str
    quote: str = '"'
    spaced: bool = False
    """Whether the spaces after a delimiter, and tabs before a quote, are no part of the cell."""
    skip: int = 0
    """Lines above the header that are no part of the table."""
    stated: bool = False
    """Whether the first line says the delimiter."""

    def reader(self, lines: Iterable[str], *, strict: bool = False) -> CsvReader:
        """A reader of the standard library."""
        if self.spaced and self.delimiter != "\t":
            lines = map(partial(_without_tabs, _tabbed(self.delimiter)), lines)
        return csv.reader(
            lines, delimiter=self.delimiter, quotechar=self.quote, skipinitialspace=self.spaced, strict=strict
        )

    def findings(self) -> list[Finding]:
        """What was done that the user may not expect."""
        found = []
        if self.quote != '"':
            found.append(_note("single", "The cells stand in single quotes; these were left out."))
        if self.spaced:
            found.append(_note("spaced", "The cells stand after a space; it was left out."))
        if lines := self.skip - self.stated:
            first = 1 + self.stated
            words = "lines above the header are no part of the table; they were left out"
            places = tuple(range(first, first + lines))
            found.append(Finding("title", "warning", lines, f"{counted(lines, words)}.", places, _NO_TITLE))
        return found


_NO_TITLE = "If they are rows, put the names of the columns into the first line."


def _note(kind: str, message: str) -> Finding:
    return Finding(kind, "note", 1, message, cure="If they belong to the cells, quote each cell with double quotes.")


def find_cut(sample: str, *, delimiter: str | None = None, tabs: bool = False, header: bool = True) -> Cut:
    """How a text is cut, by its beginning.

    delimiter: where it is chosen. tabs: the file says that it has them. header: its first row is one.
    """
    stated = _SEPARATOR.match(sample)
    rest = sample[stated.end() :] if stated else sample
    if delimiter is None and stated:
        delimiter = stated[1]
    if delimiter is None and tabs and "\t" in sample:
        delimiter = "\t"
    cut = _quoted(rest, delimiter) if delimiter is not None else _best(rest)
    skip = _lines_above(rest, cut) if header and cut.delimiter != NO_DELIMITER else 0
    if delimiter is None and header and not skip and (below := _below(rest)) is not None:
        cut, skip = below, below.skip
    return replace(cut, skip=skip + bool(stated), stated=bool(stated))


def find_delimiter(sample: str) -> str:
    """The delimiter that splits the sample's rows most evenly into most cells; NO_DELIMITER where none does."""
    return _best(sample).delimiter


def _best(sample: str) -> Cut:
    best, best_score = Cut(NO_DELIMITER), 0.0
    for cut in (_quoted(sample, delimiter) for delimiter in DELIMITERS if delimiter in sample):
        score = _score(_rows(sample, cut))
        if score > best_score:
            best, best_score = cut, score
    if best_score:
        return best
    for delimiter in SELDOM:
        widths = {len(row) for row in _rows(sample, Cut(delimiter))}
        if len(widths) == 1 and min(widths) > 1 and sample.count("\n") > 1:
            return Cut(delimiter)
    return best


def _rows(sample: str, cut: Cut) -> list[list[str]]:
    try:
        return [row for row in cut.reader(io.StringIO(sample, newline="")) if any(row)]
    except csv.Error:
        return []


def _score(rows: list[list[str]]) -> float:
    widths = Counter(len(row) for row in rows[:-1] or rows)
    if not widths:
        return 0.0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    narrower = min(len(rows[0]), width)
    return (count / widths.total()) * narrower if narrower > 1 else 0.0


# -- quotes ----------------------------------------------------------------------------------------------------


def _quoted(sample: str, delimiter: str) -> Cut:
    """How cells are quoted where this is the delimiter."""
    cut = Cut(delimiter)
    if delimiter in (NO_DELIMITER, " "):
        return cut
    if "'" in sample and _is_single(sample, delimiter):
        cut = replace(cut, quote="'")
    sign = re.escape(delimiter)
    blank = " " if delimiter == "\t" else "[ \\t]"
    # In a text that is quoted well such a quote would be doubled or end its cell.
    spaced = re.search(rf"{sign}{blank}+{cut.quote}(?=[^{cut.quote}{sign}\r\n])", sample)
    return replace(cut, spaced=True) if spaced else cut


def _is_single(sample: str, delimiter: str) -> bool:
    """Whether single quotes stand around cells."""
    first = next((line for line in islice(sample.splitlines(), PREAMBLE) if line.strip()), "")
    names = [name.strip() for name in first.split(delimiter)]
    if all(len(name) > 2 and name[0] == name[-1] == "'" for name in names):
        return True
    if not single_pattern(delimiter).search(sample):
        return False
    widths = {len(row) for row in _rows(sample, Cut(delimiter, quote="'"))}
    return len(widths) == 1 and len({len(row) for row in _rows(sample, Cut(delimiter))}) > 1


def single_pattern(delimiter: str) -> re.Pattern[str]:
    """Where a cell in single quotes holds the delimiter."""
    sign = re.escape(delimiter)
    return re.compile(rf"(?:^|{sign})'[^'\"{sign}\r\n]*{sign}[^'\"\r\n]*'(?={sign}|\r|\n|\Z)", re.MULTILINE)


def spaced_pattern(delimiter: str) -> re.Pattern[str]:
    """Where a space or tab stands before a cell in quotes, which therefore are text."""
    sign = re.escape(delimiter)
    blank = " " if delimiter == "\t" else "[ \\t]"
    return re.compile(rf"(?:^|{sign}){blank}+\"(?=[^\"{sign}\r\n])", re.MULTILINE)


def _without_tabs(pattern: re.Pattern[str], line: str) -> str:
    """A line with spaces for the tabs before quotes, which the library would take for the cell's beginning."""
    return pattern.sub(lambda found: found[1] + " " * (len(found[0]) - len(found[1])), line) if "\t" in line else line


@cache
def _tabbed(delimiter: str) -> re.Pattern[str]:
    """Spaces and tabs before a quote that surely opens a cell: one that is text would be doubled or end its cell."""
    sign = re.escape(delimiter)
    return re.compile(rf"(^|{sign})[ \t]+(?=\"(?:\"\")?[^\"{sign}\r\n])")


def lost_pattern(delimiter: str) -> re.Pattern[str]:
    """Where a quote opens within a cell and closes at the end of a later one: the delimiter before it was lost."""
    sign = re.escape(delimiter)
    return re.compile(
        rf"(?:^|{sign})[^\"{sign}\r\n]*[^\"{sign}\s](?:(?!{sign})\s)*\"(?=[^\"{sign}\s])[^\"{sign}\r\n]*{sign}[^\"\r\n]*\"(?={sign}|\r|\n|\Z)",
        re.MULTILINE,
    )


class OddQuote(NamedTuple):
    """How quotes look that are read as text, though they were meant as quotes."""

    kind: str
    hint: re.Pattern[str]
    """What lines that hold it hold surely, and few others: found many times faster, in all lines at once."""
    pattern: re.Pattern[str]

    def lines(self, raw: list[str], whole: str) -> Iterator[int]:
        """The places of the lines that hold it. whole: the lines, each after a line end."""
        if self.hint.search(whole):
            yield from (place for place, line in enumerate(raw) if self.pattern.search(line))


def odd_quotes(cut: Cut) -> list[OddQuote]:
    """The odd quotes to look for in a text that is cut so."""
    if cut.delimiter == NO_DELIMITER or cut.quote != '"':
        return []
    sign = re.escape(cut.delimiter)
    opened = re.compile(rf'"(?<![{sign}"\r\n]")(?=[^"{sign}\s])')
    found = [
        OddQuote("lost", opened, lost_pattern(cut.delimiter)),
        OddQuote("single", re.compile(rf"'(?<=[{sign}\r\n]')"), single_pattern(cut.delimiter)),
    ]
    if not cut.spaced:
        found.append(OddQuote("spaced", re.compile(rf'[ \t]"(?=[^"{sign}\r\n])'), spaced_pattern(cut.delimiter)))
    return found


# -- what stands above the table -------------------------------------------------------------------------------


def _numbered(sample: str, cut: Cut) -> Iterator[tuple[int, list[str]]]:
    """The first rows, each with the number of lines above it."""
    reader, above = cut.reader(io.StringIO(sample, newline="")), 0
    try:
        for row in islice(reader, ROWS_TRIED):
            yield above, row
            above = reader.line_num
    except csv.Error:
        return


def _lines_above(sample: str, cut: Cut) -> int:
    """Lines above the header that are surely no part of the table; 0: the table begins at once."""
    rows = list(_numbered(sample, cut))
    for place in range(min(PREAMBLE, len(rows) - 2) + 1):
        above, row = rows[place]
        below = [len(later) for _, later in rows[place + 1 :] if any(later)]
        full = len(row) > 1 and all(map(str.strip, row)) and len(set(row)) == len(row)
        alike = below.count(len(row))
        if full and alike > 1 and 3 * alike >= 2 * len(below):
            before = [earlier for _, earlier in rows[:place]]
            return above if _are_titles(before, row) else 0
    return 0


def _are_titles(above: list[list[str]], header: list[str]) -> bool:
    """Whether rows are lines above a table: each of one or few cells, and the header made of names."""
    if not above or any(_is_data(name) or name != name.strip() or len(name) > 60 for name in header):
        return False
    if any(sum(map(bool, row)) >= len(header) for row in above):
        return False
    marked = any(not any(row) or len(row) > 1 or row[0].startswith("#") for row in above)
    return marked or len(header) > 2


def _below(sample: str) -> Cut | None:
    """The cut of a table with lines above it that are cut otherwise."""
    for delimiter in filter(sample.__contains__, DELIMITERS):
        cut = _quoted(sample, delimiter)
        if skip := _lines_above(sample, cut):
            return replace(cut, skip=skip)
    return None


def uncut(sample: str) -> list[Finding]:
    """A warning where a text of one column looks as though it were to be cut, and was not."""
    first, _, below = sample.partition("\n")
    delimiter = find_delimiter(below)
    rows = list(csv.reader(io.StringIO(below, newline=""), delimiter=delimiter))[:-1]
    width = len(rows[0]) if rows else 0
    if delimiter != NO_DELIMITER and len(rows) > 1 and all(len(row) == width for row in rows):
        message = f"The first line is one cell; each line below it is {width} when cut at {delimiter!r}."
        return [_uncut("title", message, "If the first line is a title, remove it.")]
    lines = [line.strip() for line in [first, *below.splitlines()] if line.strip()]
    for pattern, name in ((r"::", "'::'"), *_signs(lines), (r"\t+| {2,}", "several spaces"), (r" ", "spaces")):
        widths = {len(re.split(pattern, line)) for line in lines[:ROWS_TRIED]}
        if len(lines) > 2 and len(widths) == 1 and min(widths) > (2 if pattern == " " else 1):
            message = f"Each line is {min(widths)} cells when cut at {name}, but is read as one."
            return [_uncut("uncut", message, "If it is a table, save it with commas or tabs between the cells.")]
    return []


def _signs(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Signs that stand equally often in all lines, as patterns with their names."""
    for sign in dict.fromkeys(lines[0] if lines else ""):
        if not (sign.isalnum() or sign.isspace() or sign in _IN_TEXTS) or sign == "\u00fe":
            yield re.escape(sign), repr(sign)


def _uncut(kind: str, message: str, cure: str) -> Finding:
    return Finding(kind, "warning", 1, f"{message} Nothing was cut.", (1,), cure)


def _is_data(cell: str) -> bool:
    return len(cell) < 1_000 and _DATA.fullmatch(cell) is not None


def unlikely_header(row: list[str]) -> list[Finding]:
    """A warning where half of the names in the first row are numbers, dates or addresses."""
    data = [cell for cell in row if _is_data(cell) or (cell.strip() and not any(map(str.isalnum, cell)))]
    if len(data) * 2 < len(row):
        return []
    message = f"The first row looks like data, not like names: {shortened(', '.join(row))}."
    return [Finding("header", "warning", 1, message, (), "If the file has no header, choose so, and it is a row.")]
