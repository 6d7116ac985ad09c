"""Suite files: read with line numbers, made into a draft, and their gates checked on real runs."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import yaml

from assay.domain.contestant import Contestant
from assay.errors import NotFound, SuiteError
from assay.stats.values import Estimate
from assay.workbench.gating import gates, suites
from assay.workbench.gating.gates import GateResult
from assay.workbench.running import runs
from assay.workbench.running.review import review
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
name: Small
dataset: tickets.csv
prompts: ["Which of these: billing, bug? {{ticket}}"]
contestants: [sandbox/atlas-large]
graders: [contains]
"""


def written(folder: Path, text: str = SMALL) -> Path:
    """A suite file beside a small dataset."""
    (folder / "tickets.csv").write_text(
        "ticket_id,ticket,category\n1,I was charged twice on an invoice,billing\n2,The app crashes,bug\n"
    )
    path = folder / "suite.yaml"
    path.write_text(text)
    return path


def run_of(session: Session, path: Path) -> str:
    """A finished run of a suite."""
    draft, _ = suites.draft_of(session, suites.load_suite(path))
    run_id = runs.start_run(session, draft)
    runs.wait_for_run(session, run_id, timeout_s=30)
    return run_id


def checked(session: Session, path: Path, name: str = "") -> tuple[GateResult, ...]:
    """Runs a suite and checks its gates."""
    file = suites.load_suite(path)
    baselines = gates.find_baselines(session, file.suite.gates)
    draft, _ = suites.draft_of(session, file)
    run_id = runs.start_run(session, draft if not name else replace(draft, name=name))
    runs.wait_for_run(session, run_id, timeout_s=30)
    return gates.check_gates(session, run_id, file.suite.gates, baselines)


def test_published_schema_is_that_of_the_model() -> None:
    """`docs/suite.schema.json` is current: `assay schema > docs/suite.schema.json`."""
    published = (ROOT / "docs" / "suite.schema.json").read_text("utf-8")

    assert published == suites.schema_json()


def test_example_suite_fits_the_schema_and_the_model() -> None:
    """The example is valid for editors and for Assay."""
    path = ROOT / "examples" / "suite.yaml"

    jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), json.loads(suites.schema_json()))
    assert len(suites.load_suite(path).suite.gates) == 5


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ("promts: [x]", 7, "Did you mean 'prompts'?"),
        ("gates: [{score: {mni: 0.9}}]", 7, "Did you mean 'min'?"),
        ("gates:\n  - score: {min: 0.9}\n  - p95: {max: 1}", 9, "Did you mean 'p95_ms'?"),
        ("gates: [{score: {min: 90}}]", 7, "less than or equal to 1; it is 90"),
        ("gates: [{score: {min: 0.9}, failed: {max: 0}}]", 7, "exactly one of"),
        ("gates: [{}]", 7, "exactly one of"),
        ("samples: 1000", 7, "less than or equal to 100; it is 1000"),
        ("samples: yes", 7, "valid integer; it is True"),
        ("name: again", 7, "stands on line 2 already"),
        ("tags: !!python/object/apply:os.getcwd []", 7, "is not read"),
        ("expected: !!python/name:os.getcwd", 7, "could not determine a constructor"),
        ("tags: {<<: *x}", 7, "undefined alias"),
        ("tags: [a", 7, "is no YAML"),
        ("1: x", 7, "is no text"),
        ("params: {stop: 2024-01-01}", 7, "Put it in quotes"),
        ("params: {seed: .nan}", 7, "Put it in quotes"),
        ("params: {stop: 12:30}", 7, "is read as the number 750. Put it in quotes"),
        ("params: {stop: 017}", 7, "is read as the number 15. Put it in quotes"),
        ("tags: " + "[" * 100_000, 7, "too deep values"),
        ('tags: ["\\ud800"]', 7, "Unicode character"),
        ("budget_usd: much", 7, "valid decimal; it is 'much'"),
    ],
)
def test_wrong_suite_is_answered_with_its_line(tmp_path: Path, more: str, line: int, said: str) -> None:
    """A key or value that cannot be meant is refused with the line and what to write."""
    path = written(tmp_path, SMALL + more)

    with pytest.raises(SuiteError) as caught:
        suites.load_suite(path)
    assert f"line {line}:" in str(caught.value).lower()
    assert said in str(caught.value)


