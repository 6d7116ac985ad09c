"""Checks in a row: promptfoo's small language, read and graded; code is never run."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.domain.score import GraderSpec
from assay.scoring.assertions import Assertion, check, parse_assertion
from assay.scoring.graders import build, suggested
from assay.scoring.kinds import Facts

FACTS = Facts(latency_ms=900.0, cost_usd=Decimal("0.002"), finish_reason="stop")


@pytest.mark.parametrize(
    ("cell", "assertion"),
    [
        ("Paris", Assertion("equals", "Paris")),
        (" equals: Paris ", Assertion("equals", "Paris")),
        ("not-icontains: sorry", Assertion("icontains", "sorry", None, True)),
        ("similar(0.8):Hello", Assertion("similar", "Hello", Decimal("0.8"))),
        ("latency(1000)", Assertion("latency", "", Decimal(1000))),
        ("is-json", Assertion("is-json")),
        ("note: see below", Assertion("equals", "note: see below")),
        ("cost", Assertion("equals", "cost")),
        ("regex", Assertion("equals", "regex")),
        ("latency (9)", Assertion("equals", "latency (9)")),
        ("contains-any: a,, b ,", Assertion("contains-any", "a,, b ,", texts=("a", "b"))),
        ("not-allowed", Assertion("equals", "not-allowed")),
        ("contains:a: b", Assertion("contains", "a: b")),
        ("f(x): 3", Assertion("equals", "f(x): 3")),
        ("file://check.py", Assertion("python", "check.py")),
        ("regex:a\nb", Assertion("regex", "a\nb")),
    ],
)
def test_cell_is_read_as_a_check(cell: str, assertion: Assertion) -> None:
    """Type, threshold and value; text that names no type is the answer itself, and so is a type alone."""
    assert parse_assertion(cell) == assertion


@pytest.mark.parametrize(
    ("cell", "output", "passed"),
    [
        ("Paris", "Paris", True),
        ("Paris", "Paris\n", False),
        ("Paris", "paris", False),
        ('is-json: {"const": {"a": 1}}', '{ "a":1 }', True),
        ('not-is-json: {"const": {"a": 1}}', '{"a": 2}', True),
        ("not-equals: x", "y", True),
        ("contains: ell", "hello", True),
        ("contains: ELL", "hello", False),
        ("icontains: ELL", "hello", True),
        ("not-icontains: ELL", "hello", False),
        ("contains-all: a, b", "a c", False),
        ("contains-any: a, b", "a c", True),
        ('contains-any: "a, b", z', "a c", False),
        ("icontains-all: A, B", "ab", True),
        ("icontains-any: X, Y", "ab", False),
        ("icontains: SS", "Straße", False),
        ('contains-any: "say \\"a, b\\"", z', 'say "a, b"', True),
        ("starts-with: He", "Hello", True),
        ("starts-with: He", " Hello", False),
        ("ends-with: lo", "Hello\n", True),
        ("regex: ^\\d+$", "123", True),
        ("regex: A", "a", False),
        ("is-json", '{"a": 1}', True),
        ("is-json", '```json\n{"a": 1}\n```', False),
        ('is-json: {"required": ["b"]}', '{"a": 1}', False),
        ("contains-json", 'So: {"a": 1}.', True),
        ("contains-json", "no", False),
        ("contains-json", "[1, 2]", False),
        ("contains-json", "So: {a: 1, // loose\n 'b': 2,}", True),
        ("is-json", "NaN", False),
        ("is-json: {type: object, required: [a]}", '{"a": 1}', True),
        ('is-json: {"type": "string", "format": "ipv4"}', '"1.2.3"', False),
        ("regex: a$", "a\n", False),
        ("regex: ^\\d$", "\u0663", False),
        ("regex: ^(?<year>\\d{4})\\/\\k<year>$", "1999/1999", True),
        ("regex: [^]b", "\nb", True),
        ("regex: a{x", "a{x", True),
        ("regex: ^a.b$", "a\u2028b", False),
        ("regex: ^\\s[[&]$", "\ufeff&", True),
        ('contains-json: {"required": ["b"]}', '[1] {"b": 1}', True),
        ("is-number", " 4.2 ", True),
        ("is-number", "four", False),
        ("word-count: 2", "two words", True),
        ("word-count: 3,5", "two words", False),
        ("levenshtein(1): kitten", "sitten", True),
        ("levenshtein: kitten", "sitten", False),
        ("levenshtein(2): ab", "\U0001f600b", True),
        ("latency(1000)", "x", True),
        ("latency: 500", "x", False),
        ("cost(0.001)", "x", False),
        ("cost(0.01)", "x", True),
        ("finish-reason: STOP", "x", True),
    ],
)
def test_check_gives_its_verdict(cell: str, output: str, passed: bool) -> None:
    """Each type, with a reason in words."""
    found = check(parse_assertion(cell), output, FACTS)

    assert found.passed is passed
    assert found.value == float(passed)
    assert found.reason


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("javascript: output.length", "never run"),
        ("fn: true", "never run"),
        ("eval: 1", "never run"),
        ("python: open('/etc/passwd')", "never run"),
        ("file://a.js", "never run"),
        ("not-javascript: x", "never run"),
        ("llm-rubric: is kind", "LLM judge"),
        ("grade: is kind", "LLM judge"),
        ("similar: Hello", "embeddings"),
        ("similar(0.8): Hello", "embeddings"),
        ("bleu: x", "no such check"),
        ("contains:", "no text"),
        ("word-count: many", "number"),
        ("regex: ^(?=(a+)+$)b{2}{3}", "repeats"),
        ("is-json: {", "not JSON"),
        ('is-json: {"$ref": "http://127.0.0.1:9/x"}', "refers to"),
        ("latency(x)y", ""),
        ("regex: (", "brackets"),
        ("regex: (?i)a", "JavaScript"),
        ('contains-any: "a', "no text"),
        ("is-json: [&a {}, *a]", "neither JSON nor YAML"),
        ("starts-with:", "no text"),
    ],
)
def test_check_that_cannot_be_made_is_unscored(cell: str, reason: str) -> None:
    """Nothing is executed or fetched; the reason says why there is no score."""
    found = check(parse_assertion(cell), '{"a": 1}', FACTS)

    assert (found.value is None) == bool(reason)
    assert reason in found.reason


def test_unknown_facts_are_unscored() -> None:
    """An answer without time or cost is not wrong."""
    for cell in ("latency(1)", "not-cost(1)", "finish-reason: stop"):
        assert check(parse_assertion(cell), "x").value is None


@given(st.text(), st.text())
def test_any_cell_has_a_verdict(cell: str, output: str) -> None:
    """No text in a cell ends in an exception."""
    found = check(parse_assertion(cell), output, FACTS)

    assert found.reason


def grade(output: str, **row: str) -> tuple[float | None, bool | None, str]:
    """The verdict of the row's checks."""
    grader = build(GraderSpec("row_assertions"))
    score = grader.grade(
        output, grader.expected_of({name.replace("C_", ":"): v for name, v in row.items()}, None), FACTS
    )
    return score.value, score.passed, score.reason


