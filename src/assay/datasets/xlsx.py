"""XLSX, read as a stream: only cells that hold a value are kept, whatever the sheet says of its size.

Every part is unpacked once to be counted before it is parsed; neither the sizes that the archive states nor the
sheet's <dimension> are believed. Numbers are read as a spreadsheet shows them: 15 digits, dates in ISO's form.
"""

from __future__ import annotations

import re
import struct
import tempfile
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO, NamedTuple
from xml.parsers import expat

from assay.datasets.source import OnPart
from assay.datasets.spool import CELL_LIMIT, Spool
from assay.errors import ImportRefused

UNPACKED_LIMIT = 1024 * 1024 * 1024
"""Bytes of one part at most."""
RATIO_LIMIT = 200
"""A part of more than this many times the file's size is a bomb; tables unpack to 5 to 20 times."""
TAG_LIMIT = 100_000_000
ROW_LIMIT = 1_048_576
SHEET_LIMIT = 1_000
SHEETS_TRIED = 20
DIRECTORY_LIMIT = 4 * 1024 * 1024
"""Bytes of the archive's own list of its parts."""
CURE = "Save the data as CSV."
_CHUNK = 1024 * 1024
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")

Kind = tuple[str, int]
"""How a cell is shown: general, date, elapsed, percent, or zeros and how many digits at least."""


# -- the archive -----------------------------------------------------------------------------------------------


@contextmanager
def opened_archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """A ZIP archive whose list of parts is small. Raises ImportRefused, also when a part proves damaged."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, KeyError, zlib.error) as error:
        raise ImportRefused("The workbook is damaged.", cure=CURE) from error


def _check_directory(file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(max(0, size - 70_000))
    tail = file.read()
    place = len(tail) - 22 if tail[-22:-18] == b"PK\x05\x06" else tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < 22:
        raise ImportRefused("The workbook is damaged.", cure=CURE)
    stated = struct.unpack("<L", tail[place + 12 : place + 16])[0]
    if stated > DIRECTORY_LIMIT or tail[place - 20 : place - 16] == b"PK\x06\x07":
        raise ImportRefused("The workbook holds far too many parts.", cure=CURE)
    file.seek(0)


def checked_part(archive: zipfile.ZipFile, name: str, size: int) -> None:
    """Unpacks a part to count it. size: bytes of the whole file. Raises ImportRefused."""
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportRefused("The workbook is packed in an unusual way.", cure=CURE)
    unpacked = tags = rows = 0
    with archive.open(entry) as part:
        while chunk := part.read(_CHUNK):
            unpacked, tags, rows = unpacked + len(chunk), tags + chunk.count(b"<"), rows + chunk.count(b"<row")
            if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * max(size, 50_000):
                raise ImportRefused("The workbook unpacks to far more than its size.", cure=CURE)
            if tags > TAG_LIMIT or rows > ROW_LIMIT + 10:
                raise ImportRefused("The sheet has too many rows or cells.", cure=CURE)


class Handlers(NamedTuple):
    """What is called while XML is parsed; names are without their namespace, those of extensions empty."""

    start: Callable[[str, dict[str, str]], None]
    end: Callable[[str], None] | None = None
    text: Callable[[str], None] | None = None


def parse(archive: zipfile.ZipFile, name: str, handlers: Handlers, on_part: OnPart | None = None) -> None:
    """Parses a part as it is unpacked. Raises ImportRefused for XML that is damaged or declares a document type."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    start, end, known = handlers.start, handlers.end, _Names()
    parser.StartElementHandler = lambda name, attributes: start(known[name], attributes)
    if end is not None:
        parser.EndElementHandler = lambda name: end(known[name])
    if handlers.text is not None:
        parser.CharacterDataHandler = handlers.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    whole, done = archive.getinfo(name).file_size, 0
    try:
        with archive.open(name) as part:
            while chunk := part.read(_CHUNK):
                parser.Parse(chunk, False)
                done += len(chunk)
                if on_part is not None:
                    on_part(min(done, whole), whole)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ImportRefused(f"The workbook is damaged: {error}.", cure=CURE) from error


class _Names(dict[str, str]):
    """Names of elements by their full names; the cells of extensions are no cells."""

    def __missing__(self, full: str) -> str:
        space, _, name = full.rpartition(" ")
        own = not space or space.startswith(("http://schemas.openxmlformats.org/", "http://purl.oclc.org/ooxml/"))
        if len(self) < 1_000:
            self[full] = name if own else ""
        return name if own else ""


def _refuse_doctype(*_: Any) -> None:
    raise ImportRefused("The workbook declares XML entities.", cure=CURE)