def test_every_complaint_is_named_at_once(tmp_path: Path) -> None:
    """Three mistakes give three lines, from the top down."""
    path = written(tmp_path, "dataset: x\nprompts: [5]\ncontestants: []\nlimits: 3\n")

    with pytest.raises(SuiteError) as caught:
        suites.load_suite(path)
    assert [said.split(":")[0] for said in str(caught.value).splitlines()] == [
        "suite.yaml, line 2",
        "suite.yaml, line 3",
        "suite.yaml, line 4",
    ]


def test_yaml_bomb_is_refused(tmp_path: Path) -> None:
    """Aliases that expand without end stop at the limit."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(SuiteError, match="too many"):
        suites.load_suite(written(tmp_path, bomb))


@pytest.mark.parametrize("text", ["[" * 5000, "a: &a [*a]\n"])
def test_endless_nesting_is_refused(tmp_path: Path, text: str) -> None:
    """Neither deep nor circular values end in a traceback."""
    with pytest.raises(SuiteError, match="too deep"):
        suites.load_suite(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompts: [x\nname: y", "suite.yaml, line 2: this is no YAML"),
        ("", "suite.yaml is empty"),
        ("a: !!python/object:x {}", "suite.yaml, line 1: the tag"),
        ("a: b\nc: \x00", r"suite.yaml, line 2: the character U\+0000 is not read"),
    ],
)
def test_what_is_no_yaml_is_answered_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    """The same form as every other complaint, so that editors and builds find the place."""
    with pytest.raises(SuiteError, match=said):
        suites.load_suite(written(tmp_path, text))


def test_missing_suite_is_said(tmp_path: Path) -> None:
    """A path that leads nowhere is answered in words."""
    with pytest.raises(SuiteError, match=r"none.yaml cannot be read: No such file"):
        suites.load_suite(tmp_path / "none.yaml")


def test_draft_takes_everything_from_the_file(session: Session, tmp_path: Path) -> None:
    """Files are found beside the suite; a contestant's parameters and routing win over the suite's."""
    (tmp_path / "terse.txt").write_text("Category of {{text}}?")
    path = written(
        tmp_path,
        "dataset: tickets.csv\nmapping: {text: ticket}\nexpected: category\nsystem: Be brief.\n"
        "prompts:\n- {file: terse.txt}\n- {name: long, user: 'Now {{text}}', system: Take your time.}\n"
        "params: {temperature: 0, max_tokens: 9}\nprovider: {zdr: true}\n"
        "contestants:\n- sandbox/swift\n"
        "- {model: sandbox/scribe, label: S, params: {max_tokens: 5}, provider: {sort: price}, variant: floor}\n"
        "graders: ['equals:ignore_case=true', {kind: contains, name: has it, params: {value: x}}]\n"
        "samples: 2\nlimit: 1\nbudget_usd: 0.10\nconcurrency: 3\ntags: [ci]\n",
    )

    draft, notes = suites.draft_of(session, suites.load_suite(path))

    assert notes == []
    assert [(p.name, p.system, p.user) for p in draft.prompts] == [
        ("terse", "Be brief.", "Category of {{text}}?"),
        ("long", "Take your time.", "Now {{text}}"),
    ]
    assert draft.contestants == (
        Contestant("sandbox/swift", {"temperature": 0, "max_tokens": 9}, {"zdr": True}),
        Contestant("sandbox/scribe", {"temperature": 0, "max_tokens": 5}, {"zdr": True, "sort": "price"}, "floor", "S"),
    )
    assert [g.label for g in draft.graders] == ["equals", "has it"]
    assert (draft.samples, draft.limit, draft.budget_usd, draft.concurrency) == (2, 1, Decimal("0.1"), 3)
    assert (draft.mapping, draft.expected_column, draft.tags) == ({"text": "ticket"}, "category", ("ci",))
    assert list(review(session, draft).problems) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[contains]", "[contians]", "line 6: There is no grader 'contians'"),
        ("[contains]", "[{kind: contains, params: {valeu: x}}]", "line 6: The grader contains has no setting 'valeu'"),
        ("[sandbox/atlas-large]", "[{model: m, params: {temperature: 9}}]", "line 5: temperature is 9"),
        ("[contains]", "[contains]\ngates: [{failed: {max: 0, contestant: x}}]", "line 7: there is no contestant 'x'"),
        ('["Which of these: billing, bug? {{ticket}}"]', "[{file: none.txt}]", "line 4: none.txt cannot be read"),
    ],
)
def test_setting_that_cannot_be_used_names_its_line(
    session: Session, tmp_path: Path, old: str, new: str, said: str
) -> None:
    """What only the workbench can know is complained about with its line too."""
    file = suites.load_suite(written(tmp_path, SMALL.replace(old, new)))

    with pytest.raises(SuiteError) as caught:
        suites.draft_of(session, file)
    assert said in str(caught.value)


def test_gates_state_what_was_measured_and_the_bound(session: Session, tmp_path: Path) -> None:
    """Each gate gives pass or fail with the value behind it."""
    path = written(
        tmp_path,
        SMALL + "gates:\n- score: {min: 0}\n- pass_rate: {min: 0, contestant: atlas-large}\n- cost_usd: {max: 0}\n"
        "- cost_usd: {max: 1, contestant: sandbox/atlas-large}\n- p50_ms: {max: 60000}\n- p95_ms: {max: 0}\n"
        "- failed: {max: 0}\n",
    )

    found = checked(session, path)

    assert [(r.gate, r.passed) for r in found] == [
        ("score", True),
        ("pass_rate", True),
        ("cost_usd", False),
        ("cost_usd", True),
        ("p50_ms", True),
        ("p95_ms", False),
        ("failed", True),
    ]
    assert found[2].measured is not None
    assert found[2].measured > 0
    assert found[2].words.endswith("at most $0")
    assert found[6].words == "cells without an answer 0, at most 0"


@pytest.mark.parametrize("label", ["is it?", "what is it? really", "c?d"])
def test_question_mark_is_text_in_braces_too(tmp_path: Path, label: str) -> None:
    """A suite reads the YAML that files of rows read."""
    path = written(tmp_path, SMALL.replace("[sandbox/atlas-large]", f"[{{model: sandbox/swift, label: {label} }}]"))

    (contestant,) = suites.load_suite(path).suite.contestants
    assert isinstance(contestant, suites.ContestantPart)
    assert contestant.label == label


@pytest.mark.parametrize(
    ("kind", "measured", "bound", "printed"),
    [
        ("score", (0.7 + 0.7 + 0.7) / 3, 0.7, "0.7"),
        ("score", 0.1 + 0.2, 0.3, "0.3"),
        ("score", 0.69996, 0.7, "0.7"),
        ("pass_rate", 2 / 3, 0.66667, "0.66667"),
        ("pass_rate", 1.0, 1, "1"),
        ("p95_ms", 1000.4, 1000, "1000"),
        ("p50_ms", 1000.44, 1000.5, "1000.4"),
        ("failed", 3, 3, "3"),
        ("cost_usd", Decimal("0.1") + Decimal("0.2"), Decimal("0.3"), "0.3"),
        ("cost_usd", Decimal("0.000000000001"), Decimal(0), "0.000000000001"),
    ],
)
def test_measure_is_compared_as_it_is_printed(kind: str, measured: float, bound: float, printed: str) -> None:
    """What a reader sees beside the bound decides, not the last bit of a sum."""
    assert gates.as_printed(kind, measured, bound) == Decimal(printed)


def test_three_times_the_bound_meets_it(session: Session, tmp_path: Path) -> None:
    """A judge's score at the bound on every row: the mean of three is that score."""
    (line,) = [gates.scoreboard(session, run_of(session, written(tmp_path)))[0]]
    score = Estimate((0.7 + 0.7 + 0.7) / 3, 0.4, 0.9, 3, "")
    gate = suites.AtLeast(min=0.7)

    found = gates.bounded("score", replace(line, score=score), gate)

    assert (found.passed, found.words) == (True, "score 0.7, at least 0.7")


