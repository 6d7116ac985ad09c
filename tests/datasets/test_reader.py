"""Any file people have: read as typed, or refused with a line and a cure."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
from pathlib import Path

import openpyxl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from filled_template import filled

from assay.datasets.export import safe_cell, write_csv
from assay.datasets.identity import content_hash, row_keys
from assay.datasets.reader import read_table
from assay.datasets.roles import guess_roles
from assay.datasets.table import ReadOptions
from assay.errors import AssayError, ImportRefused, TemplateError
from assay.prompts.template import convert, variables


def read(text: str, **options: object) -> list[dict[str, str]]:
    """The rows of a CSV text."""
    return list(read_table(text.encode(), filename="x.csv", options=ReadOptions(**options)))  # type: ignore[arg-type]


def test_values_stay_as_typed() -> None:
    """Nothing is trimmed or retyped."""
    cells = ["007", "1e5", "null", " padded ", "=1+1", "TRUE", "", "1,5"]
    text = io.StringIO()
    csv.writer(text).writerows([[f"c{n}" for n in range(len(cells))], cells])

    assert list(read(text.getvalue())[0].values()) == cells


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_dialect_and_encoding_are_found(delimiter: str, encoding: str) -> None:
    """Delimiter and encoding are found out and told."""
    text = delimiter.join(["id", "wörd", "text"]) + "\r\n" + delimiter.join(["1", "café", '"a, b; c | d"']) + "\r\n"
    table = read_table(text.encode(encoding), filename="x.csv")

    assert list(table) == [{"id": "1", "wörd": "café", "text": "a, b; c | d"}]
    assert table.dialect.delimiter == delimiter


def test_ragged_rows_are_reported_by_line() -> None:
    """Short and long rows are counted with their lines, and padded or left out as chosen."""
    text = "a,b\n1\n1,2\n1,2,3\n"
    padded = read_table(text.encode(), filename="x.csv")

    assert [(f.kind, f.lines) for f in padded.findings] == [("short", (2,)), ("long", (4,))]
    assert padded.rows == [["1", ""], ["1", "2"], ["1", "2"]]
    assert read(text, bad_rows="skip") == [{"a": "1", "b": "2"}]


def test_headers_become_unique() -> None:
    """Repeated and empty names are renamed and said."""
    table = read_table(b"a,a,\n1,2,3\n", filename="x.csv")

    assert table.columns == ("a", "a (2)", "column 3")
    assert {f.kind for f in table.findings} == {"duplicate_header", "empty_header"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\n\n"),
        ("a.json", b"{"),
        ("a.json", b"3"),
        ("a.jsonl", b'{"a":1}\n[1]\n'),
        ("a.xlsx", b"PK\x03\x04junk"),
        ("a.parquet", b"PAR1junk"),
        ("a.exe", b"MZ"),
        ("a.json", b"[" * 100_000),
    ],
)
def test_unusable_file_is_refused_with_a_cure(name: str, content: bytes) -> None:
    """No traceback: what is wrong and what to do."""
    with pytest.raises(ImportRefused) as caught:
        read_table(content, filename=name)

    assert caught.value.cure


def test_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The limit is said in megabytes."""
    with pytest.raises(ImportRefused, match="the limit is 1 MB"):
        read_table(b"x" * 2_000_000, filename="x.csv", options=ReadOptions(max_bytes=1024 * 1024))


