"""Parquet: its rows come from a process of its own, a new one for each use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assay.datasets.apart import CURE, read_apart
from assay.datasets.doctor import Doctor
from assay.datasets.source import OnPart, Source, written_limit
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns
from assay.errors import ImportRefused


class ParquetFile:
    """A Parquet file; its columns stand in it."""

    def __init__(self, source: Source, options: ReadOptions, on_part: OnPart | None = None) -> None:
        self._source, self._options = source, options
        with self.rows() as rows:
            self.columns = rows.columns
        self.dialect = Dialect("parquet")

    def close(self) -> None:
        """There is nothing to free."""

    @contextmanager
    def rows(self, on_part: OnPart | None = None) -> Iterator[ParquetRows]:
        """The rows in lists of some. Raises ImportRefused, also while they are read."""
        size = self._source.size
        with self._source.on_disk() as path, read_apart("parquet", path, size=size) as told:
            yield ParquetRows(told, self._options, size, on_part)


class ParquetRows:
    """The rows of a Parquet file as they are asked for; line numbers are those of the rows, from 1."""

    def __init__(self, told: Iterator[list[Any]], options: ReadOptions, size: int, on_part: OnPart | None) -> None:
        self.notes = Notes()
        self._told, self._options, self._size, self._on_part = told, options, size, on_part
        first: list[Any] = next(told, [None, (), 0])
        kind, names, self._count = first
        if kind != "columns":
            raise ImportRefused("The Parquet file cannot be read.", cure=CURE)
        self.columns, self._header_findings = checked_columns(list(names))

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._header_findings, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(self.columns, self._options, self.notes, limit=written_limit(self._size))
        for _, first, rows, nulls in self._told:
            for line in nulls:
                self.notes.note("null", line)
            yield doctor.examined(list(enumerate(rows, first)))
            if self._on_part is not None:
                self._on_part(first + len(rows) - 1, self._count)
