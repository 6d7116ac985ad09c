"""promptfoo itself, from npm: it opens our export, and it and we judge the same answers alike."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from promptfoo_driver import Promptfoo

from assay.config import Settings
from assay.datasets.reader import read_table
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec, Score
from assay.scoring.graders import build, suggested
from assay.scoring.kinds import Facts
from assay.workbench.datasets import kept
from assay.workbench.results import cells as results
from assay.workbench.results import exports, standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import open_session

Row = dict[str, str]

JSON_TEXT = '{"name": "Ada", "age": 36}'
SCHEMA = '{"type": "object", "required": ["name"], "properties": {"age": {"type": "integer"}}}'
SCORED: tuple[tuple[str, str], ...] = (
    ("Paris", "Paris"),
    ("Paris", "paris"),
    ("Paris", "Paris\n"),
    (" Paris ", "Paris"),
    ("equals: Paris", "Paris"),
    ("not-equals: Paris", "Rome"),
    ("not-equals:Paris", "Paris"),
    ('equals: {"a": 1}', '{ "a":1 }'),
    ("note: see below", "note: see below"),
    ("Equals: x", "x"),
    ("f(x): 3", "f(x): 3"),
    ("latency (9)", "x"),
    ("contains: ell", "hello"),
    ("contains: ELL", "hello"),
    ("contains:a: b", "a: b"),
    ("not-contains: x", "hello"),
    ("icontains: ELL", "hello"),
    ("icontains: STRASSE", "Straße"),
    ("icontains: ÉCOLE", "une école"),
    ("not-icontains: SORRY", "I am sorry"),
    ("contains-any: tide, moon", "the moon"),
    ("contains-any: a,b", "c"),
    ('contains-any: "a, b", z', "a c"),
    ('contains-any: "a, b", z', "so a, b"),
    ('contains-any: "say ""hi""", z', 'say "hi"'),
    (r'contains-any: "say \"hi\"", z', 'say "hi"'),
    ("contains-all: a, b", "b a"),
    ("contains-all: a, b", "a c"),
    ("contains-all:\n a,\n b", "a b"),
    ("not-contains-all: a, b", "a c"),
    ("icontains-all: A, B", "ab"),
    ("icontains-any: X, Y", "ab"),
    ("not-icontains-any: X, Y", "ab"),
    ("contains-all: a,, b ,", "ab"),
    ("contains-any: it's 5\", x", "it's 5\""),
    ("starts-with: He", "Hello"),
    ("starts-with: He", " Hello"),
    ("not-starts-with: He", "hello"),
    (r"regex: ^\d+$", "123"),
    (r"regex: ^\d+$", "123\n"),
    ("regex: A", "a"),
    (r"regex: ^\w+$", "naïve"),
    (r"regex: ^\s$", "\u00a0"),
    ("regex: ^a.c$", "a\u2028c"),
    (r"regex: (?<y>\d{4})-\k<y>", "1999-1999"),
    ("regex: [^]x", "\nx"),
    ("regex: a{x", "a{x"),
    (r"regex: \/v1\/", "/v1/"),
    (r"not-regex: \bno\b", "note"),
    ("regex: (yes|no)!?", "oh no!"),
    (r"regex: ^[\w.+-]+@[\w-]+\.[\w.]+$", "ada@example.org"),
    ("regex: [[&]", "&"),
    ("is-json", JSON_TEXT),
    ("is-json", f"```json\n{JSON_TEXT}\n```"),
    ("is-json", "NaN"),
    ("is-json", "3"),
    ("not-is-json", "no"),
    ("not-is-json", "{}"),
    (f"is-json: {SCHEMA}", JSON_TEXT),
    (f"is-json: {SCHEMA}", "{}"),
    (f"is-json: {SCHEMA}", '{"name": "Ada", "age": "old"}'),
    (f"not-is-json: {SCHEMA}", "{}"),
    (f"not-is-json: {SCHEMA}", "no"),
    ("is-json: {type: object, required: [age]}", JSON_TEXT),
    ('is-json: {"type": "string", "format": "ipv4"}', '"1.2.3"'),
    ('is-json: {"items": [{"type": "string"}], "type": "array"}', "[1]"),
    ("contains-json", f"Here: {JSON_TEXT}."),
    ("contains-json", "none"),
    ("contains-json", "[1, 2]"),
    ("contains-json", "{a: 1}"),
    ("contains-json", '{"a": 1,}'),
    ("contains-json", "Use {name} here"),
    ("contains-json", '{"cut": [1'),
    ("contains-json", '{"cut": {"a": 1'),
    ("not-contains-json", "none"),
    ("not-contains-json", "{}"),
    ("contains-json", '{"a": 1 // one\n}'),
    (f"contains-json: {SCHEMA}", f"{{}} {JSON_TEXT}"),
    (f"contains-json: {SCHEMA}", "{}"),
    (f"not-contains-json: {SCHEMA}", "{}"),
    ("contains-json", "```\n{'a': 'b'}\n```"),
    ("levenshtein(3): sitting", "kitten"),
    ("levenshtein(2): sitting", "kitten"),
    ("levenshtein: kitten", "sitten"),
    ("levenshtein(2): ab", "\U0001f600b"),
    ("not-levenshtein(1): kitten", "sitten"),
    ("word-count: 2", "two words"),
    ("word-count: 3", "two words"),
    ("latency(60000)", "x"),
    ("latency(1)", "x"),
    ("not-latency(1)", "x"),
    ("cost(0.01)", "x"),
    ("cost(0.001)", "x"),
    ("cost(0.002)", "x"),
    ("finish-reason: STOP", "x"),
    ("finish-reason: length", "x"),
    ("contains: {{topic}}", "about tides"),
    ("{{ topic }}", "tides"),
    ("contains-all: {{topic}}, {{listed}}", "tides, a, b"),
    ("a{{none}}b", "ab"),
    ("is-json(0.5)", "[]"),
    ("contains-any(2): a", "a"),
)
"""A cell of __expected and an answer; promptfoo gives each a verdict."""
CONFIG = "__config:__expected1:threshold"
ROWS: tuple[tuple[Row, str], ...] = (
    ({"__expected1": "contains: a", "__expected2": "contains: b"}, "ab"),
    ({"__expected1": "contains: a", "__expected2": "contains: b"}, "a"),
    ({"__expected": "contains: a", "__expected1": "contains: b", "__expected2": "is-json"}, "ab"),
    ({"__expected1": "contains: a", "__expected2": "contains: b", "__threshold": "0.5"}, "a"),
    ({"__expected1": "contains: a", "__expected2": "contains: b", "__threshold": "0.6"}, "a"),
    ({"__expected1": "contains: a", "__expected2": "contains: b", "__threshold": "0"}, "x"),
    ({"__expected1": "contains: a", "__expected2": "contains: b", "__threshold": "1"}, "ab"),
    ({"__expected1": "contains: a", "__expected2": "contains: b", "__threshold": "none"}, "a"),
    ({"__expected1": "contains: a", "__expected2": "", "__metric": "form"}, "a"),
    ({"__expected1": "levenshtein: sitting", CONFIG: "3"}, "kitten"),
    ({"__expected1": "levenshtein(9): sitting", CONFIG: "2"}, "kitten"),
)
"""Rows of several checks, with their settings."""
NOT_SCORED: tuple[tuple[str, str], ...] = (
    ("javascript: output.length > 1", "never run"),
    ("fn:output.includes('a')", "never run"),
    ("eval: true", "never run"),
    ("python: len(output) > 1", "never run"),
    ("file://check.py", "never run"),
    ("file://check.js:grade", "never run"),
    ("grade: is friendly", "judge"),
    ("llm-rubric: is friendly", "judge"),
    ("similar(0.8): Hello", "embeddings"),
    ("similar: Hello", "embeddings"),
    ("factuality: Paris", "judge"),
    ("webhook: http://example.invalid", "never run"),
    ("is-sql", "no such check"),
    ("rouge-n(0.5): a b", "no such check"),
    ("{{ topic | upper }}", "never run"),
    ("regex: (", "brackets"),
    ("contains:", "no text"),
)
"""Cells that we do not score, and a word of the reason."""
DIFFERENT: tuple[tuple[str, str, bool, bool], ...] = (
    ("cost", "cost", True, True),
    ("contains", "contains", True, False),
    ("latency: 60000", "x", True, False),
    ("cost: 0.001", "x", False, True),
    ("ends-with: lo", "hello", True, False),
    ("is-number", "4.2", True, False),
    ("{{odd}}", "{{topic}}", True, False),
)
"""Where we differ on purpose, as the module's docstring says: cell, answer, our verdict, promptfoo's."""


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A CSV of the rows, numbered in the column n."""
    columns = dict.fromkeys(name for row in rows for name in ("n", "topic", "odd", "listed", *row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), restval="")
    writer.writeheader()
    writer.writerows(
        {"n": str(n), "topic": "tides", "odd": "{{topic}}", "listed": "a, b", **row} for n, row in enumerate(rows)
    )
    return text.getvalue()


def ours(text: str, answers: Sequence[str], latencies: Sequence[float]) -> list[Score]:
    """Our scores of a CSV's rows, as read by our reader."""
    read = read_table(text.encode(), filename="tests.csv")
    (spec,) = suggested(read.columns)
    grader = build(spec)
    return [
        grader.grade(answer, grader.expected_of(dict(row), None), Facts(latency, Decimal("0.002"), "stop"))
        for row, answer, latency in zip(read, answers, latencies, strict=True)
    ]


