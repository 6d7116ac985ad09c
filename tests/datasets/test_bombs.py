"""Files that are small and unpack to far more, or nest without an end: refused in words, within seconds."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import openpyxl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from assay.datasets.reader import read_table
from assay.errors import ImportRefused

ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><worksheet><sheetData><row><c><v>&i;</v></c></row></sheetData></worksheet>"
)


@contextmanager
def soon() -> Iterator[None]:
    """The issue's 2 s of processor time, of the processes that we started too, with room for a slow machine."""
    before, started = pace(), taken()
    yield
    seconds = taken() - started
    assert seconds < 5 * max(1.0, before, pace())


def pace() -> float:
    """How many times longer than on a machine at rest some work takes now: cores that are shared are slow ones."""
    started = time.process_time()
    sum(n * n for n in range(500_000))
    return (time.process_time() - started) / 0.05


def taken() -> float:
    """Seconds of processor time, the processes that have ended included."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def workbook(sheet: bytes) -> bytes:
    """A workbook whose first sheet is exactly this XML."""
    plain, changed = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else source.read(name))
    return changed.getvalue()


def far_off_cell() -> bytes:
    """One value in the first cell and one in the last that a sheet has."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active["A1"] = "a"
    book.active["XFD1048576"] = "b"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def archive_of(parts: dict[str, bytes]) -> bytes:
    """A ZIP archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def many_sheets() -> bytes:
    """A workbook that names five thousand sheets."""
    sheets = "".join(f'<sheet name="s{n}" sheetId="{n}" r:id="r1"/>' for n in range(1, 5_001))
    names = f'<workbook xmlns:r="urn:r"><sheets>{sheets}</sheets></workbook>'
    return archive_of({"xl/workbook.xml": names.encode()})


def repeated_cells() -> bytes:
    """An OpenDocument sheet whose one value is said to stand in every cell there is."""
    cell = '<table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="16384"/>'
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0"><office:body>'
        f'<office:spreadsheet><table:table table:name="a">{row}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
    listed = f'<manifest:manifest xmlns:manifest="{space}">{entry}</manifest:manifest>'
    return archive_of(
        {"mimetype": kind.encode(), "META-INF/manifest.xml": listed.encode(), "content.xml": content.encode()}
    )


def old_workbook(last_row: int, last_column: int) -> bytes:
    """An .xls (BIFF8 in a compound file) with 1 in its first cell and 2.5 in its last."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    begin = [record(0x809, struct.pack("<HHHHII", 0x600, kind, 0, 0, 0, 0)) for kind in (5, 0x10)]
    end = record(0x0A, b"")
    place = len(begin[0]) + 4 + 8 + 1 + len(end)
    numbers = [(0, 0, 1.0), (last_row, last_column, 2.5)]
    sheet = begin[1] + b"".join(record(0x203, struct.pack("<HHHd", r, c, 0, v)) for r, c, v in numbers) + end
    stream = begin[0] + record(0x85, struct.pack("<IHBB", place, 0, 1, 0) + b"a") + end + sheet
    stream = stream.ljust(4096, b"\0")
    entries = [("Root Entry", 5, 1, 0xFFFFFFFE, 0), ("Workbook", 2, 0xFFFFFFFF, 2, len(stream))]
    directory = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBBIII", 2 * len(name) + 2, kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
        + bytes(36)
        + struct.pack("<IQ", start, size)
        for name, kind, child, start, size in entries
    )
    used = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 10), 0xFFFFFFFE]
    table = struct.pack("<128I", *used, *[0xFFFFFFFF] * (128 - len(used)))
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
        + bytes(6)
        + struct.pack("<9I", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
        + struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    )
    return header + table + directory.ljust(512, b"\0") + stream


def repeated_text() -> bytes:
    """A text of a megabyte, said once, for 20,000 rows."""
    column = arrow.DictionaryArray.from_arrays(arrow.array([0] * 20_000, arrow.int32()), arrow.array(["x" * 1_000_000]))
    target = io.BytesIO()
    parquet.write_table(arrow.table({"text": column}), target)
    return target.getvalue()


