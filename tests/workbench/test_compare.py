"""Two runs compared: rows by key, contestants by key or label, over a real store."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ledger_calls import paid

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec, Score
from assay.errors import NotFound, SettingsError
from assay.store import runs as stored
from assay.store.saving import ResultRecord
from assay.workbench.datasets.kept import open_dataset
from assay.workbench.gating.gates import GateResult, check_gates
from assay.workbench.gating.suites import Gate
from assay.workbench.results.compare import compare_runs, find_run
from assay.workbench.results.matching import matched_places, shared_names
from assay.workbench.session import Session
from store_steps import save_results

SWIFT = Contestant("sandbox/swift")


def finished(
    session: Session,
    folder: Path,
    name: str,
    ids: list[int],
    scores: list[float | None],
    *,
    contestant: Contestant = SWIFT,
    cost: int | None = 10,
    grader: str = "contains",
) -> str:
    """A run that is done, with given scores for rows with given ids."""
    file = folder / "rows.csv"
    file.write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in ids))
    dataset = open_dataset(session, str(file))
    plan = RunPlan(dataset.id, len(ids), (Prompt("{{text}}"),), (contestant,), (GraderSpec(grader),), gateway="sandbox")
    records = [
        ResultRecord(
            run_id=name,
            cell=n,
            row=n,
            prompt=0,
            contestant=0,
            sample=0,
            status="ok",
            scores=(Score("contains", score, None if score is None else score == 1, ""),),
        )
        for n, score in enumerate(scores)
    ]

    def write(connection: object) -> None:
        stored.create_run(connection, plan, name=name, request_id=name)  # type: ignore[arg-type]
        for n in range(len(scores)):
            paid(connection, name, n, cost)
        save_results(connection, records)  # type: ignore[arg-type]
        stored.set_state(connection, name, "done")  # type: ignore[arg-type]

    session.store.writer.call(write)
    return name


def test_rows_are_joined_by_key_when_the_dataset_changed(session: Session, tmp_path: Path) -> None:
    """A row moved, one went and one came: the two that stayed are compared with themselves."""
    finished(session, tmp_path, "old", [1, 2, 3], [1, 0, 1])
    finished(session, tmp_path, "new", [9, 3, 1], [0, 1, 0], cost=15)

    found = compare_runs(session, "old", "new")

    (line,) = found.lines
    assert line.difference is not None
    counts = line.difference.n, line.difference.better, line.difference.ties, line.difference.worse
    assert counts == (2, 0, 1, 1)
    assert (line.score_a, line.score_b, line.cost_delta_pico) == (1.0, 0.5, 10)
    assert (found.rows, found.rows_only_a, found.rows_only_b) == (2, 1, 1)
    assert found.notes == ("The dataset went from version 1 to 2.",)


def test_rows_without_a_score_are_counted_apart(session: Session, tmp_path: Path) -> None:
    """Unscored is not wrong; an unknown cost makes the difference unknown."""
    finished(session, tmp_path, "old", [1, 2, 3], [1, None, 1])
    finished(session, tmp_path, "new", [1, 2, 3], [1, 1, None], cost=None)

    (line,) = compare_runs(session, "old", "new").lines

    assert (line.rows, line.unscored, line.cost_delta_pico) == (3, 2, None)
    assert line.difference is not None
    assert line.difference.n == 1


def test_label_joins_contestants_whose_parameters_changed(session: Session, tmp_path: Path) -> None:
    """A contestant with another key is found by its name; one without a partner is named."""
    finished(session, tmp_path, "old", [1], [1])
    finished(session, tmp_path, "warm", [1], [1], contestant=Contestant("sandbox/swift", {"temperature": 1}))
    finished(session, tmp_path, "other", [1], [1], contestant=Contestant("sandbox/scribe"))

    assert [line.label for line in compare_runs(session, "old", "warm").lines] == ["swift"]
    other = compare_runs(session, "old", "other")
    assert (other.lines, other.only_a, other.only_b) == ((), ("swift",), ("scribe",))


def test_doubled_labels_match_nothing() -> None:
    """Two contestants of one name cannot be told apart by it."""
    warm, hot, cold = (Contestant("m", {"temperature": t}) for t in (1, 2, 0))
    prompts = (Prompt("x"),)
    a, b = RunPlan("d", 1, prompts, (warm, hot)), RunPlan("d", 1, prompts, (hot, cold))

    assert matched_places(a, b) == [((0, 1), (0, 0)), ((0, 0), (0, 1))]
    assert matched_places(RunPlan("d", 1, prompts, (warm, hot)), RunPlan("d", 1, prompts, (cold,))) == []


def test_changed_prompt_is_matched_when_it_is_the_only_one() -> None:
    """Editing the one prompt compares the new text with the old."""
    models = (Contestant("m"),)
    a = RunPlan("d", 1, (Prompt("old"), Prompt("kept")), models)
    b = RunPlan("d", 1, (Prompt("kept"), Prompt("new")), models)

    assert matched_places(a, b) == [((1, 0), (0, 0)), ((0, 0), (1, 0))]


def gate_on(session: Session, run: str, **condition: object) -> GateResult:
    """What a comparison with the run `old` says of another."""
    gate = Gate.model_validate({"not_worse_than": {"run": "old", **condition}})
    (result,) = check_gates(session, run, [gate], {"old": find_run(session, "old")})
    return result


@pytest.mark.parametrize(("lost", "passed"), [(8, False), (3, True)])
def test_baseline_gate_without_a_margin_fails_where_a_drop_is_shown(
    session: Session, tmp_path: Path, lost: int, passed: bool
) -> None:
    """Eight rows lost of twenty are shown, three are not; the words say how little that means."""
    ids = list(range(20))
    finished(session, tmp_path, "old", ids, [1.0] * 20)
    finished(session, tmp_path, "new", ids[::-1], [0.0] * lost + [1.0] * (20 - lost))

    result = gate_on(session, "new")

    assert result.passed is passed
    assert f"0 better, {lost} worse" in result.words
    assert "without a margin this says only whether a drop is shown" in result.words


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("margin", [{}, {"margin": 0.05}])
def test_baseline_gate_never_passes_a_contestant_that_lost_all_its_rows(
    session: Session, tmp_path: Path, rows: int, margin: dict[str, float]
) -> None:
    """However few they are."""
    finished(session, tmp_path, "old", list(range(rows)), [1.0] * rows)
    finished(session, tmp_path, "new", list(range(rows)), [0.0] * rows)

    assert not gate_on(session, "new", **margin).passed


@pytest.mark.parametrize("margin", [{}, {"margin": 0.05}])
def test_baseline_gate_counts_lost_answers_as_failures(
    session: Session, tmp_path: Path, margin: dict[str, float]
) -> None:
    """The answers that are left are as good as before, and 15 of 40 did not come."""
    finished(session, tmp_path, "old", list(range(40)), [1.0] * 40)
    finished(session, tmp_path, "new", list(range(40)), [1.0] * 25 + [None] * 15)

    found = gate_on(session, "new", **margin)

    assert not found.passed
    assert "15 rows without a score in one of them are left out" in found.words


@pytest.mark.parametrize(
    ("lost", "outcome"), [(1, "pass"), (8, "undecided"), (60, "fail")], ids=["few", "some", "many"]
)
def test_baseline_gate_with_a_margin_passes_fails_or_is_undecided(
    session: Session, tmp_path: Path, lost: int, outcome: str
) -> None:
    """Of 200 rows: within five points, beyond them, or not enough rows to tell; a suite may let that pass."""
    finished(session, tmp_path, "old", list(range(200)), [1.0] * 200)
    finished(session, tmp_path, "new", list(range(200)), [0.0] * lost + [1.0] * (200 - lost))

    found = gate_on(session, "new", margin=0.05)
    allowed = gate_on(session, "new", margin=0.05, undecided="pass")

    assert (found.outcome, found.passed) == (outcome, outcome == "pass")
    assert allowed.passed == (outcome != "fail")
    assert ("the suite lets that pass" in allowed.words) == (outcome == "undecided")
    assert "5 points worse" in found.words or "points worse (" in found.words


def test_matched_rows_do_not_move_when_rows_are_shuffled_dropped_doubled_or_edited(
    session: Session, tmp_path: Path
) -> None:
    """What both have stays matched with itself; the rest is counted on its side."""
    ids = list(range(60))
    scores = {n: float(n % 3 > 0) for n in ids}
    finished(session, tmp_path, "old", ids, [1.0 - scores[n] if n % 7 == 0 else scores[n] for n in ids])
    finished(session, tmp_path, "new", ids, [scores[n] for n in ids])
    (plain,) = compare_runs(session, "old", "new").lines
    mixed = [*random.Random(5).sample(ids, 60), 3, 8, 3, 100, 101]

    finished(session, tmp_path, "mixed", mixed, [scores.get(n, 0.0) for n in mixed])
    found = compare_runs(session, "old", "mixed")
    finished(session, tmp_path, "fewer", mixed[10:60], [scores[n] for n in mixed[10:60]])
    fewer = compare_runs(session, "old", "fewer")

    assert found.lines[0].difference == plain.difference
    assert (found.rows, found.rows_only_a, found.rows_only_b) == (60, 0, 2)
    assert (found.doubles_a, found.doubles_b) == (0, 3)
    assert (fewer.rows, fewer.rows_only_a, fewer.rows_only_b, fewer.doubles_b) == (50, 10, 0, 0)


def test_copies_are_told_from_names_that_look_like_them() -> None:
    """A number behind # counts the copies of a row only where the row itself is there."""
    keys = ["a", "a#2", "a#3", "issue#1", "issue#2", "b#2", "c", "c#4"]

    assert list(shared_names(dict(enumerate(keys))).values()) == [
        "a",
        "a",
        "a",
        "issue#1",
        "issue#2",
        "b#2",
        "c",
        "c#4",
    ]