def both(promptfoo: Promptfoo, rows: Sequence[Mapping[str, str]], answers: Sequence[str]) -> list[dict[str, Any]]:
    """For each row: its checks, the answer, our verdict, promptfoo's."""
    text = table(rows)
    file = promptfoo.home / "tests.csv"
    file.write_text(text, "utf-8", newline="")
    theirs = promptfoo.evaluate(file, {str(n): answer for n, answer in enumerate(answers)})
    scores = ours(text, answers, [float(result["latencyMs"]) for result in theirs])
    return [
        {
            "row": dict(row),
            "answer": answer,
            "ours": (score.passed, score.value),
            "theirs": (result["success"], result["score"]),
            "says": (score.reason, result.get("error")),
        }
        for row, answer, score, result in zip(rows, answers, scores, theirs, strict=True)
    ]


def test_verdicts_of_one_check_are_promptfoos(promptfoo: Promptfoo) -> None:
    """About a hundred cells of __expected: the same verdict and score as promptfoo's on the same answer."""
    found = both(promptfoo, [{"__expected": cell} for cell, _ in SCORED], [answer for _, answer in SCORED])

    assert [one for one in found if one["ours"] != one["theirs"]] == []
    assert len({one["ours"][0] for one in found}) == 2


def test_verdicts_of_rows_are_promptfoos(promptfoo: Promptfoo) -> None:
    """Several checks, a threshold of the row, a metric, a check's own threshold."""
    # promptfoo refuses an empty cell of __config, so those rows have a file of their own.
    for chosen in ([one for one in ROWS if CONFIG not in one[0]], [one for one in ROWS if CONFIG in one[0]]):
        found = both(promptfoo, [row for row, _ in chosen], [answer for _, answer in chosen])
        assert [one for one in found if one["ours"] != one["theirs"]] == []


