"""Workbooks are read as their users see them."""

from __future__ import annotations

import datetime
import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from test_bombs import archive_of, old_workbook, workbook

from assay.datasets.apart import CHILD
from assay.datasets.number_formats import date_of, elapsed, kind_of, shown_number
from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions, Table
from assay.errors import ImportRefused


def book(fill: Callable[[Any], None]) -> Table:
    """The table of a workbook whose first sheet was filled."""
    made = openpyxl.Workbook()
    fill(made.active)
    target = io.BytesIO()
    made.save(target)
    return read_table(target.getvalue(), filename="x.xlsx")


def sheet(cells: str, after: str = "") -> Table:
    """The table of a sheet with one column `v` and these rows of XML."""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>v</t></is></c></row>'
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xml = f'<worksheet xmlns="{space}"><sheetData>{head}{cells}</sheetData>{after}</worksheet>'
    return read_table(workbook(xml.encode()), filename="x.xlsx")


@pytest.mark.parametrize(
    ("stored", "code", "shown"),
    [
        ("0.1", "General", "0.1"),
        ("0.30000000000000004", "General", "0.3"),
        ("1.1000000000000001", "0.00", "1.1"),
        ("7", "00000", "00007"),
        ("12345678901234567890", "General", "12345678901234567890"),
        ("-5", "General", "-5"),
        ("1E+20", "General", "100000000000000000000"),
        ("1.5E-7", "General", "1.5E-07"),
        ("0.5", "0%", "0.5"),
        ("45296", "dd.mm.yyyy", "2024-01-05"),
        ("45296.5729166667", "yyyy-mm-dd hh:mm", "2024-01-05 13:45:00"),
        ("0.5729166667", "h:mm AM/PM", "13:45:00"),
        ("1.1041666667", "[h]:mm:ss", "26:30:00"),
        ("59", "d-mmm", "1900-02-28"),
        ("45296", '"day "0', "45296"),
        ("45296", "[Red]0", "45296"),
        ("abc", "General", "abc"),
    ],
)
def test_number_is_read_as_it_is_shown(stored: str, code: str, shown: str) -> None:
    """Fifteen digits, leading zeros, and dates in ISO's form."""
    assert shown_number(stored, kind_of(code)) == shown


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    """The other of the two calendars of spreadsheets; a duration is the same in both."""
    assert date_of(43834, epoch_1904=True) == date_of(45296) == "2024-01-05"
    assert elapsed(1.5) == "36:00:00"


def test_cells_of_every_kind_are_read(tmp_path: Path) -> None:
    """Dates, times, booleans, errors and texts; what was written another way is said."""
    when = datetime.datetime(2024, 1, 5, 13, 45)

    def fill(target: Any) -> None:
        target.append(["day", "moment", "yes", "wrong", "text"])
        target.append([when.date(), when, True, "#N/A", " =1+1 "])

    table = book(fill)

    assert table.rows == [["2024-01-05", "2024-01-05 13:45:00", "TRUE", "#N/A", " =1+1 "]]
    assert [f.message for f in table.findings] == [
        "2 cells are dates or times; they are written like 2026-01-31 13:45:00.",
        "1 cell holds an error of the spreadsheet, such as #N/A or #REF!; it was taken as text.",
    ]


def test_formula_without_its_result_is_said() -> None:
    """The formula itself is taken; one with its result gives the result."""
    table = sheet('<row r="2"><c r="A2"><f>1+1</f></c></row><row r="3"><c r="A3"><f>1+1</f><v>2</v></c></row>')

    assert table.rows == [["=1+1"], ["2"]]
    assert "1 cell holds a formula" in table.findings[0].message


def test_rich_and_escaped_texts_are_whole() -> None:
    """Runs are joined, reading aids left out, escaped characters as they are."""
    runs = "<is><r><t>a </t></r><r><rPr/><t>b</t></r><rPh><t>aside</t></rPh></is>"
    table = sheet(
        f'<row r="2"><c r="A2" t="inlineStr">{runs}</c></row>'
        '<row r="3"><c r="A3" t="str"><v>x_x000D_y_x005F_x0041_</v></c></row>'
    )

    assert table.rows == [["a b"], ["x\ry_x0041_"]]


def test_cell_with_a_text_and_a_value_is_the_one_that_its_kind_says() -> None:
    """Some programs write both; errors are texts, and said."""
    table = sheet(
        '<row r="2"><c r="A2" t="inlineStr"><v>0</v><is><t>text</t></is></c></row>'
        '<row r="3"><c r="A3"><v>5</v><is><t>text</t></is></c></row>'
        '<row r="4"><c r="A4"><is><t>text</t></is></c></row><row r="5"><c r="A5" t="e"><v>#N/A</v></c></row>'
    )

    assert table.rows == [["text"], ["5"], ["text"], ["#N/A"]]
    assert "1 cell holds an error of the spreadsheet" in table.findings[0].message


