"""Rows that must be seen whole before the first can be given, kept on the disk meanwhile."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from assay.datasets.doctor import CHARS_TOGETHER, TOGETHER, too_much
from assay.datasets.source import told_of_full_disk
from assay.errors import ImportRefused

CELL_LIMIT = 20_000_000
"""Cells of the smallest rectangle around all values of a sheet, at most."""


class SpooledRow(NamedTuple):
    """The cells of a row from its first to its last value."""

    line: int
    first: int
    """Column of the first cell, from 0."""
    cells: list[str]


class Spool:
    """Rows of a sheet in a file of its own, and the rectangle that holds them. limit: bytes of the file at most."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._left = file, limit
        self._pending: list[tuple[int, int, list[str]]] = []
        self._size = 0
        self.rows = 0
        self.top = self.bottom = self.left = self.right = 0

    def add(self, line: int, first: int, cells: list[str]) -> None:
        """Keeps a row. Raises ImportRefused when the values lie too far apart."""
        last = first + len(cells) - 1
        if not self.rows:
            self.top, self.left, self.right = line, first, last
        self.bottom = max(self.bottom, line)
        self.left, self.right = min(self.left, first), max(self.right, last)
        if (self.bottom - self.top + 1) * self.width > CELL_LIMIT:
            raise ImportRefused(
                f"The sheet spans too many cells: its values reach to row {self.bottom:,} and over "
                f"{self.width:,} columns.",
                cure="Delete far-off cells, or save it as CSV.",
            )
        self.rows += 1
        self._pending.append((line, first, cells))
        self._size += sum(map(len, cells)) + 10 * len(cells)
        if len(self._pending) == TOGETHER or self._size > CHARS_TOGETHER:
            self.finish()

    @property
    def width(self) -> int:
        """Columns from the first to the last value of any row."""
        return self.right - self.left + 1

    def finish(self) -> None:
        """Writes what is pending."""
        if self._pending:
            self._left -= keep_batch(self._file, self._pending)
            if self._left < 0:
                raise too_much()
            self._pending, self._size = [], 0

    def read(self) -> Iterator[SpooledRow]:
        """The rows from the first."""
        for batch in kept_batches(self._file):
            yield from (SpooledRow(*row) for row in batch)


def keep_batch(file: BinaryIO, batch: list[Any]) -> int:
    """Appends some rows of texts and numbers to a file of this process, and says how many bytes they take.

    Raises ImportRefused where there is no room for them.
    """
    packed = marshal.dumps(batch)
    with told_of_full_disk():
        file.write(len(packed).to_bytes(8, "little") + packed)
        file.flush()
    return len(packed)


def kept_batches(file: BinaryIO) -> Iterator[list[Any]]:
    """What was kept, from the first."""
    file.seek(0)
    while size := file.read(8):
        yield marshal.loads(file.read(int.from_bytes(size, "little")))  # noqa: S302 - written by keep_batch
