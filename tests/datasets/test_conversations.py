"""Conversations leave as the rows say, or the row is refused with its line."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from assay.datasets.reader import read_table
from assay.datasets.table import Table
from assay.domain.contestant import Contestant, Prompt
from assay.errors import TemplateError
from assay.prompts.conversation import conversation, fault
from assay.prompts.template import render_prompt
from assay.runs.grid import request_of

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}
SENT: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}],
    [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "18 C"},
        {"role": "user", "content": "So?"},
    ],
    [{"role": "developer", "content": "Be brief"}, {"role": "user", "name": "Ada", "content": "Hi {{x}}"}],
    [{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:"}}]}],
    [{"role": "user", "content": "a\ud83d\ude00 1.50"}],
]


def read(*rows: dict[str, Any]) -> Table:
    """The table of JSONL rows."""
    return read_table("\n".join(map(json.dumps, rows)).encode(), filename="x.jsonl")


@pytest.mark.parametrize("messages", SENT)
def test_conversation_leaves_as_the_row_says(messages: list[dict[str, Any]]) -> None:
    """Parts, tools, names and roles reach the request's body; braces in them are text."""
    (row,) = read({"messages": messages})

    body = request_of(Prompt("{{input}}"), Contestant("m"), row).body()

    assert body["messages"] == json.loads(json.dumps(messages))


REFUSED = [
    ([{"role": "user", "content": "Hi"}, {"role": "model", "content": "Hello"}], "message 2 has the role 'model'"),
    ([{"role": "user", "content": None}], "no content"),
    ([{"role": "user", "content": 5}], "neither text nor parts"),
    ([{"role": "user", "content": [{"text": "x"}]}], "a part without a type"),
    ([{"role": "user", "content": "a"}, {"content": "b"}], "message 2 has no role"),
    ([{"role": "function", "name": "f", "content": "b"}], "the role 'function'"),
    ([{"role": ["user"], "content": "b"}], "the role"),
]


@pytest.mark.parametrize(("messages", "why"), REFUSED)
def test_conversation_that_cannot_be_sent_is_refused_with_its_line(messages: list[dict[str, Any]], why: str) -> None:
    """The row is left out, listed among the bad ones; what reaches a prompt all the same is not sent as JSON."""
    table = read({"id": "1", "input": [{"role": "user", "content": "Hi"}]}, {"id": "2", "input": messages})

    assert [row[0] for row in table.rows] == ["1"]
    assert {f.kind: f.lines for f in table.findings}["conversation"] == (2,)
    assert table.bad_rows[0].line == 2
    assert why in fault(json.dumps(messages))
    with pytest.raises(TemplateError, match="cannot be sent"):
        render_prompt(Prompt("{{x}}"), {"x": json.dumps(messages)})


@pytest.mark.parametrize("cell", ["[]", '["role"]', "[1", '{"role": "user"}', "[" * 5_000 + '"role"', '[{"rolex": 1}]'])
def test_text_that_is_no_conversation_stays_text(cell: str) -> None:
    """And has no fault."""
    assert (conversation(cell), fault(cell)) == (None, "")


ANSWERED = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": [{"type": "text", "text": "GOLD"}]}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ANSWERED},
        {"conversation": ANSWERED},
        {"inputs": {"q": "Q"}, "outputs": {"messages": ANSWERED}},
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "GOLD"}]},
        {"prompt": ANSWERED[:1], "completion": ANSWERED[1:]},
    ],
)
def test_gold_answer_is_expected_and_not_sent(row: dict[str, Any]) -> None:
    """The last answer of a conversation, whatever the fields are called."""
    (flat,) = read(row)

    assert flat["expected"] == "GOLD"
    assert not any("GOLD" in value for name, value in flat.items() if name != "expected")


def test_gold_answer_in_a_csv_is_expected_and_not_sent() -> None:
    """A cell with a conversation is one of a table too."""
    text = io.StringIO()
    csv.writer(text).writerows([["id", "messages"], ["1", json.dumps(ANSWERED)]])

    (row,) = read_table(text.getvalue().encode(), filename="x.csv")

    assert row == {"input": json.dumps(ANSWERED[:1]), "expected": "GOLD", "id": "1"}


def test_tools_of_rows_are_said_not_to_be_sent() -> None:
    """They are kept as a column."""
    table = read({"messages": ANSWERED, "tools": [{"type": "function"}]})

    assert "`tools` are kept as a column; they are not sent" in table.findings[-1].message


def test_rows_without_a_question_or_an_answer_are_said() -> None:
    """With their lines, before anything is paid."""
    table = read_table(b"id,question,answer\n1,a,x\n2,,y\n3,b,\n4,c, \n", filename="x.csv")

    assert {f.kind: f.lines for f in table.findings} == {"unasked": (3,), "unanswered": (4, 5)}