def test_checks_that_differ_on_purpose_do_so(promptfoo: Promptfoo) -> None:
    """The list in the docstring of scoring/assertions.py is right about both."""
    found = both(promptfoo, [{"__expected": cell} for cell, *_ in DIFFERENT], [answer for _, answer, *_ in DIFFERENT])

    verdicts = [(one["row"]["__expected"], one["ours"][0], one["theirs"][0]) for one in found]
    assert verdicts == [(cell, mine, other) for cell, _, mine, other in DIFFERENT]


@pytest.mark.parametrize(("cell", "reason"), NOT_SCORED)
def test_check_that_is_not_scored_says_why(cell: str, reason: str) -> None:
    """Code, judges and embeddings: no verdict, the reason in words, and nothing runs."""
    (score,) = ours(table([{"__expected": cell}]), ["hello"], [1.0])

    assert (score.value, score.passed) == (None, None)
    assert reason in score.reason


EXAMPLE = """\
n,language,body,__expected,__expected2,__prefix,__metadata:kind
0,French,Hello world,"icontains-any: bonjour, depends",,,greeting
1,Pirate,I'm hungry,not-icontains: as an ai,"word-count: 7",,need
2,French,Answer in json,contains-json,latency(60000),,format
3,English,Hello world,regex: ^[A-Z],cost(5),Politely: ,greeting
4,English,Hello world,fn:output.length > 3,,,code
"""


