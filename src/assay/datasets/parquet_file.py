"""Parquet, read some rows at a time: texts that are stored once for many rows are counted before they are repeated."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assay.datasets.doctor import CHARS_TOGETHER, Doctor
from assay.datasets.source import OnPart, Source
from assay.datasets.spool import CELL_LIMIT
from assay.datasets.table import Dialect, Finding, Notes, ReadOptions, checked_columns
from assay.datasets.values import as_text
from assay.errors import ImportRefused

UNPACKED_LIMIT = 512 * 1024 * 1024
RATIO_LIMIT = 50
"""A file of more than UNPACKED_LIMIT bytes and this many times its size is a bomb."""
_CURE = "Split it, or save the data as CSV."
_AS_WRITTEN = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)


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
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        with self._source.opened() as file:
            try:
                schema = parquet.read_schema(file)
                file.seek(0)
                # A repeated text stays one text until it is counted: few bytes can stand for gigabytes.
                texts = [field.name for field in schema if _is_text(field.type)]
                opened = parquet.ParquetFile(file, read_dictionary=texts, buffer_size=1024 * 1024, pre_buffer=False)
                yield ParquetRows(opened, self._options, self._source.size, on_part)
            except (arrow.ArrowException, OSError, OverflowError, ValueError) as error:
                raise ImportRefused("The Parquet file cannot be read.", cure="Write it again, or as CSV.") from error


class ParquetRows:
    """The rows of a Parquet file as they are asked for; line numbers are those of the rows, from 1."""

    def __init__(self, file: Any, options: ReadOptions, size: int, on_part: OnPart | None) -> None:
        self.notes = Notes()
        self._file, self._options, self._size, self._on_part = file, options, size, on_part
        self._count = file.metadata.num_rows
        names = list(file.schema_arrow.names)
        if self._count * max(len(names), 1) > CELL_LIMIT:
            raise ImportRefused(f"The file says that it has {self._count:,} rows.", cure=_CURE)
        stated = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if stated > max(UNPACKED_LIMIT, 20 * RATIO_LIMIT * size):
            raise ImportRefused("The file unpacks to far more than its size.", cure=_CURE)
        self.columns, self._header_findings = checked_columns(names)

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed so far."""
        return (*self._header_findings, *self.notes.findings(self._options))

    def __iter__(self) -> Iterator[list[list[str]]]:
        doctor = Doctor(len(self.columns), self._options, self.notes)
        done = total = 0
        for batch in self._file.iter_batches(batch_size=doctor.together):
            size = sum(_unpacked(column) for column in batch.columns)
            total += size
            if total > max(UNPACKED_LIMIT, RATIO_LIMIT * self._size):
                raise ImportRefused("The file unpacks to far more than its size.", cure=_CURE)
            step = max(1, batch.num_rows * CHARS_TOGETHER // max(size, 1))
            for start in range(0, batch.num_rows, step):
                part = batch.slice(start, step)
                yield doctor.examined(self._numbered(part, done + start + 1))
            done += batch.num_rows
            if self._on_part is not None:
                self._on_part(done, self._count)

    def _numbered(self, batch: Any, first: int) -> list[tuple[int, list[str]]]:
        columns = []
        for column in batch.columns:
            values = _short_floats(column).to_pylist()
            columns.append([_cell(value) for value in values])
        rows = list(enumerate(map(list, zip(*columns, strict=True)), first))
        if any(column.null_count for column in batch.columns):
            for line, nulls in enumerate(
                zip(*(column.is_null().to_pylist() for column in batch.columns), strict=True), first
            ):
                if any(nulls):
                    self.notes.note("null", line)
        return rows


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_binary))


def _unpacked(column: Any) -> int:
    """Bytes that a column takes once every row has its own value."""
    import pyarrow.compute as compute
    from pyarrow import types

    if not types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    lengths = compute.binary_length(column.dictionary)
    return int(compute.sum(lengths.take(column.indices).cast("int64")).as_py() or 0)


def _short_floats(column: Any) -> Any:
    """Numbers of less than 64 bits as the shortest text that means them: 0.1, not 0.10000000149011612."""
    from pyarrow import types

    if types.is_float32(column.type) or types.is_float16(column.type):
        return column.cast("float32").cast("string")
    return column


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, _AS_WRITTEN) else as_text(value)
