"""Rows of other tools: recognised, flattened, said, and left alone where that is chosen."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assay.datasets.reader import read_table
from assay.datasets.roles import guess_roles
from assay.datasets.table import ReadOptions, Table
from assay.errors import ImportRefused

CHAT = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
ANSWERED = [*CHAT, {"role": "assistant", "content": "A"}]


def read(*rows: dict[str, Any], **options: Any) -> Table:
    """The table of JSONL rows."""
    text = "\n".join(json.dumps(row) for row in rows)
    return read_table(text.encode(), filename="x.jsonl", options=ReadOptions(**options))


CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (
        "OpenAI Evals rows: `input` is a conversation, `ideal` is the expected answer",
        {"input": CHAT, "ideal": ["2", 3]},
        {"input": json.dumps(CHAT), "expected": '["2", "3"]'},
    ),
    ("OpenAI Evals rows: `input` is the input", {"input": "Q", "ideal": "A"}, {"input": "Q", "expected": "A"}),
    (
        "OpenAI Evals platform",
        {"item": {"q": "Q", "n": 1.50}, "sample": {"output_text": "A"}},
        {"q": "Q", "n": "1.5", "sample.output_text": "A"},
    ),
    (
        "LangSmith or Phoenix",
        {"inputs": {"q": "Q"}, "outputs": {"answer": "A"}, "metadata": {"lang": "en"}, "id": "7"},
        {"q": "Q", "expected": "A", "metadata.lang": "en", "id": "7"},
    ),
    (
        "LangSmith or Phoenix",
        {"inputs": {"expected": "Q"}, "outputs": {"a": "A", "b": {"c": 1}}},
        {"expected": "Q", "expected.a": "A", "expected.b": '{"c": 1}'},
    ),
    (
        "LangSmith or Phoenix",
        {"inputs": {"messages": CHAT}, "outputs": {"messages": ANSWERED}},
        {"messages": json.dumps(CHAT), "expected": "A"},
    ),
    ("Phoenix", {"input": {"q": "Q"}, "output": {"a": "A"}, "metadata": {}}, {"q": "Q", "expected": "A"}),
    (
        "Langfuse",
        {"id": "1", "input": {"q": "Q"}, "expectedOutput": "A", "metadata": {"k": [1]}},
        {"input": '{"q": "Q"}', "expected": "A", "metadata.k": "[1]", "id": "1"},
    ),
    (
        "Langfuse",
        {"input": "Q", "expected_output": "A", "sourceTraceId": None},
        {"input": "Q", "expected": "A", "sourceTraceId": ""},
    ),
    (
        "Braintrust",
        {"input": "Q", "expected": "A", "tags": ["x", "y"], "metadata": {"k": "v"}, "id": "1"},
        {"input": "Q", "expected": "A", "tags": "x, y", "metadata.k": "v", "id": "1"},
    ),
    (
        "Inspect",
        {"input": "Q", "target": ["A", "B"], "choices": ["x", "y"], "metadata": {"k": 1}},
        {"input": "Q", "expected": '["A", "B"]', "metadata.k": "1", "choices": '["x", "y"]'},
    ),
    (
        "deepeval",
        {"input": "Q", "expected_output": "A", "context": ["c"], "comments": None},
        {"input": "Q", "expected": "A", "context": '["c"]', "comments": ""},
    ),
    (
        "pydantic-evals",
        {"name": "n", "inputs": {"q": "Q"}, "expected_output": "A", "metadata": {"k": "v"}},
        {"q": "Q", "expected": "A", "metadata.k": "v", "name": "n"},
    ),
    ("pydantic-evals", {"inputs": "Q", "expected_output": {"a": 1}}, {"input": "Q", "expected": '{"a": 1}'}),
    (
        "OpenAI batch",
        {"custom_id": "1", "method": "POST", "body": {"model": "m", "messages": CHAT}},
        {"id": "1", "input": json.dumps(CHAT), "metadata.model": "m"},
    ),
    ("chat rows", {"messages": ANSWERED}, {"input": json.dumps(CHAT), "expected": "A"}),
    (
        "promptfoo test",
        {
            "vars": {"q": "Q"},
            "assert": [
                {"type": "similar", "threshold": 0.8, "value": "A"},
                {"type": "is-json"},
                {"type": "contains-any", "value": ["a, b", "c"]},
            ],
            "description": "d",
            "metadata": {"k": "v"},
        },
        {
            "q": "Q",
            "__expected1": "similar(0.8):A",
            "__expected2": "is-json",
            "__expected3": 'contains-any:"a, b",c',
            "__description": "d",
            "__metadata:k": "v",
        },
    ),
]


CHECKED = [{"type": "contains", "value": "x", "weight": 2}, {"type": "assert-set", "assert": [{"type": "is-json"}]}]


def test_checks_that_a_cell_cannot_say_are_kept_and_said() -> None:
    """Weights and sets of promptfoo's checks stay in a column of their own, other fields of the test too."""
    table = read({"vars": {"q": "Q"}, "assert": CHECKED, "options": {"transform": "t"}, "provider": "p"})

    assert list(table) == [
        {
            "q": "Q",
            "__expected1": "contains:x",
            "__expected2": "assert-set",
            "assert": json.dumps(CHECKED),
            "options.transform": "t",
            "provider": "p",
        }
    ]
    assert "Weights, sets" in table.findings[-1].message