def test_hidden_columns_are_said() -> None:
    """Those that hold values; they are read."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in "abc")
    xml = (
        f'<worksheet xmlns="{space}"><cols><col min="2" max="9" hidden="1"/></cols><sheetData>'
        f"<row>{cells}</row><row>{cells.replace('>a<', '>x<')}</row></sheetData></worksheet>"
    )

    table = read_table(workbook(xml.encode()), filename="x.xlsx")

    assert (table.columns, table.rows) == (("a", "b", "c"), [["x", "b", "c"]])
    assert [f.message for f in table.findings] == ["2 columns are hidden in the sheet; they were taken too."]


def test_blank_hidden_and_merged_parts_are_said() -> None:
    """With the numbers of the sheet's rows."""
    table = sheet(
        '<row r="2" hidden="1"><c r="A2"><v>1</v></c></row><row r="6"><c r="A6"><v>2</v></c></row>',
        '<mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells>',
    )

    assert table.rows == [["1"], ["2"]]
    found = {f.kind: (f.count, f.lines) for f in table.findings}
    assert found == {"hidden": (1, ()), "merged": (1, ()), "blank": (3, (3, 4, 5))}


def test_first_sheet_with_values_is_read_and_others_on_request() -> None:
    """Empty and hidden sheets are passed over; the names of all are told."""
    made = openpyxl.Workbook()
    secret, full = made.create_sheet("secret"), made.create_sheet("full")
    secret.append(["s"])
    secret.append([1])
    secret.sheet_state = "hidden"
    full.append(["f"])
    full.append([2])
    target = io.BytesIO()
    made.save(target)

    found = read_table(target.getvalue(), filename="x.xlsx")
    asked = read_table(target.getvalue(), filename="x.xlsx", options=ReadOptions(sheet="secret"))

    assert (found.dialect.sheet, found.rows) == ("full", [["2"]])
    assert found.dialect.sheets == ("Sheet", "secret", "full")
    assert "3 sheets; 'full' was read" in found.findings[0].message
    assert (asked.columns, asked.rows) == (("s",), [["1"]])
    for name in ("Sheet", "nope"):
        with pytest.raises(ImportRefused, match="full"):
            read_table(target.getvalue(), filename="x.xlsx", options=ReadOptions(sheet=name))


def test_table_may_stand_anywhere_in_the_sheet() -> None:
    """Empty rows above and empty columns before it are no part of it; a value without a name gets one."""

    def fill(target: Any) -> None:
        for place, value in (("C5", "a"), ("D5", "b"), ("C6", "1"), ("E7", "beyond")):
            target[place] = value

    table = book(fill)

    assert (table.columns, table.rows) == (("a", "b", "column 3"), [["1", "", ""], ["", "", "beyond"]])


def test_workbook_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What it prints for the one that reads it; a file that is none is refused there, and both end well."""
    path = tmp_path / "a.xls"
    path.write_bytes(old_workbook(1, 1))

    def ask(file: Path) -> tuple[int, str]:
        bounds = {"memory": 2**28, "seconds": 20, "written": 2**28}
        told = json.dumps({"path": str(file), "size": 4096, "options": {"sheet": None}, **bounds})
        command = [sys.executable, "-P", "-m", CHILD, "workbook"]
        done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    rows = '["rows", [[1, 0, ["1"]], [2, 0, ["", "2.5"]]]]'
    code, told = ask(path)
    taken = told.splitlines()[-2]
    assert (code, told) == (0, f'{rows}\n["sheet", "a", ["a"], {{"untold": 1}}]\n{taken}\n["end"]\n')
    assert json.loads(taken)[0] == "taken"
    path.write_bytes(b"\xd0\xcf\x11\xe0")
    assert ask(path)[1].splitlines()[-1].startswith('["refused", "The file cannot be read')


def test_workbook_whose_parts_are_named_with_backslashes_is_read() -> None:
    """As some programs write them."""
    made, target = openpyxl.Workbook(), io.BytesIO()
    made.active.append(["q"])
    made.active.append(["a"])
    made.save(target)
    with zipfile.ZipFile(target) as archive:
        parts = {name.replace("/", "\\"): archive.read(name) for name in archive.namelist()}

    assert read_table(archive_of(parts), filename="x.xlsx").rows == [["a"]]


def test_workbook_without_values_is_refused_with_the_other_sheets() -> None:
    """Where there is no other sheet, none is named."""
    for sheets, cure in ((0, "Put the table into a sheet of cells"), (20, "Choose another: Sheet20")):
        made, target = openpyxl.Workbook(), io.BytesIO()
        for _ in range(sheets):
            made.create_sheet()
        made.save(target)

        with pytest.raises(ImportRefused, match="empty") as caught:
            read_table(target.getvalue(), filename="x.xlsx")

        assert cure in caught.value.cure


def test_archive_without_a_workbook_is_refused() -> None:
    """A ZIP of a CSV is to be unpacked."""
    with pytest.raises(ImportRefused, match="Unpack it"):
        read_table(archive_of({"a.csv": b"a,b\n1,2\n"}), filename="a.zip")


def test_old_workbook_says_what_cannot_be_told() -> None:
    """Its library gives cells with an error as empty ones, and says nothing of hidden rows."""
    number = struct.pack("<HHHHHd", 0x203, 14, 1, 1, 0, 2.5)
    error = struct.pack("<HHHHHBB", 0x205, 8, 1, 1, 0, 0x2A, 1) + struct.pack("<HH", 0x5D, 2) + bytes(2)

    table = read_table(old_workbook(1, 1).replace(number, error), filename="x.xls")

    (finding,) = [found for found in table.findings if found.kind == "untold"]
    assert (finding.severity, table.columns) == ("warning", ("1",))
    assert "cells with an error, such as #N/A, are read as empty" in finding.message
