"""Tables and nested rows that other programs write oddly: read as they were meant, or told; never silently wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions, Table
from assay.errors import ImportRefused

LINE_ENDS = ("\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e")


def read(text: str | bytes, name: str = "x.csv") -> Table:
    """The table of a text."""
    return read_table(text.encode() if isinstance(text, str) else text, filename=name)


def kinds(table: Table) -> set[str]:
    """The kinds of what was noticed."""
    return {finding.kind for finding in table.findings}


@pytest.mark.parametrize("blank", [" ", "    ", "\t", "\t\t", " \t "])
@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_blanks_before_quoted_cells_are_left_out(blank: str, delimiter: str) -> None:
    """Spaces and tabs between a delimiter and a quote, and the cells hold delimiters, quotes and line ends."""
    rows = [["1", "a, b; c|", "x"], ["2", 'say ""no"", then', "y"], ["3", "two\n\tlines", "z"]]
    text = f"id{delimiter}q{delimiter}a\n" + "".join(f'{n}{delimiter}{blank}"{q}"{delimiter}{a}\n' for n, q, a in rows)

    table = read(text)

    assert table.rows == [[n, q.replace('""', '"'), a] for n, q, a in rows]
    assert kinds(table) == {"spaced"}


@given(cells=st.lists(st.text('ab \t,"\n', max_size=8), min_size=3, max_size=9))
def test_tabs_within_quoted_cells_stay(cells: list[str]) -> None:
    """What looks like a blank before a quote within a cell that is quoted well is text."""
    quoted = [cell.replace('"', '""') for cell in cells]
    text = "id,q\n" + "".join(f'{n}, "x{cell}"\n' for n, cell in enumerate(quoted))

    assert [row[1] for row in read(text).rows] == [f"x{cell}" for cell in cells]


@pytest.mark.parametrize("sign", LINE_ENDS)
def test_sign_that_some_take_for_a_line_end_stays_within_its_cell(sign: str) -> None:
    """In cells with and without quotes, and in JSON Lines."""
    assert read(f'id,q\n1,b{sign}c\n2,"d{sign}e"\n').rows == [["1", f"b{sign}c"], ["2", f"d{sign}e"]]
    lines = "".join(json.dumps({"q": f"{n}{sign}"}, ensure_ascii=False) + "\n" for n in range(2))
    if sign > "\x1f":
        assert read(lines, "x.jsonl").rows == [[f"0{sign}"], [f"1{sign}"]]


@pytest.mark.parametrize("sign", LINE_ENDS)
def test_text_whose_only_line_ends_are_odd_is_refused(sign: str) -> None:
    """Otherwise all of it would be one header."""
    with pytest.raises(ImportRefused, match="no line ends") as caught:
        read(sign.join(["id,q", "1,b", "2,c", ""]))

    assert "LF or CRLF" in caught.value.cure


def test_marks_of_the_byte_order_before_a_quoted_header_are_left_out() -> None:
    """One or several, as files that were written twice have them."""
    assert read('\ufeff\ufeff"id, or number","q"\n1,b\n2,c\n').columns == ("id, or number", "q")


def test_header_that_is_repeated_is_told() -> None:
    """Files that were put together keep each its own."""
    table = read("id,q\n1,b\nid,q\n2,c\n")

    assert [(f.kind, f.severity, f.lines) for f in table.findings] == [("header_again", "warning", (3,))]


def test_questions_within_paragraphs_are_rows() -> None:
    """SQuAD, with its object around it, as a list and as lines; a question without an answer has an empty one."""
    asked = [{"question": f"Q{n}", "id": str(n), "answers": [{"text": "A", "answer_start": 0}] * n} for n in range(3)]
    titles = [{"title": "T", "paragraphs": [{"context": "C", "qas": asked[:1]}, {"context": "D", "qas": asked[1:]}]}]
    columns = ("question", "id", "answer", "answers", "title", "context")
    rows = [["Q0", "0", "", "[]", "T", "C"], *([f"Q{n}", str(n), "A", '["A"]', "T", "D"] for n in (1, 2))]

    for text, name in (
        (json.dumps({"version": "2.0", "data": titles}), "x.json"),
        (json.dumps(titles), "x.json"),
        (json.dumps(titles[0]) + "\n", "x.jsonl"),
    ):
        table = read(text, name)
        assert (table.columns, table.rows) == (columns, rows)
        assert "questions" in kinds(table)


LM_EVAL = {"doc_id": 0, "doc": {"q": "Q"}, "target": "A", "resps": [["x"]]}
INSTANCE = {
    "input": {"text": "Q"},
    "id": "id1",
    "references": [{"output": {"text": "B"}, "tags": []}, {"output": {"text": "A"}, "tags": ["correct"]}],
}


@pytest.mark.parametrize(
    "row",
    [
        {**LM_EVAL, "arguments": [["Q", {"until": ["x"]}]]},
        {**LM_EVAL, "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {}}}},
        INSTANCE,
        {"instance": INSTANCE, "request": {"prompt": "P"}, "result": {"success": True}},
    ],
)
def test_rows_of_evaluation_harnesses_have_input_and_expected(row: dict[str, Any]) -> None:
    """lm-evaluation-harness and HELM."""
    table = read(json.dumps([row, row]), "x.json")

    assert [(one["input"], one["expected"]) for one in table] == [("Q", "A")] * 2
    assert "shape" in kinds(table)


def test_rows_within_rows_are_told() -> None:
    """A list of objects in a cell may be the rows that were meant."""
    table = read(json.dumps([{"story": "S", "questions": [{"q": "1"}, {"q": "2"}], "by": {"n": 1}}]), "x.json")

    told = {finding.kind: finding for finding in table.findings}
    assert told["rows_within"].severity == "warning"
    assert "`questions`" in told["rows_within"].message
    assert "`by`" in told["objects"].message


def test_tools_of_batch_rows_are_told() -> None:
    """They are kept, and not sent."""
    body = {"messages": [{"role": "user", "content": "Q"}], "tools": [{"type": "function", "function": {"name": "f"}}]}

    table = read(json.dumps({"custom_id": "1", "method": "POST", "body": body}) + "\n", "x.jsonl")

    assert "tools" in kinds(table)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sep=;\r\nid;q\r\n1;1,5\r\n2;2,5\r\n", [["1", "1,5"], ["2", "2,5"]]),
        ("x;y\n1,5;2,5\n2,5;3,5\n4,5;5,5\n", [["1,5", "2,5"], ["2,5", "3,5"], ["4,5", "5,5"]]),
        ("id,q\r1,b\r2,c\r", [["1", "b"], ["2", "c"]]),
        ("id,q\r\r\n1,b\r\r\n2,c\r\r\n", [["1", "b"], ["2", "c"]]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_table_of_a_spreadsheet_is_read(text: str, rows: list[list[str]], encoding: str) -> None:
    """Separator lines, decimal commas beside semicolons, odd line ends."""
    assert read(text.encode(encoding)).rows == rows


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('id,q\n1,"He said \\"hi, you\\" now"\n2,"c"\n', "quote"),
        ("id,q\n1,b,\n2,c,\n", "long"),
        ("id,q,\n1,b,\n2,c,\n", "empty_header"),
        ("id,q,a\n1\n2,b,c,d\n", "short"),
        ("id,q,q\n1,b,c\n", "duplicate_header"),
        ("id,q\n1,b\x00\n", "nul"),
        ("id,q\n1,b\n\ufeffid,q\n2,c\n", "invisible"),
        ("id,q,a\n1,\u201ca, b\u201d,c\n", "long"),
    ],
)
def test_table_that_cannot_be_read_as_it_was_meant_is_told(text: str, kind: str) -> None:
    """Backslashed quotes, trailing separators, ragged rows, odd headers, NUL, marks amid the text."""
    assert kind in kinds(read(text))


def test_rows_as_they_are_keep_questions_where_they_lie() -> None:
    """The recognition can be switched off."""
    value = [{"paragraphs": [{"context": "C", "qas": [{"question": "Q"}]}]}]

    table = read_table(json.dumps(value).encode(), filename="x.json", options=ReadOptions(shape="none"))

    assert (table.columns, table.findings) == (("paragraphs",), ())
