"""Reads a file of any kind that people have into a Table of strings as typed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.datasets.delimited import read_delimited
from assay.datasets.encoding import decode, detect
from assay.datasets.shapes import ROW_LISTS, flattened, flattened_table, is_row
from assay.datasets.table import Dialect, Finding, ReadOptions, Table, checked_columns
from assay.datasets.values import as_text, loads
from assay.errors import ImportRefused

KINDS = ("csv", "tsv", "txt", "xlsx", "xls", "ods", "json", "jsonl", "ndjson", "parquet")
UNPACKED_LIMIT = 512 * 1024 * 1024
RATIO_LIMIT = 200
CELL_LIMIT = 20_000_000


def read_table(source: bytes | Path, *, filename: str = "", options: ReadOptions | None = None) -> Table:
    """The table in a file. Raises ImportRefused with what is wrong, where, and the cure.

    filename: its ending says the kind; content that contradicts it is believed more.
    """
    options = options or ReadOptions()
    name = filename or (source.name if isinstance(source, Path) else "")
    content = _content(source, options)
    ending = name.rpartition(".")[2].lower()
    if content[:4] == b"PK\x03\x04" or ending in ("xls", "ods") or content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return _read_workbook(content, options)
    if content[:4] == b"PAR1":
        return _read_parquet(content)
    if ending in ("jsonl", "ndjson"):
        return _read_jsonl(content, options)
    if ending == "json":
        return _read_json(content, options)
    if ending and ending not in KINDS:
        raise ImportRefused(f"{name!r} is not a kind of file that is read.", cure=f"Use one of {', '.join(KINDS)}.")
    table = read_delimited(content, options, tabs=ending == "tsv")
    return flattened_table(table) if options.shape == "auto" else table


def _content(source: bytes | Path, options: ReadOptions) -> bytes:
    if isinstance(source, Path):
        try:
            _check_size(source.stat().st_size, options)
            return source.read_bytes()
        except OSError as error:
            raise ImportRefused(f"{source} cannot be read: {error.strerror}.", cure="Check the path.") from error
    _check_size(len(source), options)
    return source


def _check_size(size: int, options: ReadOptions) -> None:
    if size > options.max_bytes:
        limit = options.max_bytes // (1024 * 1024)
        raise ImportRefused(
            f"The file has {size / 1024 / 1024:.0f} MB; the limit is {limit} MB.",
            cure="Split it, or raise ASSAY_UPLOAD_LIMIT_MB.",
        )
    if size == 0:
        raise ImportRefused("The file is empty.", cure="Choose a file with a header and at least one row.")


# -- JSON ------------------------------------------------------------------------------------------------------


def _read_json(content: bytes, options: ReadOptions) -> Table:
    text = decode(content, options.encoding or detect(content).name)
    try:
        value = loads(text)
    except json.JSONDecodeError as error:
        try:
            return _read_jsonl(content, options)
        except ImportRefused:
            raise ImportRefused(f"Line {error.lineno} is not JSON: {error.msg}.", cure="Check the file.") from error
    except RecursionError as error:
        raise ImportRefused("The JSON is nested too deeply.", cure="Flatten it.") from error
    if isinstance(value, Mapping):
        value = _rows_within(value)
    if not isinstance(value, list):
        raise ImportRefused("The JSON holds no rows.", cure="It must be a list of objects.")
    return _from_objects(value, "json", options, first_line=None)


def _rows_within(value: Mapping[str, Any]) -> list[Any]:
    """The rows of a file that is one object: its only list, else the list under a name that tools give it."""
    lists = {name: inner for name, inner in value.items() if isinstance(inner, list)}
    if len(lists) == 1 and not is_row(value):
        return next(iter(lists.values()))
    return next((lists[name] for name in ROW_LISTS if name in lists), [value])


def _read_jsonl(content: bytes, options: ReadOptions) -> Table:
    text = decode(content, options.encoding or detect(content).name).removeprefix("\ufeff")
    rows: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise ImportRefused(f"Line {number} is not JSON: {reason}.", cure="Mend or remove that line.") from error
    return _from_objects(rows, "jsonl", options, first_line=1)


def _from_objects(values: list[Any], kind: str, options: ReadOptions, *, first_line: int | None) -> Table:
    if not values:
        raise ImportRefused("The file has no rows.", cure="Choose a file with at least one row.")
    for number, value in enumerate(values, 1):
        if not isinstance(value, Mapping):
            where = f"Line {number}" if first_line else f"Entry {number}"
            raise ImportRefused(f"{where} is not an object.", cure="Every row must be a JSON object.")
    shape = flattened(values) if options.shape == "auto" else None
    values = shape.rows if shape else values
    keys = list(dict.fromkeys(key for value in values for key in value))
    columns, findings = checked_columns(keys)
    rows = [[as_text(value.get(key)) for key in keys] for value in values]
    if shape:
        findings.append(shape.finding)
    lacking = sum(any(key not in value for key in keys) for value in values)
    if lacking:
        message = f"{lacking:,} rows lack some of the fields; these are empty."
        findings.append(Finding("short", "note", lacking, message))
    return Table(columns, rows, Dialect(kind, encoding="utf-8"), tuple(findings))


# -- workbooks -------------------------------------------------------------------------------------------------


def _read_workbook(content: bytes, options: ReadOptions) -> Table:
    from python_calamine import CalamineError, CalamineWorkbook

    if content[:4] == b"PK\x03\x04":
        _refuse_bomb(content)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = tuple(book.sheet_names)
        chosen = options.sheet or next(iter(names), "")
        if chosen not in names:
            raise ImportRefused(f"There is no sheet {chosen!r}.", cure=f"Choose one of {', '.join(names)}.")
        sheet = book.get_sheet_by_name(chosen)
        if sheet.total_height * max(sheet.total_width, 1) > CELL_LIMIT:
            raise ImportRefused("The sheet spans too many cells.", cure="Delete far-off cells, or save it as CSV.")
        raw = sheet.to_python(skip_empty_area=True)
    except (CalamineError, ValueError, OSError) as error:
        raise ImportRefused(f"The workbook cannot be read: {error}.", cure="Save it again, or as CSV.") from error
    rows = [[_cell(value) for value in row] for row in raw]
    rows = [row for row in rows if any(row)]
    if not rows:
        raise ImportRefused("The sheet is empty.", cure="Choose another sheet.")
    columns, findings = checked_columns(rows[0])
    dialect = Dialect("xlsx", sheet=chosen, sheets=names)
    return Table(columns, rows[1:], dialect, tuple(findings))


def _cell(value: object) -> str:
    """A cell as a spreadsheet shows it: whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


def _refuse_bomb(content: bytes) -> None:
    """Refuses archives that unpack to far more than they are; sizes are counted while unpacking, not believed."""
    cure = "Save the data as CSV."
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = 0
            for entry in archive.infolist():
                with archive.open(entry) as part:
                    head = True
                    while chunk := part.read(1 << 20):
                        if head and b"<!DOCTYPE" in chunk[:4096]:
                            raise ImportRefused("The workbook declares XML entities.", cure=cure)
                        head = False
                        unpacked += len(chunk)
                        if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * max(len(content), 50_000):
                            raise ImportRefused("The workbook unpacks to far more than its size.", cure=cure)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ImportRefused("The workbook is damaged.", cure=cure) from error


def _read_parquet(content: bytes) -> Table:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
    except (arrow.ArrowException, OSError) as error:
        raise ImportRefused("The Parquet file cannot be read.", cure="Write it again, or as CSV.") from error
    columns, findings = checked_columns(list(table.column_names))
    lists = [[as_text(v) if not isinstance(v, bytes) else v.hex() for v in c.to_pylist()] for c in table.columns]
    return Table(columns, [list(row) for row in zip(*lists, strict=True)], Dialect("parquet"), tuple(findings))
