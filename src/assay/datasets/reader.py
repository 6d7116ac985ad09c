"""Reads a file of any kind that people have into rows of strings as typed, whatever its size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from assay.datasets.delimited import DelimitedFile
from assay.datasets.encoding import detect
from assay.datasets.json_file import ENDINGS, JsonFile, values_of
from assay.datasets.parquet_file import ParquetFile
from assay.datasets.shapes import Layout, Survey, column_findings, decoded_row, holds_object, wraps_objects
from assay.datasets.source import OnPart, Source
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, Table, checked_columns
from assay.datasets.workbook import WorkbookFile
from assay.domain.json_values import as_text
from assay.errors import ImportRefused

KINDS = ("csv", "tsv", "txt", "xlsx", "xls", "ods", "parquet", *ENDINGS)
BESIDE_LIMIT = 64 * 1024 * 1024
"""Bytes of a file that a configuration names."""
_FOREIGN = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"BZh", "a bzip2 archive", "Unpack it first."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it first."),
    (b"PARE", "an encrypted Parquet file", "Write it without encryption, or as CSV."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"%PDF", "a PDF", "Export the table as CSV or XLSX."),
    (b"{\\rtf", "a text document", "Export the table as CSV or XLSX."),
    (b"SQLite format 3", "a database", "Export the table as CSV."),
    (b"\x89PNG", "a picture", "Choose the table's own file."),
    (b"\xff\xd8\xff", "a picture", "Choose the table's own file."),
    (b"GIF8", "a picture", "Choose the table's own file."),
    (b"MZ", "a program", "Choose another file."),
    (b"\x7fELF", "a program", "Choose another file."),
)
"""First bytes of files that hold no table that is read here."""
_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"[^"\n]*"\s*:')
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WEB = (b"<!doctype", b"<html", b"<?xml", b"<table", b"<head", b"<body")


class Rows(Protocol):
    """The rows of a file as they are asked for, in lists of some; findings and notes are complete after the last."""

    columns: tuple[str, ...]
    notes: Notes

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""

    def __iter__(self) -> Iterator[list[list[str]]]: ...


class TableFile(Protocol):
    """A file that can be read as often as needed, in memory that does not grow with it."""

    dialect: Dialect
    columns: tuple[str, ...]

    def rows(self, on_part: OnPart | None = None) -> AbstractContextManager[Rows]:
        """The rows. Raises ImportRefused, also while they are read."""

    def close(self) -> None:
        """Frees what stands on the disk."""


def read_table(source: bytes | Path, *, filename: str = "", options: ReadOptions | None = None) -> Table:
    """The table in a file, in memory. Raises ImportRefused with what is wrong, where, and the cure.

    filename: its ending says the kind; content that contradicts it is believed more.
    """
    options = options or ReadOptions()
    found = Source(source, filename or (source.name if isinstance(source, Path) else ""))
    _check_size(found.size, options)
    with open_table(source, filename=filename, options=options) as file, file.rows() as rows:
        cells = [row for batch in rows for row in batch]
        return Table(file.columns, cells, file.dialect, rows.findings(), tuple(rows.notes.bad))


@contextmanager
def open_table(
    source: bytes | Path, *, filename: str = "", options: ReadOptions | None = None, on_part: OnPart | None = None
) -> Iterator[TableFile]:
    """A file to be read row by row, of any size. Raises ImportRefused."""
    options = options or ReadOptions()
    name = filename or (source.name if isinstance(source, Path) else "")
    found = Source(source, name)
    file = _opened(found, options, on_part)
    try:
        yield file if isinstance(file, JsonFile) or options.shape == "none" else _Unwrapped(file)
    finally:
        file.close()


def _opened(source: Source, options: ReadOptions, on_part: OnPart | None) -> TableFile:
    head, ending = source.head(), source.ending
    if not head:
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")
    _refuse_foreign(head, source.name, encoded=options.encoding is not None)
    if head[:4] == b"PK\x03\x04" or head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        _check_size(source.size, options)
        return WorkbookFile(source, options, on_part)
    if head[:4] == b"PAR1":
        return ParquetFile(source, options, on_part)
    if ending in ENDINGS:
        return JsonFile(source, options, on_part, read=partial(_rows_beside, options))
    if ending and ending not in KINDS:
        raise ImportRefused(
            f"{source.name!r} is not a kind of file that is read.", cure=f"Use one of {', '.join(KINDS)}."
        )
    if _JSON.match(head):
        with suppress(ImportRefused):
            return JsonFile(source, options, on_part, read=partial(_rows_beside, options))
    return DelimitedFile(source, options, on_part)


def _rows_beside(options: ReadOptions, path: Path) -> Sequence[Mapping[str, Any]]:
    """The rows of a file that a configuration names. Raises ImportRefused, saying which file."""
    options = replace(options, folder=None, shape="none", max_bytes=min(options.max_bytes, BESIDE_LIMIT))
    source = Source(path, path.name)
    try:
        _check_size(source.size, options)
        found = values_of(source, options) if source.ending in ENDINGS else list(read_table(path, options=options))
    except ImportRefused as error:
        raise ImportRefused(f"{path.name}: {error.message}", cure=error.cure) from error
    return [row for row in found if isinstance(row, Mapping)]


def _check_size(size: int, options: ReadOptions) -> None:
    if size > options.max_bytes:
        limit = options.max_bytes // (1024 * 1024)
        raise ImportRefused(
            f"The file has {size / 1024 / 1024:.0f} MB; the limit is {limit} MB.",
            cure="Split it, or raise ASSAY_UPLOAD_LIMIT_MB.",
        )


def _refuse_foreign(head: bytes, name: str, *, encoded: bool) -> None:
    """Refuses what is no table by its first bytes. encoded: an encoding was chosen, so that it is text."""
    for mark, what, cure in _FOREIGN:
        if head.startswith(mark):
            raise ImportRefused(f"{name!r} is {what}, not a table.", cure=cure)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(_WEB):
        raise ImportRefused(
            f"{name!r} is a web page or XML, not a table.", cure="Open the page, and download the table itself."
        )
    known = head[:4] in (b"PK\x03\x04", b"PAR1") or head[:4] == b"\xd0\xcf\x11\xe0"
    if (
        not (known or encoded)
        and len(_BINARY.findall(head)) > max(20, len(head) / 50)
        and "utf" not in detect(head).name
    ):
        raise ImportRefused(f"{name!r} holds binary data, not text.", cure="Export the table as CSV or XLSX.")


# -- rows of other tools in a table ----------------------------------------------------------------------------


class _Unwrapped:
    """A table whose cells may hold another tool's objects: then these are in plain columns."""

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self.dialect, self.columns = file.dialect, file.columns
        self._header_findings: list[Finding] = []
        self._layout = self._survey() if wraps_objects(file.columns) else None
        if self._layout is not None:
            self.columns, self._header_findings = checked_columns(list(self._layout.keys))

    def _survey(self) -> Layout | None:
        survey = Survey()
        with self._file.rows() as rows:
            for batch in rows:
                for cells in batch:
                    row = decoded_row(self._file.columns, cells)
                    if not survey.count and not holds_object(row):
                        return None
                    survey.add(row)
        layout = survey.layout()
        return layout if layout.shape is not None else None

    def close(self) -> None:
        """Frees what stands on the disk."""
        self._file.close()

    @contextmanager
    def rows(self, on_part: OnPart | None = None) -> Iterator[Rows]:
        """The rows in lists of some."""
        with self._file.rows(on_part) as rows:
            yield _UnwrappedRows(rows, self.columns, self._layout, self._header_findings)


class _UnwrappedRows:
    """The rows of a table, flattened where there is a layout, with what its columns say of the tool it is from."""

    def __init__(
        self, rows: Rows, columns: tuple[str, ...], layout: Layout | None, header_findings: list[Finding]
    ) -> None:
        self.columns, self.notes = columns, rows.notes
        self._rows, self._layout, self._header_findings = rows, layout, header_findings
        self._count = 0

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        beside = self._layout.findings if self._layout is not None else column_findings(self.columns, self._count)
        return (*self._rows.findings(), *self._header_findings, *beside)

    def __iter__(self) -> Iterator[list[list[str]]]:
        for batch in self._rows:
            self._count += len(batch)
            yield batch if self._layout is None else [self._flat(cells) for cells in batch]

    def _flat(self, cells: list[str]) -> list[str]:
        if self._layout is None:
            return cells
        flat = self._layout.flat(decoded_row(self._rows.columns, cells))
        return [as_text(flat.get(key)) for key in self._layout.keys]