YAML = """
# promptfoo's tests
prompts: [p]
tests:
  - vars: {q: 007, n: 1.50, day: 2024-01-05, sure: yes, none: null, on: TRUE}
    assert:
      - type: similar
        threshold: 0.8
        value: "A: b"
"""


@pytest.mark.parametrize("name", ["x.yaml", "x.yml"])
def test_yaml_is_read_as_typed(name: str) -> None:
    """The other form of promptfoo's and pydantic-evals' files: no number, date or word changes."""
    table = read_table(YAML.encode(), filename=name)

    assert list(table) == [
        {
            "q": "007",
            "n": "1.50",
            "day": "2024-01-05",
            "sure": "yes",
            "none": "",
            "on": "TRUE",
            "__expected1": "similar(0.8):A: b",
        }
    ]
    assert table.dialect.describe() == "YAML, utf-8"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:\n  b: [1", "Line [23] is not YAML"),
        ("- a: 1\n- b: [\n", "is not YAML"),
        ("hello", "no rows"),
        ("a: &x [1, *x]\n", "Line 1 refers to the part of the file around it"),
        ("- !!python/object:os.system x", "is not YAML"),
        ("[" * 500_000, "nested too deeply"),
        ("", "empty"),
    ],
)
def test_yaml_that_is_no_table_is_refused(text: str, words: str) -> None:
    """Aliases would stand for gigabytes, and nothing in a file is ever an object of a program."""
    with pytest.raises(ImportRefused, match=words) as caught:
        read_table(text.encode(), filename="x.yaml")

    assert caught.value.cure


@pytest.mark.parametrize(("said", "row", "flat"), CASES)
def test_row_of_another_tool_becomes_plain_columns(said: str, row: dict[str, Any], flat: dict[str, str]) -> None:
    """Inputs, expected and metadata are columns, and a finding says what was recognised."""
    table = read(row)

    assert list(table) == [flat]
    (finding,) = [f for f in table.findings if f.kind == "shape"]
    assert finding.message.startswith(said)
    assert finding.cure


@pytest.mark.parametrize(("said", "row", "flat"), CASES)
def test_rows_stay_as_they_are_when_chosen(said: str, row: dict[str, Any], flat: dict[str, str]) -> None:
    """The recognition can be switched off."""
    table = read(row, shape="none")

    assert table.columns == tuple(row)
    assert {finding.kind for finding in table.findings} <= {"null"}


@pytest.mark.parametrize(
    "row",
    [
        {"input": "Q"},
        {"prompt": "x", "answer": "y"},
        {"input": "Q", "expected": "A"},
        {"item": "a thing"},
        {"vars": "x"},
        {"messages": "hello"},
        {"input": "Q", "output": "A"},
    ],
)
def test_plain_row_is_no_shape(row: dict[str, Any]) -> None:
    """Ordinary rows keep their columns and get no remark."""
    table = read(row)

    assert (table.columns, table.findings) == (tuple(row), ())


