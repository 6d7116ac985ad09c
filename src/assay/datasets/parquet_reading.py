"""Reads Parquet some rows at a time, in the process of `apart_child`: texts that are stored once for many rows are
counted before they are repeated.

Says ["columns", names, how many rows], and ["rows", number of the first, rows, numbers of rows with nulls].
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from assay.datasets.doctor import CELLS_TOGETHER, CHARS_TOGETHER, TOGETHER
from assay.datasets.spool import CELL_LIMIT
from assay.domain.json_values import as_text
from assay.errors import ImportRefused

UNPACKED_LIMIT = 256 * 1024 * 1024
RATIO_LIMIT = 50
"""A file of more than UNPACKED_LIMIT bytes and this many times its size is a bomb."""
TOGETHER_BYTES = 64 * 1024 * 1024
"""Bytes that the rows which are unpacked together may take, if each holds the largest text that is repeated."""
LARGE_TEXT = 4 * 1024 * 1024
_DICTIONARY_PAGE = 2
_CURE = "Split it, or save the data as CSV."
_AS_WRITTEN = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)


def prepare() -> None:
    """Loads the library before memory is bounded; its threads would each reserve some."""
    import pyarrow as arrow
    import pyarrow.compute
    import pyarrow.parquet

    arrow.set_cpu_count(1)
    arrow.set_io_thread_count(1)


def tell(say: Callable[[list[Any]], None], path: Path, *, size: int) -> None:
    """Says what a file holds. Raises ImportRefused."""
    import pyarrow.parquet as parquet

    with path.open("rb") as file:
        metadata = parquet.read_metadata(file)
        _check(metadata, size)
        file.seek(0)
        schema = parquet.read_schema(file)
        largest, unpacked = _repeated_texts(metadata, file)
        if unpacked > max(UNPACKED_LIMIT, RATIO_LIMIT * size):
            raise _too_large()
        # A repeated text stays one text until it is counted: few bytes can stand for gigabytes.
        large = [field.name for field in schema if _is_text(field.type)] if largest > LARGE_TEXT else []
        file.seek(0)
        opened = parquet.ParquetFile(file, read_dictionary=large, buffer_size=1024 * 1024, pre_buffer=False)
        names = list(opened.schema_arrow.names)
        say(["columns", names, metadata.num_rows])
        together = TOGETHER_BYTES // min(largest, LARGE_TEXT) if largest else TOGETHER_BYTES
        step = min(together, TOGETHER, max(1, CELLS_TOGETHER // max(1, len(names))))
        for told in _rows(opened, step, size):
            say(told)


def _check(metadata: Any, size: int) -> None:
    """Refuses a file by what it says of itself."""
    rows, columns = metadata.num_rows, max(1, metadata.num_columns)
    if rows * columns > CELL_LIMIT:
        raise ImportRefused(f"The file says that it has {rows:,} rows.", cure=_CURE)
    stated = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    if stated > max(UNPACKED_LIMIT, 20 * RATIO_LIMIT * size):
        raise _too_large()


def _rows(file: Any, together: int, size: int) -> Iterator[list[Any]]:
    first, total = 1, 0
    for batch in file.iter_batches(batch_size=together):
        taken = sum(_unpacked(column) for column in batch.columns)
        total += taken
        if total > max(UNPACKED_LIMIT, RATIO_LIMIT * size):
            raise _too_large()
        step = max(1, batch.num_rows * CHARS_TOGETHER // max(taken, 1))
        for start in range(0, batch.num_rows, step):
            part = batch.slice(start, step)
            yield ["rows", first + start, *_cells(part, first + start)]
        first += batch.num_rows


def _cells(batch: Any, first: int) -> tuple[list[list[str]], list[int]]:
    """The rows, and the numbers of those with nulls. first: number of the first."""
    columns = [[_cell(value) for value in _values(_short_floats(column))] for column in batch.columns]
    nulls: set[int] = set()
    for column in batch.columns:
        if column.null_count:
            nulls.update(line for line, null in enumerate(column.is_null().to_pylist(), first) if null)
    return list(map(list, zip(*columns, strict=True))), sorted(nulls)


def _too_large() -> ImportRefused:
    return ImportRefused("The file unpacks to far more than its size.", cure=_CURE)


class _Repeated(NamedTuple):
    """The texts of a file that are stored once for many rows."""

    largest: int
    """Bytes that one of them may have."""
    unpacked: int
    """Bytes that they take once every row has its own, if all are used alike."""


def _repeated_texts(metadata: Any, file: BinaryIO) -> _Repeated:
    """What the dictionaries of texts say at the head of each."""
    largest = unpacked = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            if column.physical_type != "BYTE_ARRAY":
                continue
            if "DELTA_BYTE_ARRAY" in column.encodings:
                largest = max(largest, LARGE_TEXT)
            file.seek(column.dictionary_page_offset or column.data_page_offset)
            size, count = _dictionary(file.read(64))
            largest = max(largest, size)
            if size * column.num_values // count > column.total_uncompressed_size:
                unpacked += size * column.num_values // count
    return _Repeated(largest, unpacked)


def _dictionary(header: bytes) -> tuple[int, int]:
    """Unpacked bytes and number of values of a dictionary page, by its header; 0 and 1: it is another page.

    Thrift's compact protocol: type, unpacked and packed size and perhaps a checksum, then a structure with the number.
    """
    numbers: list[int] = []
    place = within = 0
    while place < len(header) and header[place] in (0x15, 0x3C, 0x4C):
        if header[place] == 0x15:
            place, number = _number(header, place + 1)
            numbers.append(number)
        else:
            place, within = place + 1, len(numbers)
    is_dictionary = within and len(numbers) > within and numbers[0] == _DICTIONARY_PAGE
    return (numbers[1], max(1, numbers[within])) if is_dictionary else (0, 1)


def _number(header: bytes, place: int) -> tuple[int, int]:
    """The place after a number, and the number."""
    number = shift = 0
    while place < len(header):
        byte = header[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return place, number >> 1


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


def _values(column: Any) -> list[Any]:
    """The values of a column; dates that Python does not know, such as of the year 40000, as Arrow says them."""
    from pyarrow import types

    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError):
        if types.is_temporal(column.type):
            return column.cast("string").to_pylist()  # type: ignore[no-any-return]
        if types.is_struct(column.type):
            fields = {field.name: _values(inner) for field, inner in zip(column.type, column.flatten(), strict=True)}
            return [{name: inner[n] for name, inner in fields.items()} for n in range(len(column))]
        if types.is_list(column.type) or types.is_large_list(column.type):
            return [_values(value.values) if value.is_valid else None for value in column]
        raise


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