# -- the workbook ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Book:
    """What the workbook says of its sheets."""

    sheets: dict[str, str] = field(default_factory=dict)
    """Name to the id of its relation."""
    hidden: set[str] = field(default_factory=set)
    epoch_1904: bool = False


@dataclass(slots=True)
class SheetRead:
    """A sheet whose values stand in the spool, and what was noticed."""

    name: str
    names: tuple[str, ...]
    noticed: Counter[str]


def is_xlsx(archive: zipfile.ZipFile) -> bool:
    """Whether the archive is a workbook in XML."""
    return any(name.lower().endswith(("workbook.xml", "workbook2.xml")) for name in archive.namelist())


def read_sheet(
    archive: zipfile.ZipFile, wanted: str | None, spool: Spool, *, size: int, on_part: OnPart | None = None
) -> SheetRead:
    """Reads a sheet, the first that is shown when none is wanted, into the spool.

    size: bytes of the file. Raises ImportRefused.
    """
    names = {name.lower().lstrip("/"): name for name in archive.namelist()}

    def part(path: str) -> str | None:
        name = names.get(path.lower().lstrip("/"))
        if name is not None:
            checked_part(archive, name, size)
        return name

    main = _main_part(archive, part)
    book = _book(archive, main)
    shown = [name for name in book.sheets if name not in book.hidden] or list(book.sheets)
    if wanted and wanted not in book.sheets:
        raise ImportRefused(f"There is no sheet {wanted!r}.", cure=f"Choose one of {', '.join(book.sheets)}.")
    folder, _, file = main.rpartition("/")
    relations = _relations(archive, part(f"{folder}/_rels/{file}.rels"), folder)
    styles = _styles(archive, part(relations.by_type.get("styles", "")))
    with tempfile.SpooledTemporaryFile(16 * 1024 * 1024) as kept:
        texts = SharedTexts(kept)
        if shared := part(relations.by_type.get("sharedStrings", "")):
            texts.read(archive, shared)
        # Where no sheet is wanted, the first that holds something is.
        for chosen in (wanted,) if wanted else shown[:SHEETS_TRIED]:
            sheet = part(relations.by_id.get(book.sheets[chosen], ""))
            if sheet is None:
                raise ImportRefused(f"The sheet {chosen!r} is missing from the workbook.", cure="Choose another sheet.")
            reader = _SheetReader(spool, texts, styles, epoch_1904=book.epoch_1904)
            parse(archive, sheet, Handlers(reader.start, reader.end, reader.text), on_part)
            spool.finish()
            if spool.rows:
                return SheetRead(chosen, tuple(book.sheets), reader.noticed)
    tried = wanted or shown[0]
    raise ImportRefused(f"The sheet {tried!r} is empty.", cure=f"Choose another: {', '.join(shown[:20])}.")


class _Relations(NamedTuple):
    by_id: dict[str, str]
    by_type: dict[str, str]


def _relations(archive: zipfile.ZipFile, name: str | None, folder: str) -> _Relations:
    """Where the parts of a workbook are: by the id and by the last word of the type of their relation."""
    found = _Relations({}, {})

    def start(tag: str, attributes: dict[str, str]) -> None:
        target = attributes.get("Target", "")
        if tag != "Relationship" or attributes.get("TargetMode") == "External" or len(found.by_id) > 4 * SHEET_LIMIT:
            return
        path = target.lstrip("/") if target.startswith("/") else _joined(folder, target)
        found.by_id[attributes.get("Id", "")] = path
        found.by_type.setdefault(attributes.get("Type", "").rpartition("/")[2], path)

    if name is not None:
        parse(archive, name, Handlers(start))
    return found


def _joined(folder: str, target: str) -> str:
    parts = [part for part in folder.split("/") if part]
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in ("", "."):
            parts.append(step)
    return "/".join(parts)


def _main_part(archive: zipfile.ZipFile, part: Callable[[str], str | None]) -> str:
    stated = _relations(archive, part("_rels/.rels"), "").by_type.get("officeDocument", "")
    found = part(stated) or part("xl/workbook.xml")
    if found is None:
        raise ImportRefused("The archive holds no workbook.", cure="Unpack it, and choose the file within.")
    return found


def _book(archive: zipfile.ZipFile, name: str) -> Book:
    book = Book()

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "workbookPr":
            book.epoch_1904 = attributes.get("date1904", "") in ("1", "true")
        elif tag == "sheet":
            title = attributes.get("name", "")
            relation = next((v for k, v in attributes.items() if k.rpartition(" ")[2] == "id"), "")
            book.sheets[title] = relation
            if attributes.get("state", "visible") != "visible":
                book.hidden.add(title)
            if len(book.sheets) > SHEET_LIMIT:
                raise ImportRefused(f"The workbook has more than {SHEET_LIMIT:,} sheets.", cure=CURE)

    parse(archive, name, Handlers(start))
    if not book.sheets:
        raise ImportRefused("The workbook has no sheets.", cure=CURE)
    return book


