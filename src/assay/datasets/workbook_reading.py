"""Reads a sheet of a workbook, in the process of `apart_child`.

Says ["rows", rows] with line, first column and cells of each, ["part", done, whole] on the way, and at last
["sheet", name, all names, counts of what was noticed].
"""

from __future__ import annotations

import datetime
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.datasets import xlsx
from assay.datasets.archive import checked_part, opened_archive
from assay.datasets.doctor import CHARS_TOGETHER, TOGETHER
from assay.datasets.number_formats import elapsed, short_number
from assay.errors import ImportRefused

Say = Callable[[list[Any]], None]


def prepare() -> None:
    """Loads the library of old workbooks before memory is bounded."""
    import python_calamine  # noqa: F401 - for its loading


def tell(say: Say, path: Path, *, size: int, sheet: str | None) -> None:
    """Says what a sheet holds, the first that holds something where none is wanted. Raises ImportRefused."""
    with path.open("rb") as file:
        head = file.read(4)
        if head == b"PK\x03\x04":
            with opened_archive(file) as archive:
                if xlsx.is_xlsx(archive):
                    _tell_of_xlsx(say, archive, sheet, size)
                    return
                _check_old(archive, size)
        elif "EncryptedPackage".encode("utf-16-le") in file.read(1024 * 1024):
            raise ImportRefused("The workbook has a password.", cure="Take the password off, or save the data as CSV.")
    _tell_of_old(say, path, sheet or "")


def _check_old(archive: zipfile.ZipFile, size: int) -> None:
    names = archive.namelist()
    parts = [name for name in names if name == "content.xml" or name.endswith(".bin")]
    if not parts:
        raise ImportRefused("The archive holds no workbook.", cure="Unpack it, and choose the file within.")
    for name in parts[: xlsx.SHEET_LIMIT]:
        checked_part(archive, name, size)


class Telling:
    """Says rows, some together."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._pending: list[tuple[int, int, list[str]]] = []
        self._size = 0
        self.rows = 0

    def add(self, line: int, first: int, cells: list[str]) -> None:
        """A row with the cells from its first to its last value."""
        self.rows += 1
        self._pending.append((line, first, cells))
        self._size += sum(map(len, cells))
        if len(self._pending) == TOGETHER or self._size > CHARS_TOGETHER:
            self.finish()

    def finish(self) -> None:
        """Says what is pending."""
        if self._pending:
            self._say(["rows", self._pending])
            self._pending, self._size = [], 0


def _tell_of_xlsx(say: Say, archive: zipfile.ZipFile, wanted: str | None, size: int) -> None:
    def on_part(done: int, whole: int) -> None:
        say(["part", done, whole])

    found = xlsx.read_sheet(archive, wanted, Telling(say), size=size, on_part=on_part)
    say(["sheet", found.name, found.names, found.noticed])


# -- .xls, .xlsb, .ods -----------------------------------------------------------------------------------------


def _tell_of_old(say: Say, path: Path, wanted: str) -> None:
    """The library gives every cell of the rectangle around the values at once."""
    from python_calamine import CalamineWorkbook, PasswordError, SheetVisibleEnum

    try:
        book = CalamineWorkbook.from_path(path)
    except PasswordError:
        raise ImportRefused(
            "The workbook has a password.", cure="Take the password off, or save the data as CSV."
        ) from None
    names = list(book.sheet_names)
    if not names or (wanted and wanted not in names):
        raise ImportRefused(f"There is no sheet {wanted!r}.", cure=f"Choose one of {', '.join(names)}.")
    shown = [one.name for one in book.sheets_metadata if one.visible == SheetVisibleEnum.Visible] if not wanted else []
    tried = (wanted,) if wanted else (shown or names)[: xlsx.SHEETS_TRIED]
    for chosen in tried:
        sheet = book.get_sheet_by_name(chosen)
        if sheet.height:
            break
    else:
        raise xlsx.empty(tried, names)
    rows, noticed = Telling(say), Counter(untold=1, merged=len(sheet.merged_cell_ranges or ()))
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [text_of(value) for value in row]
        noticed.update(_TIMES[type(value)] for value in row if type(value) in _TIMES)
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.add(number, 0, cells)
    rows.finish()
    say(["sheet", chosen, names, +noticed])


_TIMES = dict.fromkeys((datetime.date, datetime.time, datetime.datetime), "date") | {datetime.timedelta: "elapsed"}


def text_of(value: Any) -> str:
    """A value as the spreadsheet shows it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return short_number(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        return elapsed(value / datetime.timedelta(days=1))
    return str(value)