def test_run_of_an_example_file_is_judged_as_promptfoo_does(promptfoo: Promptfoo, tmp_path: Path) -> None:
    """A CSV in the manner of promptfoo's examples, run through two models; promptfoo judges the answers we kept."""
    file = promptfoo.home / "tests.csv"
    file.write_text(EXAMPLE)
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as session:
        session.ready()
        dataset = kept.open_dataset(session, str(file))
        contestants = (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large"))
        draft = RunDraft(
            dataset.id, (Prompt("Say in {{language}}: {{body}}"),), contestants, suggested(dataset.columns)
        )
        state = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
        cells = list(exports.run_record(session, state.id).cells())
    assert (state.state, state.failed, len(cells)) == ("done", 0, 10)

    for contestant in range(2):
        mine = [cell for cell in cells if cell.contestant == contestant]
        theirs = promptfoo.evaluate(file, {str(cell.row): cell.output for cell in mine})
        verdicts = [cell.passed for cell in mine]
        assert verdicts[:4] == [result["success"] for result in theirs][:4]
        assert verdicts[4] is None
        assert "never run" in mine[4].scores[0].reason


def test_promptfoo_opens_our_export(promptfoo: Promptfoo, tmp_path: Path) -> None:
    """`import` takes the file, `list` and `show` know it, and what it exports has our verdicts, counts and costs."""
    ours = tmp_path / "run.json"
    with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), sandbox_speed=0) as session:
        session.ready()
        dataset = kept.open_dataset(session, "support_tickets")
        draft = RunDraft(
            dataset.id,
            (Prompt("Which category? {{ticket}}", name="plain"), Prompt("{{ticket}}", "Name a category.")),
            (Contestant("sandbox/swift"), Contestant("sandbox/atlas-large")),
            (GraderSpec("contains"),),
            samples=2,
            expected_column="category",
            limit=5,
        )
        run_id = runs.start_run(session, draft)
        assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"
        exports.export_run(session, run_id, "promptfoo", ours)
        board = {(line.prompt, line.contestant): line for line in standing.scoreboard(session, run_id)}
        assert results.get_run(session, run_id).done == 40

    promptfoo("import", str(ours))
    name, back = f"assay-{run_id}", promptfoo.home / "back.json"
    assert name[:24] in promptfoo("list", "evals", "-n", "5")
    assert name in promptfoo("show", "eval", name)
    promptfoo("export", "eval", name, "-o", str(back))

    sent, found = (json.loads(path.read_text("utf-8"))["results"] for path in (ours, back))
    assert verdicts_of(found) == verdicts_of(sent)
    assert len(found["results"]) == 40
    for prompt, line in zip(found["prompts"], (board[p, c] for p in range(2) for c in range(2)), strict=True):
        metrics = prompt["metrics"]
        assert (metrics["testPassCount"], metrics["testFailCount"]) == (line.correct, line.answered - line.correct)
        assert Decimal(str(metrics["cost"])) == Decimal(line.cost_pico or 0).scaleb(-12)
    stats = found["stats"]
    assert (stats["successes"], stats["failures"], stats["errors"]) == (
        sum(line.correct for line in board.values()),
        40 - sum(line.correct for line in board.values()),
        0,
    )


def verdicts_of(found: Mapping[str, Any]) -> set[tuple[object, ...]]:
    """Place, verdict, score, answer and cost of every result of a promptfoo file."""
    return {
        (r["testIdx"], r["promptIdx"], r["success"], r["score"], r["response"]["output"], r["cost"])
        for r in found["results"]
    }
