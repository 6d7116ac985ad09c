"""XLSX, read as a stream: only cells that hold a value are kept, whatever the sheet says of its size."""

from __future__ import annotations

import re
import tempfile
import zipfile
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, NamedTuple, Protocol

from assay.datasets.archive import CURE, Handlers, checked_part, parse
from assay.datasets.number_formats import BUILT_IN, GENERAL, Kind, kind_of, shown_number
from assay.datasets.source import OnPart
from assay.datasets.spool import CELL_LIMIT
from assay.datasets.table import COLUMN_LIMIT
from assay.errors import ImportRefused

SHEET_LIMIT = 1_000
SHEETS_TRIED = 20
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


@dataclass(slots=True)
class Book:
    """What the workbook says of its sheets."""

    sheets: dict[str, str] = field(default_factory=dict)
    """Name to the id of its relation."""
    hidden: set[str] = field(default_factory=set)
    epoch_1904: bool = False


@dataclass(slots=True)
class SheetRead:
    """A sheet whose rows were given, and what was noticed."""

    name: str
    names: tuple[str, ...]
    noticed: Counter[str]


class RowSink(Protocol):
    """What takes the rows of a sheet."""

    rows: int

    def add(self, line: int, first: int, cells: list[str]) -> None:
        """A row with the cells from its first to its last value."""

    def finish(self) -> None:
        """There are no more."""


def is_xlsx(archive: zipfile.ZipFile) -> bool:
    """Whether the archive is a workbook in XML."""
    return any(name.lower().endswith(("workbook.xml", "workbook2.xml")) for name in archive.namelist())


def read_sheet(
    archive: zipfile.ZipFile, wanted: str | None, sink: RowSink, *, size: int, on_part: OnPart | None = None
) -> SheetRead:
    """Reads a sheet, the first that is shown when none is wanted, into the sink.

    size: bytes of the file. Raises ImportRefused.
    """
    # Some programs write the separators of their own system.
    names = {name.lower().replace("\\", "/").lstrip("/"): name for name in archive.namelist()}

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
    folder, _, file = main.replace("\\", "/").rpartition("/")
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
                # Sheets of macros have no cells, and may have no part.
                if chosen != wanted:
                    continue
                raise ImportRefused(f"The sheet {chosen!r} is missing from the workbook.", cure="Choose another sheet.")
            reader = _SheetReader(sink, texts, styles, epoch_1904=book.epoch_1904)
            parse(archive, sheet, Handlers(reader.start, reader.end, reader.text), on_part)
            reader.finish()
            sink.finish()
            if sink.rows:
                return SheetRead(chosen, tuple(book.sheets), reader.noticed)
    raise empty((wanted,) if wanted else shown[:SHEETS_TRIED], tuple(book.sheets))


def empty(tried: Sequence[str], names: Sequence[str]) -> ImportRefused:
    """What is said where nothing stands in any of the sheets that were tried."""
    said = (
        f"The sheet {tried[0]!r} is empty" if len(tried) == 1 else f"All of the first {len(tried):,} sheets are empty"
    )
    others = [name for name in names if name not in tried][:SHEETS_TRIED]
    cure = f"Choose another: {', '.join(others)}." if others else "Put the table into a sheet of cells."
    return ImportRefused(f"{said}.", cure=cure)


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