def test_score_of_few_rows_does_not_meet_a_bound(session: Session, tmp_path: Path) -> None:
    """All right on one row in ten: those without a score count as failures before a gate passes."""
    line = gates.scoreboard(session, run_of(session, written(tmp_path)))[0]
    gate, full = suites.AtLeast(min=0.9), Estimate(1.0, 0.3, 1.0, 2, "")

    few = gates.bounded("score", replace(line, score=full, scored=1, cells=10), gate)
    most = gates.bounded("score", replace(line, score=full, scored=98, cells=100), gate)

    assert (few.passed, most.passed) == (False, True)
    assert "1 on 10% of the cells, 0.1 where those without a score count as failures" in few.words


def test_margin_of_a_suite_holds_for_its_verdict_and_its_comparisons(session: Session, tmp_path: Path) -> None:
    """A gate without margin and alpha takes it over; without any the note says what such a gate does not say."""
    gate = "gates: [{not_worse_than: {run: main, missing: pass%s}}]\n"
    file = suites.load_suite(written(tmp_path, f"{SMALL}margin: 0.1\n{gate % ''}"))
    draft, notes = suites.draft_of(session, file)
    own = suites.load_suite(written(tmp_path, f"{SMALL}margin: 0.1\n{gate % ', margin: 0.02'}"))
    bare = suites.load_suite(written(tmp_path, SMALL + gate % ""))

    def kept(given: suites.SuiteFile, margin: float | None) -> object:
        (found,) = gates.frozen(given.suite.gates, {"main": None}, margin=margin)["conditions"]
        return found["not_worse_than"]["margin"]

    assert runs.plan_of(session, draft).margin == 0.1
    assert not any("without a margin" in note for note in notes)
    assert (kept(file, 0.1), kept(own, 0.1), kept(bare, None)) == (0.1, 0.02, None)
    assert any("without a margin passes where no drop is shown" in note for note in suites.draft_of(session, bare)[1])
    with pytest.raises(SuiteError, match="either margin or alpha"):
        suites.load_suite(written(tmp_path, SMALL + gate % ", margin: 0.02, alpha: 0.1"))


