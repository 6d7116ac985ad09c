"""Patterns: the same verdicts as the engines they are written for, and an end to every one."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.domain.score import GraderSpec
from assay.errors import GraderError
from assay.scoring.assertions import check, parse_assertion
from assay.scoring.graders import build
from assay.scoring.patterns import PATTERN_LIMIT, ecmascript_of, pattern_of
from assay.scoring.processes import Processes

WALL_S = 10.0
"""Far more than a pattern may take, far less than one without end would."""
ENDLESS = (
    r"(a+)+$",
    r"(a|a)*$",
    r"(a|aa)+$",
    r"^(\w+\s?)*$",
    r"^(\w+\s?)+:$",
    r"(.*a){20}$",
    r"(?:a?){40}a{40}",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(\w*\s*)*:$",
    r"\w+\w+\w+\w+\w+\w+:$",
    r".*.*.*.*.*.*=x",
    r"(a?a?)*b$",
    r"((a{1,9}){1,9}){1,9}b",
    r"(?=(a+))\1+$",
    r"((a{0,20})a{0,20}){20}b",
    r"^(?=(a+)+$)b",
    r"(a+)+\1$",
    r"(?<=(?:a|a)+)b",
    r"^(([0123]:)?[a-zA-Z-\d]+\s*)+$",
)


@pytest.mark.parametrize("pattern", ENDLESS)
def test_pattern_that_backtracks_without_end_ends(pattern: str) -> None:
    """In a check, as a grader's pattern and in a schema: a verdict, or unscored with the reason."""
    text = "a" * 40 + " " + "word " * 40 + "!"
    schema = GraderSpec("json_schema", {"schema": f'{{"pattern": {_json(pattern)}}}'})
    started = time.monotonic()

    found = [
        check(parse_assertion(f"regex: {pattern}"), text),
        build(GraderSpec("regex")).grade(text, pattern),
        build(schema).grade(_json(text), None),
    ]

    assert time.monotonic() - started < WALL_S
    assert all(verdict.reason for verdict in found)


def _json(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{1,3}(,\d{3})*$", "1,234,567"),
        (r"^[\w.-]+@([\w-]+\.)+[\w-]{2,4}$", "ana@mail.example.com"),
        (r"^(\d{1,3}\.){3}\d{1,3}$", "10.2.300.4"),
        (r"^(\w+,\s*)+\w+$", "red, green, blue"),
        (r"^https?://(www\.)?([\w-]+\.)+\w+(/[\w./?%&=-]*)?$", "https://www.example.com/a/b?c=d"),
        (r"^(19|20)\d\d-(0[1-9]|1[0-2])-([0-2]\d|3[01])$", "2026-11-28"),
        (r"^(?=.*\d)(?=.*[a-z]).{8,}$", "abc12345"),
        (r"(\w)\1", "hello"),
        (r"^[\s\S]+$", "two\nlines"),
        (r"^[^\W\d_]+$", "Straße"),
    ],
)
def test_ordinary_pattern_works(pattern: str, text: str) -> None:
    """What people write for numbers, mail, addresses, lists and dates is run, with a verdict."""
    assert build(GraderSpec("regex")).grade(text, pattern).passed is True


@pytest.mark.parametrize(
    ("pattern", "text", "passed"),
    [
        ("a$", "a\n", False),
        ("^.$", "\u2028", False),
        (r"^\s$", "\ufeff", True),
        (r"^[\S]$", "\ufeff", False),
        (r"^\w$", "é", False),
        (r"\bé", "é", False),
        (r"^\d$", "\u0663", False),
        (r"^[a-\d]+$", "a-1", True),
        (r"^[\w-z]+$", "q-", True),
        (r"\cJ", "\n", True),
        (r"^\ud83d\ude00$", "\U0001f600", True),
        (r"^\u0041$", "A", True),
        ("[]", "a", False),
        ("^[^]$", "\n", True),
        ("a{,3}", "a{,3}", True),
        (r"(?<n>a)\k<n>", "aa", True),
        ("^[[a]$", "[", True),
        (r"^[\b]$", "\b", True),
    ],
)
def test_pattern_of_javascript_keeps_its_meaning(pattern: str, text: str, passed: bool) -> None:
    """Where Python and RE2 read it otherwise it is JavaScript's reading that counts."""
    assert (ecmascript_of(pattern).search(text) is not None) is passed


@pytest.mark.parametrize("pattern", ["C++", "(five", "[a-", "a**", "x{3}{2}", "(?P<n>a)", "(?>a)", "(" * 5000])
def test_text_that_is_no_pattern_is_unscored_with_its_reason(pattern: str) -> None:
    """An expected cell is whatever people typed: the cell is unscored, and the reason says why."""
    found = check(parse_assertion(f"regex: {pattern}"), "It is C++ (five)")

    assert (found.value, found.passed) == (None, None)
    assert found.reason


def test_grader_keeps_python_s_reading() -> None:
    """The regex grader's patterns are Python's: letters of all scripts, and the end before a last line break."""
    for pattern, text in (
        (r"^\w+$", "Müller"),
        (r"\bé\b", "un é seul"),
        ("a$", "a\n"),
        ("(?i)x", "X"),
        ("(?x) a b", "ab"),
    ):
        assert pattern_of(pattern).search(text) is not None
    assert pattern_of("STRASSE", ignore_case=True).search("strasse") == "strasse"


def test_pattern_that_is_late_again_and_again_is_not_run_any_more() -> None:
    """Each time costs half a second: a run of thousands of answers would take hours over it."""
    grader = build(GraderSpec("regex", {"pattern": r"^(?=(\w+\s?)+$)never"}))

    reasons = [grader.grade("word " * n + "!", None).reason for n in range(30, 45)]

    assert sum("over this answer" in reason for reason in reasons) == 5
    assert reasons[-1].endswith("over 5 answers, and is not run any more. Write it more simply.")
    assert build(GraderSpec("regex")).grade("aba", r"(a)b\1").passed is True


def test_longest_pattern_is_named() -> None:
    """A pattern past the bound is refused with both numbers."""
    with pytest.raises(GraderError, match="10,001 characters; at most 10,000"):
        pattern_of("a" * (PATTERN_LIMIT + 1))


_PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        r"\d",
        r"\w",
        r"\s",
        "[ab]",
        "[^a]",
        r"[\w-]",
        "(a|b)",
        "(?:ab)",
        "^",
        "$",
        "a?",
        "b*",
        "a+",
        "a{2}",
        "b{1,2}",
        "|",
        r"\.",
        " ",
        "é",
        r"\b",
        "a*?",
        "(?=a)",
        r"\W",
        r"\S",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(_PIECES, max_size=6), st.text("ab1 é.\n_", max_size=8))
def test_any_pattern_has_python_s_verdict(pieces: list[str], text: str) -> None:
    """Whichever engine runs it, the answer is that of Python's own."""
    pattern = "".join(pieces)
    try:
        wanted = re.compile(pattern).search(text)
    except re.error:
        return

    found = pattern_of(pattern).search(text)

    assert (found is None) == (wanted is None)
    if wanted is not None and "$" not in pattern:
        assert found == wanted.group()


def test_process_of_patterns_is_told_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs a hostile pattern has the names it needs to start, and nothing of ours."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-" + "c" * 32)

    program = "import os, json; input(); print(json.dumps(dict(os.environ)))"
    told = Processes(["-c", program], megabytes=64, seconds=5).ask("environment", [])

    assert "PATH" in told
    assert not [name for name in told if name.startswith(("OPENROUTER_", "ASSAY_"))]