def test_workbook_and_jsonl_are_read_as_shown() -> None:
    """Whole numbers have no point, the sheet is named; JSON keeps numbers as typed."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "text"])
    sheet.append([7, "hello"])
    buffer = io.BytesIO()
    book.save(buffer)

    assert list(read_table(buffer.getvalue(), filename="x.xlsx")) == [{"id": "7", "text": "hello"}]
    rows = list(read_table(b'{"a": 1.50, "b": {"c": [1]}}\n', filename="x.jsonl"))
    assert rows == [{"a": "1.50", "b": '{"c": [1]}'}]


def test_parquet_values_stand_as_they_are_written() -> None:
    """Dates, times and decimals without quotes, numbers of 32 bits with their own digits, nothing as an empty cell."""
    when = datetime.datetime(2024, 1, 5, 13, 45)
    columns = {
        "day": arrow.array([when.date()]),
        "moment": arrow.array([when], arrow.timestamp("us")),
        "price": arrow.array([decimal.Decimal("1.50")]),
        "single": arrow.array([0.1], arrow.float32()),
        "double": arrow.array([0.1]),
        "yes": arrow.array([True]),
        "gap": arrow.array([None], arrow.string()),
        "parts": arrow.array([{"a": [1, None]}]),
    }
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)

    table = read_table(buffer.getvalue(), filename="x.parquet")

    assert table.rows == [["2024-01-05", "2024-01-05 13:45:00", "1.50", "0.1", "0.1", "true", "", '{"a": [1, null]}']]
    assert [f.kind for f in table.findings] == ["null"]


@pytest.mark.shared
def test_csv_spectrum_is_read_exactly(shared_data: Path) -> None:
    """All twelve acid tests give exactly the expected content.

    In one of them the expected phone number is not the one in the file; there the file is right.
    """
    phone = {"Contact Phone Number": "2095257564"}
    for file in sorted((shared_data / "csv" / "spectrum").glob("*.csv")):
        expected = json.loads((shared_data / "csv" / "spectrum-expected" / f"{file.stem}.json").read_text("utf-8"))
        expected = [expected | phone] if file.stem == "location_coordinates" else expected
        assert list(read_table(file)) == expected, file.name


@pytest.mark.shared
def test_awkward_files_are_read_or_refused_in_words(shared_data: Path) -> None:
    """Every csvkit example is a table or a refusal with a cure."""
    for file in sorted((shared_data / "csv" / "csvkit").iterdir()):
        try:
            assert read_table(file).columns
        except AssayError as error:
            assert error.cure, file.name  # noqa: PT017 - either outcome is right


def test_template_replaces_names_and_nothing_else() -> None:
    """One pass: what a cell holds is never a template, and JSON braces are untouched."""
    assert filled('{"a": {{ x }}} \\{{y}}', {"x": "{{z}}"}) == '{"a": {{z}}} {{y}}'
    assert variables("{{a}} {{ b c }} {{a}}") == ("a", "b c")
    for hostile in ("{{7*7}}", "{{''.__class__}}", "{% for i in range(9) %}", "{0.__class__}", "${x}"):
        assert filled("{{cell}}", {"cell": hostile}) == hostile
    with pytest.raises(TemplateError) as caught:
        filled("{{a}} {{b}} {{c}}", {"b": ""})
    assert caught.value.variables == ("a", "c")


def test_other_braces_are_converted_for_columns_only() -> None:
    """`{name}` and `$name` become variables where they are columns; JSON stays."""
    assert convert('{q} and $q and {"q": 1} and {other}', ["q"]) == '{{q}} and {{q}} and {"q": 1} and {other}'
    assert convert("[[q]] %q% <<q>> ${q} 5% of q% [[x]] <q>", ["q"]) == "{{q}} {{q}} {{q}} {{q}} 5% of q% [[x]] <q>"


PAYLOADS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("http://x")',
    "=cmd|' /C calc'!A0",
    "  =1+1",
    "＝1+1",
    "|calc",
    "%0A=1",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_export_holds_no_formula(payload: str) -> None:
    """No cell of an export begins like a formula."""
    assert safe_cell(payload).startswith("'")
    assert payload in write_csv(["a"], [[payload]]).decode("utf-8-sig").replace('""', '"')


@pytest.mark.parametrize("number", ["-5", "+3.2", "-1e5", "12%", "-0.5"])
def test_export_keeps_numbers(number: str) -> None:
    """A plain number stays a number."""
    assert safe_cell(number) == number


def test_identity_is_by_content() -> None:
    """Equal content has the equal hash; equal rows still have keys of their own."""
    rows = [["1", "a"], ["1", "a"], ["2", "b"]]

    assert row_keys(["id", "t"], rows, id_column="id") == ["1", "1#2", "2"]
    assert content_hash(["a"], [["x"]]) == content_hash(["a"], [["x"]]) != content_hash(["a"], [["y"]])
    assert guess_roles(["Question", "Ideal", "ticket_id"]) == {
        "expected": "Ideal",
        "id": "ticket_id",
        "prompt": "Question",
    }


def test_json_half_a_character_is_replaced() -> None:
    """A lone surrogate, which no database takes, becomes U+FFFD in values and names; a pair is its character."""
    rows = rb'[{"a\ud800": "x\uDC00y", "b": "\ud83d\ude00 \\\ud800", "c": {"d": ["\udfff"]}}]'

    table = read_table(rows, filename="a.json")

    assert list(table) == [{"a\ufffd": "x\ufffdy", "b": "\U0001f600 \\\ufffd", "c": '{"d": ["\ufffd"]}'}]