def test_lines_of_a_comparison_are_one_family(session: Session, tmp_path: Path) -> None:
    """A margin given wins over the run's; a claim is one of the few words."""
    finished(session, tmp_path, "old", list(range(80)), [0.0] * 40 + [1.0] * 40)
    finished(session, tmp_path, "new", list(range(80)), [1.0] * 80)

    found = compare_runs(session, "old", "new", margin=0.02)

    assert (found.margin, found.lines[0].claim, found.lines[0].finding) == (0.02, "best", "better")
    with pytest.raises(SettingsError):
        compare_runs(session, "old", "new", margin=2)


def test_baseline_gate_refuses_other_graders_and_strangers(session: Session, tmp_path: Path) -> None:
    """Scores that cannot be compared do not pass."""
    finished(session, tmp_path, "old", [1], [1])
    finished(session, tmp_path, "graded", [1], [1], grader="equals")
    finished(session, tmp_path, "strange", [1], [1], contestant=Contestant("sandbox/scribe"))
    gate = Gate.model_validate({"not_worse_than": {"run": "old"}})
    old = {"old": find_run(session, "old")}

    (graded,), (strange,) = (check_gates(session, name, [gate], old) for name in ("graded", "strange"))

    assert (graded.passed, strange.passed) == (False, False)
    assert "graders differ" in graded.words
    assert "no contestant in common" in strange.words


def test_cells_that_were_never_sent_count_as_failed(session: Session, tmp_path: Path) -> None:
    """A contestant that was stopped half way does not pass for want of failures."""
    finished(session, tmp_path, "half", [1, 2, 3], [1])
    gate = Gate.model_validate({"failed": {"max": 0}})

    (result,) = check_gates(session, "half", [gate], {})

    assert (result.passed, result.measured) == (False, 2)


def test_run_is_found_by_name_or_id(session: Session, tmp_path: Path) -> None:
    """The newest of a name; in one state where asked; else words."""
    finished(session, tmp_path, "first-run", [1], [1])

    assert find_run(session, "first-run", state="done").id == "first-run"
    with pytest.raises(NotFound, match="no run 'none'"):
        find_run(session, "none")