def test_run_without_graders_misses_a_score_gate(session: Session, tmp_path: Path) -> None:
    """What was not measured is not met: unscored is not 0 and not a pass."""
    path = written(tmp_path, SMALL.replace("graders: [contains]", "gates: [{score: {min: 0}}]"))

    (found,) = checked(session, path)

    assert (found.passed, found.measured) == (False, None)
    assert "was not measured" in found.words


def test_baseline_gate_fails_only_on_a_significant_loss(session: Session, tmp_path: Path) -> None:
    """Eight rows lost of eight are more than noise; the same answers again are not."""
    rows = "".join(f"{n},billing invoice {n},billing\n" for n in range(8))
    path = written(tmp_path)
    (tmp_path / "tickets.csv").write_text(f"ticket_id,ticket,category\n{rows}")
    suite = "dataset: tickets.csv\nprompts: ['{{ticket}}']\ncontestants: [{model: sandbox/swift, label: S}]\n"
    path.write_text(f"{suite}expected: category\ngraders: [{{kind: regex, params: {{pattern: '.'}}}}]\n")
    checked(session, path, "main")
    gate = "gates: [{not_worse_than: {run: main}}]\n"
    path.write_text(f"{path.read_text()}{gate}")

    (same,) = checked(session, path, "same")

    assert (same.passed, same.measured) == (True, 1.0)
    assert "on 8 rows (0 better, 0 worse)" in same.words
    path.write_text(path.read_text().replace("pattern: '.'", "pattern: 'never'"))
    (other,) = checked(session, path, "other graders")
    assert (other.passed, "graders differ" in other.words) == (False, True)


def test_missing_baseline_is_refused_or_passed(session: Session, tmp_path: Path) -> None:
    """Without the earlier run nothing is sent, unless the suite lets the first run pass."""
    gate = "gates: [{not_worse_than: {run: main%s}}]\n"
    refused = suites.load_suite(written(tmp_path, SMALL + gate % ""))
    with pytest.raises(NotFound, match="no baseline run 'main'"):
        gates.find_baselines(session, refused.suite.gates)

    (found,) = checked(session, written(tmp_path, SMALL + gate % ", missing: pass"))

    assert found.passed
    assert "no run 'main' yet" in found.words
