"""What answers and cells can do to a grader: nothing but leave it without a score."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.domain.score import GraderSpec
from assay.scoring.graders import GRADERS, build
from assay.scoring.judge import parse_verdict
from assay.scoring.limits import WORDS

WALL_S = 5.0
"""A generous bound: the machine is shared, and a freeze would take minutes."""
BOMBS: dict[str, str] = {
    "digits": "1" * 1_000_000,
    "exponent": "1e999999999",
    "million zeros": "1e999998",
    "no double": "1e400",
    "negative": "-1e-999999999",
    "commit": "Fixed in commit 5e1234567",
    "brackets": "[" * 100_000,
    "450 brackets": "[" * 450 + "]" * 450,
    "braces": "{" * 100_000,
    "open objects": '{"a":' * 20_000,
    "fence": "```json" + "\n" * 100_000 + "x",
    "fences": "```" * 60_000,
    "spaces": " " * 199_000 + "x",
    "objects": json.dumps([{"a": n} for n in range(12_000)]),
    "accents": "a" + "\u0301\u0316" * 90_000,
    "mixed": json.dumps([n if n % 2 else str(n) for n in range(20_000)]),
    "answers": "answer " * 28_000,
    "commas": "1" + ",111" * 49_000,
    "loose": "{a: 1, " * 20_000,
    "nested yaml": "{a: [" * 2_000,
    "alias": "[&a [x], *a, *a]",
    "surrogates": "\ud800" * 1_000,
    "nul": "\0" * 100_000,
    "comments": "{//" * 60_000,
    "quotes": '{"' * 60_000,
    "kanji": "漢" * 150_000,
    "same hash": json.dumps([n * (2**61 - 1) for n in range(9_000)]),
    "thinking": "<think>" * 20_000,
    "xml": '<!ENTITY a "&b;&b;">' * 1_000,
    "escapes": "\x1b]0;x\x07\u202e" * 1_000,
}
RECURSIVE = '{"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}'
GRADERS_TRIED = [
    ("equals", {}, "x"),
    ("contains", {}, "|".join(map(str, range(900)))),
    ("regex", {}, "(a+)+$"),
    ("numeric", {}, "42"),
    ("numeric", {"tolerance": 5, "relative": True}, "1e300"),
    ("json", {}, None),
    ("json_schema", {"schema": '{"multipleOf": 0.1}'}, None),
    ("json_schema", {"schema": RECURSIVE}, None),
    ("json_schema", {"schema": '{"uniqueItems": true}'}, None),
    ("json_schema", {"schema": '{"$ref": "https://json.schemastore.org/package.json"}'}, None),
    *[
        ("row_assertions", {}, json.dumps({"__expected": cell}))
        for cell in (
            "contains-json",
            'contains-json: {"required": ["z"]}',
            "is-number",
            "word-count: 3",
            "contains-any: a, b",
            "levenshtein(3): " + "ab" * 9_000,
            "is-json: {type: array, uniqueItems: true}",
            r"regex: (\w*\s*)*:$",
        )
    ],
]


def timed(grade: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    grade()
    return time.perf_counter() - started


@pytest.mark.parametrize(("kind", "params", "expected"), GRADERS_TRIED)
def test_no_answer_raises_or_freezes(kind: str, params: dict[str, object], expected: str | None) -> None:
    """Every grader ends with every bomb, in bounded time and with a reason in bounds."""
    grader = build(GraderSpec(kind, params))

    for name, answer in BOMBS.items():
        started = time.monotonic()
        score = grader.grade(answer, expected)

        assert time.monotonic() - started < WALL_S, name
        assert 0 < len(score.reason) <= WORDS, name
        assert score.reason.isprintable(), name


@pytest.mark.parametrize("kind", ["equals", "contains", "regex", "numeric", "row_assertions"])
def test_no_expected_cell_raises_or_freezes(kind: str) -> None:
    """What stands in a file's expected column is as hostile as an answer."""
    grader = build(GraderSpec(kind))

    for name, cell in BOMBS.items():
        for written in (cell, f"is-json: {cell}", f"contains-all: {cell}", f"regex: {cell}", f"levenshtein(2): {cell}"):
            expected = grader.expected_of({"__expected": written, "e": written}, "e")
            started = time.monotonic()
            score = grader.grade("It is 42", expected)

            assert time.monotonic() - started < WALL_S, (name, written[:20])
            assert len(score.reason) <= WORDS