def test_shape_holds_for_every_row_or_not_at_all() -> None:
    """One row of another kind leaves the file as it is."""
    table = read({"input": "Q", "ideal": "A"}, {"input": "Q"})

    assert table.columns == ("input", "ideal")
    assert [f.kind for f in table.findings] == ["lacking", "unanswered"]


def test_rows_within_one_object_are_found() -> None:
    """A pydantic-evals file, a promptfoo configuration and a lone row."""
    case = {"name": "n", "inputs": "Q", "expected_output": "A"}
    files = (
        {"name": "set", "cases": [case], "evaluators": ["x"]},
        {"tests": [{"vars": {"q": "Q"}}], "prompts": ["p"]},
        {"input": CHAT, "ideal": "2"},
    )
    tables = [read_table(json.dumps(file).encode(), filename="x.json") for file in files]

    assert [table.columns for table in tables] == [("input", "expected", "name"), ("q",), ("input", "expected")]


def test_objects_in_the_cells_of_a_csv_are_flattened() -> None:
    """A LangSmith export as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([["inputs", "outputs", "id"], ['{"q": "007"}', '{"a": 1.50}', "x"]])

    table = read_table(text.getvalue().encode(), filename="x.csv")

    assert list(table) == [{"q": "007", "expected": "1.50", "id": "x"}]
    assert "LangSmith" in table.findings[-1].message


def test_columns_of_promptfoo_are_said_and_kept() -> None:
    """The special columns are named; one underscore is warned about."""
    table = read_table(b"q,__expected,__prefix,__metric\n1,2,3,4\n", filename="x.csv")
    single = read_table(b"q,_expected\n1,2\n", filename="x.csv")

    assert table.columns == ("q", "__expected", "__prefix", "__metric")
    assert "`__expected` hold checks" in table.findings[0].message
    assert single.findings[0].kind == "underscore"


LEAVES = st.text(max_size=8) | st.integers() | st.booleans()
FIELDS = st.dictionaries(st.sampled_from(["q", "expected", "id", "input", "metadata", "x.y"]), LEAVES, min_size=1)


@given(inputs=FIELDS, outputs=FIELDS, metadata=FIELDS)
def test_flattening_loses_no_value(inputs: dict[str, Any], outputs: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Every value of a row is in a cell, as typed, whatever the names clash with."""
    assume(any(str(value).strip() for fields in (inputs, outputs, metadata) for value in fields.values()))
    table = read({"inputs": inputs, "outputs": outputs, "metadata": metadata})

    wanted = [*inputs.values(), *outputs.values(), *metadata.values()]
    texts = sorted(v if isinstance(v, str) else json.dumps(v) for v in wanted)
    assert sorted(table.rows[0]) == texts


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (["Question", "Expected Answer", "UUID"], {"prompt": "Question", "expected": "Expected Answer", "id": "UUID"}),
        (["expectedOutput", "userInput"], {"expected": "expectedOutput", "prompt": "userInput"}),
        (["q", "__expected", "__metadata:category"], {"checks": "__expected", "category": "__metadata:category"}),
        (
            ["input", "expected.label", "metadata.topic"],
            {"prompt": "input", "expected": "expected.label", "category": "metadata.topic"},
        ),
        (["input", "expected", "output"], {"prompt": "input", "expected": "expected", "output": "output"}),
        (["input.question", "output.answer"], {"prompt": "input.question", "expected": "output.answer"}),
        (["question", "correct_label"], {"prompt": "question", "expected": "correct_label"}),
        (["scenario", "expected_outcome", "turns"], {"expected": "expected_outcome", "prompt": "turns"}),
        (["metadata.answer", "x"], {}),
        (["messages", "sample.output_text"], {"prompt": "messages", "output": "sample.output_text"}),
    ],
)
def test_roles_are_guessed_from_names(columns: list[str], roles: dict[str, str]) -> None:
    """Case, spaces, dashes and underscores do not count; metadata is never the expected answer."""
    assert guess_roles(columns) == roles
