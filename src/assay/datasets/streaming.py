"""Delimited files of any size, read row by row from the disk."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from assay.datasets.delimited import DelimitedRows, find_delimiter, guessed
from assay.datasets.encoding import CHOICES, SAMPLE, Encoding, detect_file
from assay.datasets.shapes import flattened_table
from assay.datasets.table import Dialect, Finding, ReadOptions, Table
from assay.errors import ImportRefused

SAMPLE_ROWS = 200
OnBytes = Callable[[int, int], None]
"""Told the bytes read so far and those of the whole file."""


@dataclass(frozen=True, slots=True)
class StreamedFile:
    """How a file is read, found out once: it may then be read as often as needed."""

    path: Path
    dialect: Dialect
    options: ReadOptions
    encoding: Encoding
    columns: tuple[str, ...]
    sample: Table
    """The first rows."""

    @contextmanager
    def rows(self, on_bytes: OnBytes | None = None) -> Iterator[DelimitedRows]:
        """The rows in lists of some. Raises ImportRefused, also while they are read."""
        size = self.path.stat().st_size
        with self.path.open("rb") as raw:
            told = _Told(raw, size, on_bytes) if on_bytes is not None else raw
            text = io.TextIOWrapper(told, encoding=self.encoding.name, newline="")
            try:
                yield DelimitedRows(text, self.dialect.delimiter, self.options)
            except UnicodeDecodeError as error:
                raise self._undecodable(error) from error

    def findings(self, source: DelimitedRows) -> tuple[Finding, ...]:
        """What was noticed in the file, once its rows have been read."""
        beside = flattened_table(self.sample).findings[len(self.sample.findings) :]
        return (*guessed(self.encoding, self.options), *source.findings(), *beside)

    def _undecodable(self, error: UnicodeDecodeError) -> ImportRefused:
        others = ", ".join(choice for choice in CHOICES if choice != self.encoding.name)
        return ImportRefused(
            f"{self.path.name} is not {self.encoding.name}: it holds the byte {error.object[error.start]:#04x}.",
            cure=f"Choose another encoding: {others}.",
        )


class _Told(io.BufferedReader):
    """A file that tells how far it was read."""

    def __init__(self, raw: io.BufferedReader, size: int, on_bytes: OnBytes) -> None:
        super().__init__(raw.raw, buffer_size=SAMPLE)
        self._size = size
        self._on_bytes = on_bytes

    def read1(self, size: int = -1) -> bytes:
        """What the text wrapper asks for."""
        found = super().read1(size)
        self._on_bytes(self.tell(), self._size)
        return found


def open_streamed(path: Path, options: ReadOptions) -> StreamedFile | None:
    """A delimited file that can be read row by row; None: its rows need to be seen together, or it is of another kind.

    Raises ImportRefused.
    """
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(SAMPLE)
        encoding = Encoding(options.encoding, certain=True) if options.encoding else detect_file(path)
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}.", cure="Check the path.") from error
    if head[:4] in (b"PK\x03\x04", b"PAR1") or not head:
        return None
    if encoding.name.lower() in ("utf-8", "utf8") and head.startswith(codecs.BOM_UTF8):
        encoding = replace(encoding, name="utf-8-sig")
    try:
        text = head.decode(encoding.name, "ignore").removeprefix("\ufeff")
    except LookupError as error:
        cure = f"Choose one of {', '.join(CHOICES)}."
        raise ImportRefused(f"{encoding.name!r} is not an encoding.", cure=cure) from error
    delimiter = options.delimiter or ("\t" if path.suffix.lower() == ".tsv" else find_delimiter(text))
    dialect = Dialect("csv", encoding=encoding.name.removesuffix("-sig"), delimiter=delimiter)
    known = StreamedFile(path, dialect, options, encoding, (), Table((), [], dialect))
    with known.rows() as source:
        columns = source.columns
        rows = next(iter(source), [])[:SAMPLE_ROWS]
    sample = Table(columns, rows, dialect)
    if options.shape == "auto" and flattened_table(sample).columns != columns:
        return None
    return StreamedFile(path, dialect, options, encoding, columns, sample)