def _styles(archive: zipfile.ZipFile, name: str | None) -> list[Kind]:
    """How the cells of each style are shown."""
    formats, styles = dict(BUILT_IN), list[Kind]()
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


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1


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
    """Takes a sheet's elements and puts its rows into the sink."""

    def __init__(self, sink: RowSink, texts: SharedTexts, styles: list[Kind], *, epoch_1904: bool) -> None:
        self.noticed: Counter[str] = Counter()
        self._sink, self._texts, self._styles, self._epoch_1904 = sink, texts, styles, epoch_1904
        self._row = self._column = 0
        self._last_row = self._rightmost = 0
        self._cells: dict[int, str] = {}
        self._hidden = False
        self._kind, self._style = "n", GENERAL
        self._value: list[str] = []
        self._inline: list[str] = []
        self._hidden_columns: list[tuple[int, int]] = []
        self._formula: list[str] = []
        self._within = ""
        self._aside = 0
        self._columns: dict[str, int] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if tag == "c":
            self._begin_cell(attributes)
        elif tag == "v":
            self._within = "value"
        elif tag == "t" and not self._aside:
            self._within = "inline"
        elif tag == "f":
            self._within = "formula"
            self._formula.append("=")
        elif tag == "row":
            stated = _int(attributes.get("r"))
            self._row = stated if stated > 0 else self._row + 1
            self._column = 0
            self._hidden = _is_hidden(attributes)
        elif tag == "rPh":
            self._aside += 1
        elif tag == "mergeCell":
            self.noticed["merged"] += 1
        elif tag == "col" and _is_hidden(attributes) and len(self._hidden_columns) < COLUMN_LIMIT:
            self._hidden_columns.append((_int(attributes.get("min")), _int(attributes.get("max"))))

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self._column = self._place(reference) if reference else self._column + 1
        self._kind = attributes.get("t", "n")
        style = attributes.get("s")
        number = int(style) if style is not None and style.isdigit() and len(style) < 9 else -1
        self._style = self._styles[number] if 0 <= number < len(self._styles) else GENERAL
        self._value.clear()
        self._inline.clear()
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
        elif self._within == "inline":
            self._inline.append(piece)
        elif self._within == "formula":
            self._formula.append(piece)

    def end(self, tag: str) -> None:
        """An element ends."""
        if tag in ("v", "t", "f"):
            self._within = ""
        elif tag == "c":
            if self._value or self._inline or self._formula:
                text = self._shown()
                if text:
                    self._cells[self._column] = text
        elif tag == "row":
            self._end_row()
        elif tag == "rPh":
            self._aside -= 1

    def _shown(self) -> str:
        kind = self._kind
        # A cell may have both, of which its kind says the one that is meant.
        inline = self._inline if kind == "inlineStr" or not self._value else []
        value = "".join(inline or self._value)
        if not value and not self._value:
            if len(self._formula) > 1:
                self.noticed["formula"] += 1
                return "".join(self._formula)
            return ""
        if inline:
            return unescaped(value)
        if kind == "s":
            return self._texts[_int(value)]
        if kind == "n":
            if self._style is not GENERAL:
                self.noticed[self._style[0]] += 1
            return shown_number(value, self._style, epoch_1904=self._epoch_1904)
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind == "e":
            self.noticed["error"] += 1
        return unescaped(value)

    def finish(self) -> None:
        """The sheet has ended."""
        hidden = sum(
            max(0, min(last, self._rightmost) - first + 1) for first, last in self._hidden_columns if first > 0
        )
        if hidden:
            self.noticed["hidden_columns"] = hidden

    def _end_row(self) -> None:
        if not self._cells:
            return
        if self._row <= self._last_row:
            raise ImportRefused(f"The workbook is damaged: row {self._row:,} comes twice.", cure=CURE)
        self._last_row = self._row
        if self._hidden:
            self.noticed["hidden"] += 1
        first, last = min(self._cells), max(self._cells)
        self._rightmost = max(self._rightmost, last)
        if last - first + 1 == len(self._cells):
            cells = [self._cells[n] for n in range(first, last + 1)]
        elif last - first > CELL_LIMIT:
            raise ImportRefused("The sheet spans too many cells.", cure="Delete far-off cells, or save it as CSV.")
        else:
            cells = [self._cells.get(n, "") for n in range(first, last + 1)]
        self._sink.add(self._row, first - 1, cells)
        self._cells = {}


def _is_hidden(attributes: dict[str, str]) -> bool:
    """Whether a row or column is hidden."""
    return attributes.get("hidden", "0") not in ("0", "false")