# -- styles ----------------------------------------------------------------------------------------------------

GENERAL: Kind = ("general", 0)
_DATES = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)}
_BUILT_IN: dict[int, Kind] = {
    **dict.fromkeys(_DATES, ("date", 0)), 46: ("elapsed", 0), 9: ("percent", 0), 10: ("percent", 0),
}  # fmt: skip
_NO_DATE = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|general|standard|[aA]/[pP]|[aA][mM]/[pP][mM]', re.IGNORECASE
)
"""Parts of a number format that hold letters and say nothing of dates."""


def _styles(archive: zipfile.ZipFile, name: str | None) -> list[Kind]:
    """How the cells of each style are shown."""
    formats, styles = dict(_BUILT_IN), list[Kind]()
    within: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "numFmt" and len(formats) < 10_000:
            formats[_int(attributes.get("numFmtId"))] = kind_of(attributes.get("formatCode", ""))
        elif tag == "cellXfs":
            within.append(tag)
        elif tag == "xf" and within and len(styles) < 100_000:
            styles.append(formats.get(_int(attributes.get("numFmtId")), GENERAL))

    def end(tag: str) -> None:
        if tag == "cellXfs" and within:
            within.pop()

    if name is not None:
        parse(archive, name, Handlers(start, end))
    return styles


def kind_of(code: str) -> Kind:
    """How a number format shows its numbers."""
    bare = _NO_DATE.sub("", code.partition(";")[0]).lower()
    if re.search(r"\[[hms]+\]", bare):
        return "elapsed", 0
    if re.search("[ymdhs]", bare):
        return "date", 0
    if "%" in bare:
        return "percent", 0
    return ("zeros", len(bare)) if re.fullmatch("0{2,}", bare) else GENERAL


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1


def shown_number(text: str, kind: Kind, *, epoch_1904: bool = False) -> str:
    """A number of a sheet as it is shown: whole numbers as written, others with 15 digits, dates in ISO's form."""
    digits = text.removeprefix("-")
    whole = digits.isascii() and digits.isdigit()
    if kind[0] == "zeros" and whole:
        return text.replace(digits, digits.zfill(kind[1]))
    if kind[0] not in ("date", "elapsed") and whole and len(digits) < 400:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if kind[0] == "elapsed" and 0 <= number < 1e6:
        return elapsed(number)
    if kind[0] == "date" and 0 <= number < 2_958_466:
        return date_of(number, epoch_1904=epoch_1904)
    return short_number(number)


def short_number(number: float) -> str:
    """A number with the 15 digits that a spreadsheet keeps; whole numbers without a point."""
    shown = f"{number:.15g}"
    return f"{float(shown):.0f}" if "e+" in shown and abs(number) < 1e21 else shown


def elapsed(days: float) -> str:
    """A duration as hours, minutes and seconds."""
    seconds = round(days * 86_400)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def date_of(serial: float, *, epoch_1904: bool = False) -> str:
    """A date, with its time of day where it has one; below one day only the time."""
    milliseconds = round(serial * 86_400_000)
    # Day 60 is 29 February 1900, which there was not.
    since_1900 = datetime(1899, 12, 30) if serial >= 60 else datetime(1899, 12, 31)
    start = datetime(1904, 1, 1) if epoch_1904 else since_1900
    try:
        moment = start + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return short_number(serial)
    if serial < 1 and not epoch_1904 and serial:
        return _trimmed(moment.time().isoformat())
    return moment.date().isoformat() if milliseconds % 86_400_000 == 0 else _trimmed(moment.isoformat(" "))


def _trimmed(text: str) -> str:
    return text.rstrip("0") if "." in text else text


# -- texts -----------------------------------------------------------------------------------------------------


