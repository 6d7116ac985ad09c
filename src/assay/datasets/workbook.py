"""Workbooks: a sheet's values go to the disk once, from where they are read as often as needed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from assay.datasets import xlsx
from assay.datasets.archive import checked_part, opened_archive
from assay.datasets.doctor import Doctor
from assay.datasets.source import OnPart, Source
from assay.datasets.spool import Spool, SpooledRow
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns, counted
from assay.errors import ImportRefused

CHILD = "assay.datasets.sheet_child"
CHILD_S = 60
CHILD_MB = 320
"""Memory of the process that reads old workbooks, beside twice the file's size."""
_NOTICED = {
    "formula": ("cells hold a formula without its result; the formula itself was taken", "warning",
                "Open the file in a spreadsheet and save it, so that the results are in it."),
    "date": ("cells are dates or times; they are written like 2026-01-31 13:45:00", "note", ""),
    "elapsed": ("cells are durations; they are written like 26:30:00", "note", ""),
    "percent": ("cells are shown as percent; they were taken as numbers: 50% is 0.5", "note", ""),
    "merged": ("ranges are merged; the value stands in the first cell", "note", ""),
    "hidden": ("rows are hidden in the sheet; they were taken too", "note", ""),
}  # fmt: skip
"""What a reader notices, in words, with severity and cure."""


class WorkbookFile:
    """One sheet of a workbook. Close it: its rows are in a temporary file."""

    def __init__(self, source: Source, options: ReadOptions, on_part: OnPart | None = None) -> None:
        self._options = options
        self._closing = ExitStack()
        try:
            self._spool = Spool(self._closing.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - closed by close()
            found = _read(source, options, self._spool, on_part)
        except BaseException:
            self._closing.close()
            raise
        self._noticed = found.noticed
        kind = source.ending if source.ending in ("xls", "ods") else "xlsx"
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
        yield SheetRows(self._spool, self._options, self._findings(), on_part)

    def _findings(self) -> list[Finding]:
        found = []
        if len(self.dialect.sheets) > 1 and not self._options.sheet:
            message = f"The workbook has {len(self.dialect.sheets):,} sheets; {self.dialect.sheet!r} was read."
            found.append(Finding("sheets", "note", 1, message, cure="Choose another sheet if it is the wrong one."))
        for kind, count in self._noticed.items():
            if kind in _NOTICED:
                words, severity, cure = _NOTICED[kind]
                found.append(Finding(kind, severity, count, f"{counted(count, words)}.", cure=cure))  # type: ignore[arg-type]
        return found


class SheetRows:
    """The rows of a sheet as they are asked for; line numbers are those of the sheet."""

    def __init__(self, spool: Spool, options: ReadOptions, noticed: list[Finding], on_part: OnPart | None) -> None:
        self.notes = Notes()
        self._spool, self._options, self._noticed, self._on_part = spool, options, noticed, on_part
        first = next(spool.read())
        names = self._whole(first) if options.header else [f"column {n}" for n in range(1, spool.width + 1)]
        self.columns, self._header_findings = checked_columns(names)

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._header_findings, *self._noticed, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(len(self.columns), self._options, self.notes)
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


def _read(source: Source, options: ReadOptions, spool: Spool, on_part: OnPart | None) -> xlsx.SheetRead:
    with source.opened() as file:
        if file.read(4) == b"PK\x03\x04":
            with opened_archive(file) as archive:
                if xlsx.is_xlsx(archive):
                    return xlsx.read_sheet(archive, options.sheet, spool, size=source.size, on_part=on_part)
                _check_old(archive, source.size)
        elif "EncryptedPackage".encode("utf-16-le") in source.head(1024 * 1024):
            raise ImportRefused("The workbook has a password.", cure="Take the password off, or save the data as CSV.")
    with _on_disk(source) as path:
        return _read_in_child(path, source.size, options.sheet, spool)


def _check_old(archive: zipfile.ZipFile, size: int) -> None:
    names = archive.namelist()
    parts = [name for name in names if name == "content.xml" or name.endswith(".bin")]
    if not parts:
        raise ImportRefused("The archive holds no workbook.", cure="Unpack it, and choose the file within.")
    for name in parts[: xlsx.SHEET_LIMIT]:
        checked_part(archive, name, size)


@contextmanager
def _on_disk(source: Source) -> Iterator[Path]:
    if isinstance(source.content, Path):
        yield source.content
        return
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        path = Path(folder) / f"workbook.{source.ending or 'xls'}"
        path.write_bytes(source.content)
        yield path


def _read_in_child(path: Path, size: int, sheet: str | None, spool: Spool) -> xlsx.SheetRead:
    """Reads an old workbook in a process that may die of it. Raises ImportRefused."""
    megabytes = CHILD_MB + 2 * size // (1024 * 1024)
    command = [sys.executable, "-P", "-m", CHILD, str(path), str(megabytes), *([sheet] if sheet else [])]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - our own script
    with child:
        try:
            found = _take(child.stdout, spool) if child.stdout is not None else None
            code = child.wait(CHILD_S)
        finally:
            child.kill()
    if code or found is None:
        raise ImportRefused(
            "The workbook cannot be read: it is damaged, or spans too many cells.", cure="Save it as XLSX or CSV."
        )
    spool.finish()
    return found


def _take(lines: IO[bytes], spool: Spool) -> xlsx.SheetRead | None:
    found = None
    for line in lines:
        told = json.loads(line)
        if isinstance(told, dict):
            raise ImportRefused(told["refused"], cure=told["cure"])
        if found is None:
            found = xlsx.SheetRead(told[0], tuple(told[1]), Counter())
        else:
            spool.add(*told)
    return found
