"""Files that nobody has prepared: taken as typed, or refused or remarked on with a line and a cure."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path

import openpyxl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from filled_template import filled

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions, Table
from assay.errors import ImportRefused

Cells = list[list[str]]


def cells_of(table: Table) -> Cells:
    """Header and rows."""
    return [list(table.columns), *table.rows]


def csv_text(rows: Cells, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """A delimited text."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def xlsx_of(rows: Cells) -> bytes:
    """A workbook whose cells are all text."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for down, row in enumerate(rows, 1):
        for across, value in enumerate(row, 1):
            cell = sheet.cell(down, across)
            cell.value = value
            cell.data_type = "s"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def parquet_of(rows: Cells) -> bytes:
    """A Parquet file."""
    target = io.BytesIO()
    columns = [list(column) for column in zip(*rows[1:], strict=True)]
    parquet.write_table(arrow.table(dict(zip(rows[0], columns, strict=True))), target)
    return target.getvalue()


def json_of(rows: Cells) -> bytes:
    """A JSON list."""
    return json.dumps([dict(zip(rows[0], row, strict=True)) for row in rows[1:]]).encode()


def jsonl_of(rows: Cells) -> bytes:
    """JSON Lines."""
    objects = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in objects).encode()


WRITERS = {
    "x.csv": lambda rows: csv_text(rows).encode(),
    "x.tsv": lambda rows: csv_text(rows, "\t").encode(),
    "semicolons.csv": lambda rows: csv_text(rows, ";", csv.QUOTE_ALL).encode("utf-8-sig"),
    "x.json": json_of,
    "x.jsonl": jsonl_of,
    "x.parquet": parquet_of,
    "x.xlsx": xlsx_of,
}


@pytest.mark.shared
@pytest.mark.parametrize("name", WRITERS)
def test_naughty_strings_survive_as_cells_and_as_names(shared_data: Path, name: str) -> None:
    """All 515 in every format; a workbook cannot hold three of them."""
    strings = json.loads((shared_data / "csv" / "blns.json").read_text("utf-8"))
    if name == "x.xlsx":
        strings = [s for s in strings if not re.search("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", s)]
    names = list(dict.fromkeys(s for s in strings if s.strip()))
    cells = [["n", "text"], *([str(n), s] for n, s in enumerate(strings))]
    headers = [names, [str(n) for n in range(len(names))]]

    assert cells_of(read_table(WRITERS[name](cells), filename=name)) == cells
    assert cells_of(read_table(WRITERS[name](headers), filename=name)) == headers


@pytest.mark.shared
def test_naughty_strings_survive_in_one_column(shared_data: Path) -> None:
    """A file of one column has no delimiter, whatever signs its texts hold."""
    strings = json.loads((shared_data / "csv" / "blns.json").read_text("utf-8"))
    rows = [["text"], *([s] for s in strings)]

    assert cells_of(read_table(csv_text(rows).encode(), filename="x.csv")) == rows


TYPED = ["007", "1e5", "null", " padded ", "=1+1", "TRUE", "2024-01-05", "12345678901234567890", "0.10", "NaN", "é😀"]


@pytest.mark.parametrize("name", WRITERS)
def test_values_stay_as_typed_in_every_format(name: str) -> None:
    """Nothing is trimmed, shortened or retyped."""
    rows = [[f"c{n}" for n in range(len(TYPED))], TYPED]

    assert cells_of(read_table(WRITERS[name](rows), filename=name)) == rows


FRENCH = "Ça et là: naïve café, élève"
JAPANESE = "日本語のテキストです。カタカナも"
RUSSIAN = "Это предложение на русском языке"
TEXTS = {
    **dict.fromkeys(["cp1252", "latin-1", "utf-8-sig", "utf-16", "utf-32"], FRENCH),
    **dict.fromkeys(["shift_jis", "euc_jp", "iso2022_jp", "utf-16-be"], JAPANESE),
    **dict.fromkeys(["koi8-r", "cp1251", "cp866", "iso8859-5", "utf-16-le"], RUSSIAN),
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy, zażółć gęślą jaźń",
    "iso8859-2": "Zażółć gęślą jaźń, proszę państwa",
    "cp1253": "Η γρήγορη αλεπού πηδάει πάνω από τον σκύλο",
    "cp1254": "Bugün hava çok güzel, değil mi? Şimdi çıkıyorum",
    "cp1255": "זהו משפט בעברית לבדיקה של הקידוד",
    "cp1256": "هذه جملة باللغة العربية لاختبار الترميز",
    "cp1257": "Šis ir teikums latviešu valodā, lai pārbaudītu kodējumu",
    "cp874": "นี่คือประโยคภาษาไทยสำหรับทดสอบ",
    "cp850": "Élève naïf à côté du garçon, très fâché",
    "mac_roman": "L'élève naïf à côté du garçon, très fâché",
    "gb18030": "这是一个测试的句子，包含中文字符",
    "big5": "這是一個測試的句子，包含中文字元",
    "euc_kr": "이것은 한국어 문장입니다",
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("rows", [1, 300])
def test_encoding_is_found(encoding: str, rows: int) -> None:
    """Of a short file and of a long one; what the bytes do not prove is said."""
    cells = [["id", "text", "note"], *([str(n), TEXTS[encoding], "plain, text"] for n in range(rows))]

    table = read_table(csv_text(cells).encode(encoding), filename="x.csv")

    assert cells_of(table) == cells
    proven = encoding in ("utf-8-sig", "utf-16", "utf-32")
    assert [f.kind for f in table.findings] == ([] if proven else ["encoding"])


READ: list[tuple[str, bytes, Cells]] = [
    ("cr.csv", b'a,b\r1,"x\ry"\r', [["a", "b"], ["1", "x\ry"]]),
    ("pipe.csv", b"a|b\n1,5|2\n", [["a", "b"], ["1,5", "2"]]),
    ("sep.csv", b"sep=;\r\na;b\r\n1,5;2\r\n", [["a", "b"], ["1,5", "2"]]),
    ("sep_upper.csv", b"SEP=;\r\nid;q\r\n1;2,5\r\n", [["id", "q"], ["1", "2,5"]]),
    ("sep_cr.csv", b"Sep=|\rid|q\r1|2\r", [["id", "q"], ["1", "2"]]),
    ("sep_excel.csv", b'"sep=;",,\r\nid;q\r\n1;2\r\n', [["id", "q"], ["1", "2"]]),
    ("caret.csv", b"id^q\n1^Hello, you\n2^b\n", [["id", "q"], ["1", "Hello, you"], ["2", "b"]]),
    ("tilde.txt", b"id~q~a\n1~b~c\n", [["id", "q", "a"], ["1", "b", "c"]]),
    (
        "space.csv",
        b'id, q, a\n1, "Hello, you", "yes"\n2, "x ""y"" z", no\n',
        [["id", "q", "a"], ["1", "Hello, you", "yes"], ["2", 'x "y" z', "no"]],
    ),
    ("single.csv", b"'id','q'\n'1','N''Djamena, Chad'\n", [["id", "q"], ["1", "N'Djamena, Chad"]]),
    ("singles.csv", b"id,q\n1,'a, b'\n2,'c, d'\n", [["id", "q"], ["1", "a, b"], ["2", "c, d"]]),
    ("quoted.csv", b'a,b\n"x, ",y\n"p, ""q, r"" s", t\n', [["a", "b"], ["x, ", "y"], ['p, "q, r" s', " t"]]),
    ("prose.csv", b'prompt\nHello, world\n"Say ""hi"""\n', [["prompt"], ["Hello, world"], ['Say "hi"']]),
    ("commas.tsv", b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    ("inch.csv", b'size,b\n5" pipe,1\n', [["size", "b"], ['5" pipe', "1"]]),
    ("noending", b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    ("list.jsonl", b'[{"a": 1}, {"a": 2.50}]', [["a"], ["1"], ["2.50"]]),
    ("lines.json", b'{"a": 1}\n{"a": 2}\n', [["a"], ["1"], ["2"]]),
    ("object.json", b'{\n"a": 1,\n"b": 2\n}', [["a", "b"], ["1", "2"]]),
    ("within.json", b'{"data": {"rows": [{"a": 1}]}}', [["a"], ["1"]]),
    ("mark.json", '\ufeff[{"a": "é"}]'.encode("utf-16-le"), [["a"], ["é"]]),
]


@pytest.mark.parametrize(("name", "content", "cells"), READ)
def test_odd_file_is_read_without_a_warning(name: str, content: bytes, cells: Cells) -> None:
    """Line ends, delimiters, quotes and layouts are found out."""
    table = read_table(content, filename=name)

    assert cells_of(table) == cells
    assert [f for f in table.findings if f.severity == "warning"] == []


ABOVE: list[tuple[bytes, int]] = [
    (b"Export of tickets\nMade on 1 May, by Ada\nid,question,answer\n1,a,b\n2,c,d\n", 2),
    (b"Tickets,,\nMay 2026,,\n\nid,question,answer\n1,a,b\n2,c,d\n", 3),
    (b"sep=,\r\nTickets\r\n\r\nid,question,answer\r\n1,a,b\r\n2,c,d\r\n", 2),
    (b"Made by: Ada\n\nid,answer\n1,b\n2,d\n", 2),
]


@pytest.mark.parametrize(("content", "lines"), ABOVE)
def test_lines_above_a_table_are_left_out_and_said(content: bytes, lines: int) -> None:
    """Titles and dates of an export are no header; the numbers of later lines still count them."""
    table = read_table(content + b"3\n", filename="x.csv")

    assert table.columns[0] == "id"
    assert [row[0] for row in table.rows] == ["1", "2", "3"]
    found = {f.kind: (f.count, f.lines) for f in table.findings}
    assert found["title"][0] == lines
    assert found["short"] == (1, (content.count(b"\n") + 1,))


@pytest.mark.parametrize(
    "content",
    [b"prompt\nHello, world\nGood bye, moon\n", b"text\nA, b and c, d\nE, f and g, h\n", b"a,b\n1,\n2,\n"],
)
def test_table_that_begins_at_once_loses_no_line(content: bytes) -> None:
    """Prose with a comma in each line is one column."""
    assert len(read_table(content, filename="x.csv").rows) == 2


REMARKS: list[tuple[str, bytes, str, str]] = [
    ("x.csv", b'a,b\n1,"x"y\n', "quote", "1 row has text after a closing quote"),
    ("x.csv", b"1,hello\n2,world\n", "header", "looks like data"),
    ("x.csv", b"title\na,b\n1,2\n3,4\n", "title", "first line is one cell"),
    ("x.csv", b"# title\na,b\n1,2\n3,4\n", "title", "1 line above the header is no part of the table"),
    ("x.csv", b'id,q\n1"Hello, you",b\n', "lost", "1 row has a quote that opens within one cell"),
    ("x.csv", b"id,q\n1,'Hello, you'\n'2',b\n3,c,d\n", "single", "1 row has a cell in single quotes"),
    ("x.csv", b"'id','q'\n'1','Hello, you'\n", "single", "cells stand in single quotes"),
    ("x.csv", b'id, q\n1, "Hello, you"\n', "spaced", "cells stand after a space"),
    ("x.csv", b"id question answer\n1 a b\n2 c d\n", "uncut", "3 cells when cut at spaces"),
    ("x.csv", b"id   question\n1    big a\n2    c d\n", "uncut", "2 cells when cut at several spaces"),
    ("x.csv", b"id::q\n1::a\n2::b\n", "uncut", "2 cells when cut at '::'"),
    ("x.csv", b"id:q\n1:a\n2:b\n", "uncut", "2 cells when cut at ':'"),
    ("x.csv", "id\u00a7q\u00a7r\n1\u00a7a\u00a7\n2\u00a7b\u00a7c\n".encode(), "uncut", "3 cells when cut at"),
    ("x.txt", b"+---+---+\n| q | a |\n+---+---+\n| x | y |\n", "header", "looks like data"),
    ("x.csv", b"a , b\n1,2\n", "odd_header", "' b' begins or ends with a space"),
    ("x.csv", b"a,b\n,\n1,2\n", "empty", "1 row holds only empty cells; it was left out"),
    ("x.csv", b"a;b\n1;2\n ; \n;;;\n", "empty", "2 rows hold only empty cells; they were left out"),
    ("x.xlsx", b"a,b\n1,2\n", "ending", "was read as CSV"),
    ("x.csv", b'{"a": 1}\n{"a": 2}\n', "ending", "was read as JSON"),
    ("x.json", b'{"a": 1, "b": {"c": [1, 2]}}', "one_row", "was read as one row"),
    ("x.json", b'[{"a": {"b": [{"c": 1, "c": 2}]}}]', "repeated", "1 row names a field twice"),
    ("x.jsonl", b'{"a": {"b": 1, "b": 2}}\n{"a": 1}', "repeated", "1 row names a field twice"),
    ("x.json", b'{"rows": [{"a": {"b": 1, "b": 2}}, {"a": 1}]}', "repeated", "names a field twice"),
    ("x.yaml", b"- {a: {b: 1, b: 2}}", "repeated", "names a field twice"),
    ("x.json", b'[{"a": {"b": "\\ud800"}}]', "surrogate", "1 row holds half a character"),
    ("x.json", b'{"rows": [{"a": "\\udc00"}]}', "surrogate", "half a character"),
    ("x.json", b'{"data": [{"a": 1}], "other": [{"a": 2}, {"a": 3}]}', "lists", "not those of `other` (2)"),
    ("x.json", b'{"by": "Ada", "rows": [{"a": 1}]}', "beside", "was left out: `by`"),
    ("x.json", b'[{"a": 1, "a": 2}]', "repeated", "1 row names a field twice"),
    ("x.json", b'[{"a": null}, {"a": "null"}]', "null", "1 row holds null"),
    ("x.jsonl", b'{"a": "x\\u200by"}', "invisible", "1 row holds invisible characters"),
]


@pytest.mark.parametrize(("name", "content", "kind", "words"), REMARKS)
def test_doubtful_file_is_remarked_on(name: str, content: bytes, kind: str, words: str) -> None:
    """What was done to the file, or may be wrong with it, is said."""
    findings = {f.kind: f for f in read_table(content, filename=name).findings}

    assert words in findings[kind].message


REFUSED = [
    ("x.csv", b'a,b\n1,"open\n2,3\n', "opened in line 2 is never closed"),
    ("x.csv", b'"' * 1001, "line 1 is never closed"),
    ("x.csv", b",,\n1,2,3\n", "no header"),
    ("x.csv", "é,b\n".encode() + b"x,\xff\n", "Line 2 is not utf-8"),
    ("x.csv", gzip.compress(b"a,b\n", mtime=0), "gzip"),
    ("x.csv", b"%PDF-1.7\n", "a PDF"),
    ("x.csv", b"<!DOCTYPE html>\n<html>Log in</html>", "web page"),
    ("x.csv", bytes(range(256)) * 4, "binary"),
    ("x.csv", ",".join(map(str, range(20_000))).encode(), "20,000 columns"),
    ("x.json", b"a,b\n1,2\n", "Line 1 is not JSON"),
    ("x.json", b'[{"a": 1},\n{"a"', "Line 2 is not JSON"),
    ("x.json", b"[1, 2]", "Line 1 is not an object"),
    ("x.json", b'[{"a": 1}] [2]', "more follows after the list"),
    ("x.json", b'[{"a": [' + b"1," * 300_000 + b"1]}]", "more than 200,000 values"),
    ("x.jsonl", b'{"a": 1}\n\nhello\n', "Line 3 is not JSON"),
    ("x.xlsx", b"PK\x03\x04" + bytes(200), "damaged"),
    ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "words"), REFUSED)
def test_file_that_is_no_table_is_refused_in_words(name: str, content: bytes, words: str) -> None:
    """What is wrong, in which line, and the cure."""
    with pytest.raises(ImportRefused, match=words) as caught:
        read_table(content, filename=name)

    assert caught.value.cure


def test_ten_thousand_columns_are_read() -> None:
    """Their names and values, in order."""
    rows = [[f"c{n}" for n in range(10_000)], [str(n) for n in range(10_000)]]

    assert cells_of(read_table(csv_text(rows).encode(), filename="x.csv")) == rows


def test_undecodable_line_is_named() -> None:
    """The encoding that was chosen does not fit: where, and which others there are."""
    content = b"a,b\n1,2\n3,caf\xe9\n"

    with pytest.raises(ImportRefused, match=r"Line 3 is not utf-8: byte 0xe9.*cp1252"):
        read_table(content, filename="x.csv", options=ReadOptions(encoding="utf-8"))


def test_column_with_spaces_around_its_name_fills_a_slot() -> None:
    """A slot cannot be written with them."""
    (row,) = read_table(b"a , b\nx,y\n", filename="x.csv")

    assert filled("{{a}}-{{ b }}", row) == "x-y"