def test_row_passes_with_all_its_checks() -> None:
    """The value is the share of checks; failures come first in the reason."""
    value, passed, reason = grade("hello", __expected1="contains: hell", __expected2="is-json", __metric="form")

    assert (value, passed) == (0.5, False)
    assert reason.startswith("1 of 2 checks passed. form: The answer 'hello' is not JSON")
    assert grade("hello", __expected="hello", __expected2="") == (1.0, True, "The answer 'hello' is 'hello'.")


def test_threshold_of_the_row_decides() -> None:
    """__threshold is the share that is enough; __config sets a check's own threshold."""
    assert grade("hello", __expected1="hello", __expected2="is-json", __threshold="0.5")[:2] == (0.5, True)
    assert grade("kitten", __expected="levenshtein: sitting")[1] is False
    config = {"__configC___expected1C_threshold": "3"}
    assert grade("kitten", __expected="levenshtein: sitting", **config)[1] is True


def test_checks_that_cannot_be_scored_are_left_out_and_named() -> None:
    """A row of code alone is unscored; beside others the code is counted as not scored."""
    assert grade("x", __expected="javascript: true")[:2] == (None, None)
    assert grade("x")[:2] == (None, None)
    value, passed, reason = grade("x", __expected1="x", __expected2="python: 1")
    assert (value, passed) == (1.0, True)
    assert "1 of 1 checks passed, 1 not scored" in reason


def test_value_of_the_row_is_filled_in() -> None:
    """A column's name in braces is the row's value, once; a name that is none is empty; filters are never run."""
    assert grade("tides", topic="tides", __expected="contains: {{ topic }}")[1] is True
    assert grade("a, b", one="a, b", __expected='contains-all: "{{one}}", {{one}}')[1] is True
    assert grade("{{x}}", topic="{{x}}", x="y", __expected="{{topic}}")[1] is True
    assert grade("ab", __expected="a{{nothing}}b")[1] is True
    value, _, reason = grade("TIDES", topic="tides", __expected="{{topic | upper}}")
    assert value is None
    assert "never run" in reason


def test_columns_ask_for_the_grader_themselves() -> None:
    """A dataset with __expected columns is graded by its own checks."""
    assert [spec.kind for spec in suggested(["q", "__expected2"])] == ["row_assertions"]
    assert suggested(["q", "expected"]) == ()


@pytest.mark.parametrize(
    ("kind", "output", "expected", "passed"),
    [
        ("equals", "04/12/2022", '["4/12/2022", "04/12/2022"]', True),
        ("equals", "5", '["4", "6"]', False),
        ("equals", '["a"]', '["a"]', True),
        ("contains", "It is b.", '["a", "b"]', True),
        ("contains", "1 apple", "[1, 2]", False),
        ("numeric", "It is 6", '["4", "6"]', True),
        ("numeric", "It is 5", '["4", "6"]', False),
    ],
)
def test_list_of_texts_holds_alternatives(kind: str, output: str, expected: str, passed: bool) -> None:
    """Each text of a JSON list is a right answer; a list of numbers is an answer itself."""
    assert build(GraderSpec(kind)).grade(output, expected).passed is passed