def many_rows() -> bytes:
    """Thirty million rows of one number."""
    target = io.BytesIO()
    parquet.write_table(arrow.table({"n": arrow.repeat(7, 30_000_000)}), target, row_group_size=30_000_000)
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", lambda: b"[" * 5_000_000, "nested too deeply"),
        ("x.json", lambda: b'[{"a":' + b"[" * 90_000 + b"]" * 90_000 + b"}]", "nested too deeply"),
        ("x.jsonl", lambda: b'{"a":' * 500_000, "nested too deeply"),
        ("x.xlsx", lambda: workbook(ENTITIES.encode()), "entities"),
        ("x.xlsx", lambda: workbook(b"<row/>" * 10_000_000), "too many rows"),
        ("x.xlsx", lambda: workbook(b" " * 60_000_000), "unpacks"),
        ("x.xlsx", many_sheets, "more than 1,000 sheets"),
        ("x.xlsx", lambda: workbook(b"<worksheet><sheetData><row><c r='A1'><v>&x;</v>"), "damaged"),
        ("x.zip", lambda: archive_of({"lib 0.zip": archive_of({"0.dll": b"0" * 5_000_000})}), "no workbook"),
        ("x.ods", lambda: archive_of({"content.xml": b"<a>" + b"0" * 60_000_000}), "unpacks"),
        ("x.ods", repeated_cells, "cannot be read|too many|unpacks"),
        ("x.xlsx", far_off_cell, "too many cells"),
        ("x.parquet", repeated_text, "unpacks"),
        ("x.parquet", many_rows, "30,000,000 rows"),
        ("x.parquet", lambda: many_rows()[:-300] + b"PAR1", "cannot be read"),
    ],
)
def test_bomb_is_refused_soon(name: str, content: Callable[[], bytes], words: str) -> None:
    """Nothing is unpacked to its end, and the refusal has a cure."""
    made = content()

    with soon(), pytest.raises(ImportRefused, match=words) as caught:
        read_table(made, filename=name)

    assert caught.value.cure


def test_sheet_that_is_only_formatted_far_out_is_read() -> None:
    """Styles without values, and a forged dimension, take no memory."""
    sheet = (
        '<worksheet><dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c>'
        '<c r="XFD1" s="0"/></row><row r="2"><c r="A2"><v>0.1</v></c></row><row r="1048576" s="1"><c r="XFD1048576" '
        's="0"/></row></sheetData></worksheet>'
    )

    with soon():
        table = read_table(workbook(sheet.encode()), filename="x.xlsx")

    assert list(table) == [{"a": "0.1"}]


def test_old_workbook_that_spans_all_cells_is_refused() -> None:
    """What would end the process ends its child only."""
    with soon(), pytest.raises(ImportRefused, match="more memory"):
        read_table(old_workbook(65_535, 255), filename="x.xls")

    assert list(read_table(old_workbook(1, 0), filename="x.xls")) == [{"1": "2.5"}]


def test_parquet_keeps_dates_that_python_does_not_know() -> None:
    """Of years after 9999, in columns, lists and objects: as Arrow says them, and the rest is read."""
    dated = arrow.struct([("x", arrow.timestamp("ms"))])
    moments = arrow.array([10**15, 0], arrow.timestamp("s"))
    table = arrow.table({"at": moments, "in": arrow.array([{"x": 10**15}, {"x": 0}], dated), "n": [1, 2]})
    target = io.BytesIO()
    parquet.write_table(table, target)

    first, second = read_table(target.getvalue(), filename="x.parquet").rows

    assert (first[0], second[0], second[2]) == (
        "<value out of range: 1000000000000000000>",
        "1970-01-01 00:00:00.000",
        "2",
    )
    assert "out of range" in first[1]


def test_parquet_keeps_texts_numbers_lists_and_gaps() -> None:
    """What is no bomb is read as it is, over more rows than are unpacked at a time."""
    count = 25_000
    made = arrow.table(
        {
            "text": [f" =1+{n} " for n in range(count)],
            "n": list(range(count)),
            "list": [[1, 2]] * count,
            "raw": [b"\x00\xff"] * count,
            "gap": [None, "x"] * (count // 2),
        }
    )
    target = io.BytesIO()
    parquet.write_table(made, target)

    rows = list(read_table(target.getvalue(), filename="x.parquet"))

    assert len(rows) == count
    assert rows[20_001] == {"text": " =1+20001 ", "n": "20001", "list": "[1, 2]", "raw": "00ff", "gap": "x"}
    assert rows[0]["gap"] == ""