@pytest.mark.parametrize("name", [name for name in BOMBS if name not in ("digits", "surrogates")])
def test_no_judge_s_reply_raises_or_freezes(name: str) -> None:
    """A judge is a model: its reply is parsed as carefully as an answer."""
    assert timed(lambda: parse_verdict(BOMBS[name])) < WALL_S
    assert timed(lambda: parse_verdict('{"score": 1, "reason": ' + BOMBS[name])) < WALL_S


GROWING: list[tuple[str, dict[str, object], str | None, Callable[[int], str]]] = [
    ("json", {}, None, lambda n: "```json" + "\n" * n + "x"),
    ("json", {}, None, lambda n: "```\n" * n),
    ("json_schema", {"schema": '{"uniqueItems": true}'}, None, lambda n: json.dumps([{"a": k} for k in range(n // 9)])),
    ("numeric", {}, "1", lambda n: "-$ 1," * n),
    ("numeric", {}, "1", lambda n: "answer " + " " * n),
    ("contains", {}, "a|b", lambda n: "ab " * n),
    ("equals", {}, "x", lambda n: "x \t" * n),
    ("equals", {}, "x", lambda n: "é\u0301" * n),
    ("regex", {}, r"(\w*\s*)*:$", lambda n: "ab " * n),
    ("row_assertions", {}, '{"__expected": "contains-json"}', lambda n: '{"a": ' * n),
]


@pytest.mark.parametrize(("kind", "params", "expected", "text"), GROWING)
def test_time_grows_with_the_answer(
    kind: str, params: dict[str, object], expected: str | None, text: Callable[[int], str]
) -> None:
    """Eight times the length takes about eight times as long, never the square of it."""
    grader = build(GraderSpec(kind, params))
    short, long = text(3_000), text(24_000)

    once = min(timed(lambda: grader.grade(short, expected)) for _ in range(3))
    more = min(timed(lambda: grader.grade(long, expected)) for _ in range(3))

    assert more < 24 * max(once, 0.002)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(set(GRADERS) - {"judge", "json_schema"})), st.text(max_size=200), st.text(max_size=200))
def test_any_answer_and_any_cell_have_a_verdict(kind: str, output: str, expected: str) -> None:
    """No two texts end in an exception."""
    grader = build(GraderSpec(kind))

    assert grader.grade(output, grader.expected_of({"__expected": expected, "e": expected}, "e")).reason


def test_other_threads_go_on_beside_a_grader() -> None:
    """A fence and thousands of line breaks held the interpreter for minutes."""
    grader, gaps, done = build(GraderSpec("json")), [0.0], threading.Event()

    def beat() -> None:
        last = time.perf_counter()
        while not done.wait(0.005):
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=beat)
    thread.start()
    for _ in range(20):
        grader.grade("```json" + "\n" * 100_000 + "x", None)
    done.set()
    thread.join()

    assert max(gaps) < 2


def test_answer_that_is_too_long_is_unscored_with_both_numbers() -> None:
    """One table bounds what each kind reads."""
    score = build(GraderSpec("numeric")).grade("7" + " " * 200_000, "7")

    assert score.value is None
    assert score.reason == "The answer has 200,001 characters; this grader reads 200,000 at most."


def test_reason_has_no_control_characters() -> None:
    """A reason is shown in terminals and on pages: an answer cannot steer either."""
    score = build(GraderSpec("regex")).grade("\x1b[31m\u202ered", r"(?s).*")

    assert score.reason.isprintable()
