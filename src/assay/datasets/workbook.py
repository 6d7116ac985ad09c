"""Workbooks: a sheet's values go to the disk once, from where they are read as often as needed."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from assay.datasets.apart import CURE, read_apart
from assay.datasets.doctor import Doctor
from assay.datasets.source import OnPart, Source, written_limit
from assay.datasets.spool import Spool, SpooledRow
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns, counted
from assay.datasets.xlsx import SheetRead
from assay.errors import ImportRefused

_NOTICED = {
    "formula": (
        "cells hold a formula without its result; the formula itself was taken",
        "warning",
        "Open the file in a spreadsheet and save it, so that the results are in it.",
    ),
    "date": ("cells are dates or times; they are written like 2026-01-31 13:45:00", "note", ""),
    "elapsed": ("cells are durations; they are written like 26:30:00", "note", ""),
    "percent": ("cells are shown as percent; they were taken as numbers: 50% is 0.5", "note", ""),
    "merged": ("ranges are merged; the value stands in the first cell", "note", ""),
    "error": (
        "cells hold an error of the spreadsheet, such as #N/A or #REF!; it was taken as text",
        "warning",
        "Mend the formulas, or empty the cells.",
    ),
    "hidden_columns": ("columns are hidden in the sheet; they were taken too", "note", ""),
    "hidden": ("rows are hidden in the sheet; they were taken too", "note", ""),
}
"""What a reader notices, in words, with severity and cure."""


_UNTOLD = (
    "Hidden rows and columns cannot be told from others in a workbook of this kind, and cells with an error, such as "
    "#N/A, are read as empty."
)


class WorkbookFile:
    """One sheet of a workbook. Close it: its rows are in a temporary file."""

    def __init__(self, source: Source, options: ReadOptions, on_part: OnPart | None = None) -> None:
        self._options, self._limit = options, written_limit(source.size)
        self._closing = ExitStack()
        try:
            self._spool = Spool(self._closing.enter_context(tempfile.TemporaryFile()), self._limit)  # noqa: SIM115 - closed by close()
            found = _read(source, options, self._spool, on_part)
        except BaseException:
            self._closing.close()
            raise
        self._noticed = found.noticed
        kind = source.ending if source.ending in ("xls", "xlsb", "ods") else "xlsx"
        self.dialect = Dialect(kind, sheet=found.name, sheets=found.names)
        if not self._spool.rows:
            self.close()
            raise ImportRefused(f"The sheet {found.name!r} is empty.", cure="Choose another sheet.")
        with self.rows() as rows:
            self.columns = rows.columns

    def close(self) -> None:
        """Frees the temporary file."""
        self._closing.close()

    @contextmanager
    def rows(self, on_part: OnPart | None = None) -> Iterator[SheetRows]:
        """The rows in lists of some."""
        yield SheetRows(self._spool, self._options, self._findings(), self._limit, on_part)

    def _findings(self) -> list[Finding]:
        found = []
        if len(self.dialect.sheets) > 1 and not self._options.sheet:
            message = f"The workbook has {len(self.dialect.sheets):,} sheets; {self.dialect.sheet!r} was read."
            found.append(Finding("sheets", "note", 1, message, cure="Choose another sheet if it is the wrong one."))
        if self._noticed["untold"]:
            found.append(Finding("untold", "warning", 1, _UNTOLD, cure="Save it as .xlsx if it has any."))
        for kind, count in self._noticed.items():
            if kind in _NOTICED:
                words, severity, cure = _NOTICED[kind]
                found.append(Finding(kind, severity, count, f"{counted(count, words)}.", cure=cure))  # type: ignore[arg-type]
        return found


class SheetRows:
    """The rows of a sheet as they are asked for; line numbers are those of the sheet."""

    def __init__(
        self, spool: Spool, options: ReadOptions, noticed: list[Finding], limit: int, on_part: OnPart | None
    ) -> None:
        self.notes = Notes()
        self._spool, self._options, self._noticed, self._limit, self._on_part = spool, options, noticed, limit, on_part
        first = next(spool.read())
        names = self._whole(first) if options.header else [f"column {n}" for n in range(1, spool.width + 1)]
        self.columns, self._header_findings = checked_columns(names)

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._header_findings, *self._noticed, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(self.columns, self._options, self.notes, limit=self._limit)
        pending: list[tuple[int, list[str]]] = []
        expected, done, size = self._spool.top, 0, 0
        for row in self._spool.read():
            if row.line > expected:
                self.notes.note_range("blank", expected, row.line)
            expected, done = row.line + 1, done + 1
            if done == 1 and self._options.header:
                continue
            pending.append((row.line, self._whole(row)))
            size += sum(map(len, row.cells))
            if len(pending) == doctor.together or size > 1_000_000:
                yield doctor.examined(pending)
                pending, size = [], 0
                if self._on_part is not None:
                    self._on_part(done, self._spool.rows)
        if pending:
            yield doctor.examined(pending)

    def _whole(self, row: SpooledRow) -> list[str]:
        """The row with its empty cells at both ends."""
        before = row.first - self._spool.left
        return [""] * before + row.cells + [""] * (self._spool.width - before - len(row.cells))


# -- reading ---------------------------------------------------------------------------------------------------


def _read(source: Source, options: ReadOptions, spool: Spool, on_part: OnPart | None) -> SheetRead:
    """Takes a sheet's rows from the process that reads it. Raises ImportRefused."""
    found = None
    with source.on_disk() as path, read_apart("workbook", path, size=source.size, sheet=options.sheet) as told:
        for kind, *said in told:
            if kind == "rows":
                for row in said[0]:
                    spool.add(*row)
            elif kind == "part" and on_part is not None:
                on_part(said[0], said[1])
            elif kind == "sheet":
                name, names, noticed = said
                found = SheetRead(name, tuple(names), Counter(noticed))
    if found is None:
        raise ImportRefused("The workbook cannot be read.", cure=CURE)
    spool.finish()
    return found
