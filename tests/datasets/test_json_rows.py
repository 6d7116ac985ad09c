"""JSON as other programs write tables: every row is a row, or it is said that there is only one."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas
import pytest

from assay.datasets.reader import read_table
from assay.datasets.table import ReadOptions, Table

WANTED = [
    {"question": "Capital of Peru?", "answer": "Lima"},
    {"question": "Capital of Chad?", "answer": "N'Djamena"},
    {"question": "Capital of Laos?", "answer": "Vientiane"},
]


def read(value: Any) -> Table:
    """The table of a JSON file."""
    return read_table(json.dumps(value).encode(), filename="x.json")


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("orient", ["records", "split", "index", "columns", "table"])
def test_every_orient_of_pandas_gives_its_rows(orient: Any, indent: int | None) -> None:
    """The names are the columns; a plain number of a row is none, but where the table has it as a field."""
    text = io.StringIO()
    pandas.DataFrame(WANTED).to_json(text, orient=orient, indent=indent)

    rows = list(read_table(text.getvalue().encode(), filename="x.json"))

    assert [{name: row[name] for name in ("question", "answer")} for row in rows] == WANTED
    assert all(set(row) - {"index"} == {"question", "answer"} for row in rows)


def test_values_of_pandas_are_rows() -> None:
    """Lists without names: where the first may be the names it is, and otherwise the columns are numbered."""
    numbers = read([[1, "a"], [2, "b"]])
    named = read_table(b'["id", "text"]\n[1, "a"]\n[2, "b", "c"]\n', filename="x.jsonl")

    assert (numbers.columns, numbers.rows) == (("column 1", "column 2"), [["1", "a"], ["2", "b"]])
    assert named.columns == ("id", "text", "column 3")
    assert named.rows == [["1", "a", ""], ["2", "b", "c"]]
    assert "header" not in {finding.kind for finding in named.findings}


def test_first_list_among_lists_of_texts_is_said_to_be_the_names() -> None:
    """It may be a row, as pandas' `values` has it; without a header it is one."""
    (finding,) = read([["a", "x"], ["b", "y"]]).findings
    whole = read_table(b'[["a", "x"], ["b", "y"]]', filename="x.json", options=ReadOptions(header=False))

    assert (finding.kind, finding.severity) == ("header", "warning")
    assert (whole.rows, whole.findings) == ([["a", "x"], ["b", "y"]], ())


def test_index_of_pandas_is_kept_where_it_says_something() -> None:
    """Names of rows are ids; numbers from 0 are none."""
    frame = pandas.DataFrame(WANTED, index=["pe", "td", "la"])

    for orient in ("index", "columns"):
        rows = list(read(json.loads(frame.to_json(orient=orient))))
        assert [row["id"] for row in rows] == ["pe", "td", "la"]
        assert [row["answer"] for row in rows] == [row["answer"] for row in WANTED]
    (first, *_) = read(json.loads(frame.to_json(orient="split")))
    assert first["index"] == "pe"


@pytest.mark.parametrize(
    "value",
    [
        {"question": ["a", "b", "c"], "answer": ["x", "y", "z"]},
        {"data": {"question": ["a", "b", "c"], "answer": ["x", "y", "z"]}},
        {"q1": {"question": "a"}, "q2": {"question": "b"}, "q3": {"question": "c"}},
        {"columns": ["question"], "rows": [["a"], ["b"], ["c"]]},
        {"question": {"0": "a", "1": "b", "5": "c"}},
        {"range": "A1:B4", "values": [["question", "n"], ["a", 1], ["b", 2], ["c", 3]]},
        {"features": [{}], "rows": [{"row_idx": n, "row": {"question": q}} for n, q in enumerate("abc")]},
    ],
)
def test_tables_of_other_programs_give_their_rows(value: Any) -> None:
    """A list for each column, rows by id, values beside their names, rows within rows."""
    table = read(value)

    assert [row["question"] for row in table] == ["a", "b", "c"]


def test_parts_of_a_dataset_are_read_one_after_another() -> None:
    """`split` says which list a row is from."""
    table = read({"train": [{"q": "a"}, {"q": "b"}], "test": [{"q": "c"}]})

    assert [(row["q"], row["split"]) for row in table] == [("a", "train"), ("b", "train"), ("c", "test")]
    assert "`train` (2), `test` (1)" in table.findings[0].message


def test_parts_with_a_list_for_each_column_are_read_one_after_another() -> None:
    """As Hugging Face writes a dictionary of datasets; other names are ids of rows."""
    table = read({"train": {"q": ["a", "b"], "n": [1, 2]}, "test": {"q": ["c"], "n": [3]}})
    others = read({"q1": {"q": ["a", "b"], "n": [1, 2]}, "q2": {"q": ["c"], "n": [3]}})

    assert [(row["q"], row["split"]) for row in table] == [("a", "train"), ("b", "train"), ("c", "test")]
    assert [row["id"] for row in others] == ["q1", "q2"]


@pytest.mark.parametrize(
    "value", [{"a": {"b": [1, {}]}}, {"x": 1, "tags": ["a", "b"]}, {"n": [1], "m": [1, 2, 3]}, {"a": {"b": {"c": 1}}}]
)
def test_object_that_is_one_row_is_said_to_be(value: Any) -> None:
    """Never one silent row."""
    table = read(value)

    assert len(table.rows) == 1
    assert "one_row" in {finding.kind for finding in table.findings}


def test_langfuse_csv_and_json_give_the_same_table() -> None:
    """Both exports of one dataset have the same columns and values."""
    rows = [
        {"id": "1", "input": {"q": "Q", "n": 1}, "expectedOutput": {"a": "A"}, "metadata": {"k": [1]}, "status": "S"},
        {"id": "2", "input": {"q": "R"}, "expectedOutput": {"a": "B"}, "metadata": None, "status": "S"},
    ]
    frame = pandas.DataFrame([{n: json.dumps(v) if isinstance(v, dict) else v for n, v in row.items()} for row in rows])

    from_json, from_csv = read(rows), read_table(frame.to_csv(index=False).encode(), filename="x.csv")

    assert (from_csv.columns, from_csv.rows) == (from_json.columns, from_json.rows)


def test_langfuse_texts_give_the_same_table() -> None:
    """Plain texts, and texts that the export wrote as JSON."""
    rows = [{"id": "1", "input": "Q", "expectedOutput": "A", "metadata": {"k": "v"}}]
    plain = b'id,input,expectedOutput,metadata\n1,Q,A,"{""k"":""v""}"\n'
    quoted = b'id,input,expectedOutput,metadata\n1,"""Q""","""A""","{""k"":""v""}"\n'

    tables = [read(rows), *(read_table(text, filename="x.csv") for text in (plain, quoted))]

    assert len({(table.columns, tuple(map(tuple, table.rows))) for table in tables}) == 1


def test_alpaca_prompt_is_instruction_and_input() -> None:
    """Where there is an input, it stands below the instruction."""
    rows = [{"instruction": "I", "input": "", "output": "O"}, {"instruction": "J", "input": "K", "output": "P"}]

    table = read(rows)

    assert [(row["prompt"], row["expected"]) for row in table] == [("I", "O"), ("J\n\nK", "P")]