class SharedTexts:
    """The texts of a workbook, in a file where they are many: cells name them by number."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("Q", [0])

    def read(self, archive: zipfile.ZipFile, name: str) -> None:
        """Takes in the part that holds them."""
        parts: list[str] = []
        state = {"text": False, "aside": 0}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "si":
                parts.clear()
            elif tag == "rPh":
                state["aside"] += 1
            elif tag == "t":
                state["text"] = not state["aside"]

        def end(tag: str) -> None:
            if tag == "t":
                state["text"] = False
            elif tag == "rPh":
                state["aside"] -= 1
            elif tag == "si":
                packed = unescaped("".join(parts)).encode("utf-8")
                self._file.write(packed)
                self._ends.append(self._ends[-1] + len(packed))

        def text(piece: str) -> None:
            if state["text"]:
                parts.append(piece)

        parse(archive, name, Handlers(start, end, text))

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self._ends) - 1:
            raise ImportRefused(f"The workbook is damaged: it has no text {number:,}.", cure=CURE)
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8")


def unescaped(text: str) -> str:
    """A text with the characters that XML cannot hold, which workbooks write as _x000D_."""
    return _ESCAPED.sub(_escaped_character, text) if "_x" in text else text


def _escaped_character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


# -- cells -----------------------------------------------------------------------------------------------------


class _SheetReader:
    """Takes a sheet's elements and puts its rows into the spool."""

    def __init__(self, spool: Spool, texts: SharedTexts, styles: list[Kind], *, epoch_1904: bool) -> None:
        self.noticed: Counter[str] = Counter()
        self._spool, self._texts, self._styles, self._epoch_1904 = spool, texts, styles, epoch_1904
        self._row = self._column = 0
        self._last_row = 0
        self._cells: dict[int, str] = {}
        self._hidden = False
        self._kind, self._style = "n", GENERAL
        self._value: list[str] = []
        self._formula: list[str] = []
        self._within = ""
        self._aside = 0
        self._columns: dict[str, int] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if tag == "c":
            self._begin_cell(attributes)
        elif tag == "v" or (tag == "t" and not self._aside):
            self._within = "value"
        elif tag == "f":
            self._within = "formula"
            self._formula.append("=")
        elif tag == "row":
            stated = _int(attributes.get("r"))
            self._row = stated if stated > 0 else self._row + 1
            self._column = 0
            self._hidden = attributes.get("hidden", "0") not in ("0", "false")
        elif tag == "rPh":
            self._aside += 1
        elif tag == "mergeCell":
            self.noticed["merged"] += 1

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self._column = self._place(reference) if reference else self._column + 1
        self._kind = attributes.get("t", "n")
        style = attributes.get("s")
        number = int(style) if style is not None and style.isdigit() and len(style) < 9 else -1
        self._style = self._styles[number] if 0 <= number < len(self._styles) else GENERAL
        self._value.clear()
        self._formula.clear()

    def _place(self, reference: str) -> int:
        """Column of a cell, from 1."""
        letters = reference.rstrip("0123456789")
        known = self._columns.get(letters)
        if known is None:
            found = _REFERENCE.fullmatch(reference)
            if found is None:
                raise ImportRefused(f"The workbook is damaged: {reference[:20]!r} is no cell.", cure=CURE)
            known = 0
            for letter in found[1]:
                known = known * 26 + ord(letter) - 64
            self._columns[letters] = known
        return known

    def text(self, piece: str) -> None:
        """Text of an element."""
        if self._within == "value":
            self._value.append(piece)
        elif self._within == "formula":
            self._formula.append(piece)

    def end(self, tag: str) -> None:
        """An element ends."""
        if tag in ("v", "t", "f"):
            self._within = ""
        elif tag == "c":
            if self._value or self._formula:
                text = self._shown()
                if text:
                    self._cells[self._column] = text
        elif tag == "row":
            self._end_row()
        elif tag == "rPh":
            self._aside -= 1

    def _shown(self) -> str:
        value = "".join(self._value)
        if not self._value:
            if len(self._formula) > 1:
                self.noticed["formula"] += 1
                return "".join(self._formula)
            return ""
        kind = self._kind
        if kind == "s":
            return self._texts[_int(value)]
        if kind == "n":
            if self._style is not GENERAL:
                self.noticed[self._style[0]] += 1
            return shown_number(value, self._style, epoch_1904=self._epoch_1904)
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        return unescaped(value)

    def _end_row(self) -> None:
        if not self._cells:
            return
        if self._row <= self._last_row:
            raise ImportRefused(f"The workbook is damaged: row {self._row:,} comes twice.", cure=CURE)
        self._last_row = self._row
        if self._hidden:
            self.noticed["hidden"] += 1
        first, last = min(self._cells), max(self._cells)
        if last - first + 1 == len(self._cells):
            cells = [self._cells[n] for n in range(first, last + 1)]
        elif last - first > CELL_LIMIT:
            raise ImportRefused("The sheet spans too many cells.", cure="Delete far-off cells, or save it as CSV.")
        else:
            cells = [self._cells.get(n, "") for n in range(first, last + 1)]
        self._spool.add(self._row, first - 1, cells)
        self._cells = {}
