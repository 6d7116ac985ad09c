"""The standing of a run: one decision, its words, and the scoreboard in its order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_calls import paid
from sqlalchemy import select, update

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec, Score
from assay.errors import SettingsError
from assay.store import runs as stored
from assay.store import saving
from assay.store.results import CellScore
from assay.store.tables import RUN_BOARD
from assay.workbench.datasets import kept
from assay.workbench.results import standing
from assay.workbench.results.board import counted, rows_by_place
from assay.workbench.results.standing import Standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session
from store_steps import save_results

ROWS = 40
Decided = Callable[..., Standing]


@pytest.fixture
def decided(session: Session, tmp_path: Path) -> Decided:
    """The standing of a run whose contestants passed so many rows at so many pico-dollars a cell, and answered so many,
    all by default."""

    def of(rows: int = ROWS, state: str = "done", **contestants: tuple[int, ...]) -> Standing:
        table = tmp_path / "rows.csv"
        table.write_text("question,answer\n" + "".join(f"What is {n}?,{n}\n" for n in range(rows)))
        dataset = kept.open_dataset(session, str(table))
        names = tuple(Contestant(f"a/{name}") for name in contestants)
        draft = RunDraft(dataset.id, (Prompt("{{question}}"),), names, (GraderSpec("contains", {"expected": "x"}),))
        run_id = session.store.writer.call(lambda c: stored.create_run(c, runs.plan_of(session, draft), name="decided"))
        records: list[saving.ResultRecord] = []
        costs: list[tuple[int, int]] = []
        for place, (passed, cost, *rest) in enumerate(contestants.values()):
            answered = rest[0] if rest else rows
            for row in range(rows):
                shared = {
                    "run_id": run_id,
                    "cell": row * len(names) + place,
                    "row": row,
                    "prompt": 0,
                    "contestant": place,
                    "sample": 0,
                }
                if row < answered:
                    score = Score("contains", float(row < passed), row < passed, "")
                    records.append(saving.ResultRecord(**shared, status="ok", scores=(score,)))
                    costs.append((int(shared["cell"]), cost))
                else:
                    records.append(saving.ResultRecord(**shared, status="failed", error="no"))
        session.store.writer.call(lambda c: [paid(c, run_id, cell, cost) for cell, cost in costs])
        session.store.writer.call(lambda c: save_results(c, records))
        session.store.writer.call(lambda c: stored.set_state(c, run_id, state))
        return standing.standing(session, run_id)

    return of


def order(found: Standing) -> list[str]:
    """Names in the order of the board."""
    return [line.label for line in found.board]


def test_who_beats_every_other_is_best(decided: Decided) -> None:
    """One sentence, with the interval that allows for how many there are."""
    found = decided(rows=60, atlas=(58, 900), swift=(30, 20), scribe=(20, 10))

    assert order(found) == ["atlas", "swift", "scribe"]
    assert found.decision.claim == "best"
    assert found.verdict.startswith("atlas is best: 0.97 (")
    assert "ahead of every other by more than noise on 60 rows." in found.verdict
    assert (found.board[0].rank_low, found.board[0].rank_high) == (1, 1)


def test_equals_lead_together_and_the_cheapest_stands_first(decided: Decided) -> None:
    """That no difference is shown is not called the same."""
    found = decided(dear=(38, 900), cheap=(38, 20), middle=(38, 500))

    assert order(found) == ["cheap", "middle", "dear"]
    assert found.decision.claim == "lead_together"
    assert found.verdict.startswith("cheap, middle and dear lead together: 0.95, 0.95 and 0.95 on 40 rows;")
    assert "cheapest" not in found.verdict
    assert "noise" not in found.verdict


def test_cheap_one_on_few_rows_is_open_and_never_recommended(decided: Decided) -> None:
    """One row behind of forty at a fiftieth of the cost: whether it is good enough is not known."""
    found = decided(dear=(39, 1000), cheap=(38, 20))

    assert "cheap costs 1/50; whether it is more than 5 points worse" in found.verdict
    assert "is open" in found.verdict


def test_cheap_one_is_good_enough_by_the_margin_of_the_run(session: Session, decided: Decided) -> None:
    """The margin is the run's, and another one says something else of the same answers."""
    found = decided(rows=400, dear=(396, 1000), cheap=(394, 20))
    assert "cheap is at most 5 points worse (" in found.verdict
    assert "at 1/50 of the cost" in found.verdict
    (run,) = runs.list_runs(session)

    standing.set_margin(session, run.id, 0.01)

    assert standing.standing(session, run.id).decision.margin == 0.01
    assert "more than 1 points worse" in standing.verdict(session, run.id)
    with pytest.raises(SettingsError, match="not between 0 and 1"):
        standing.set_margin(session, run.id, 1.5)


def test_who_skips_rows_is_left_out_and_wins_nothing(decided: Decided) -> None:
    """One scored row of forty is no best score; the others are compared on all of theirs."""
    found = decided(picky=(2, 100, 2), sound=(38, 100), weak=(10, 100))

    assert order(found) == ["sound", "weak", "picky"]
    assert found.decision.n == ROWS
    assert found.verdict.startswith("sound is best: 0.95")
    assert "picky answered 5 % of its rows and is left out of the comparison." in found.verdict
    assert [line.left_out for line in found.board] == [False, False, True]
    assert found.board[2].rank_low is None


def test_run_that_was_stopped_is_looked_at_early(decided: Decided) -> None:
    """A stopped run is looked at early: what was asked counts, and the words say how much that is."""
    found = decided(rows=100, state="stopped", a=(98, 1), b=(50, 1))

    assert found.decision.look == "early"
    assert found.verdict.startswith("So far (100 of 100 rows): a is best")
    assert "valid at every look" in found.verdict


def test_free_contestants_are_not_called_cheaper_than_each_other(decided: Decided) -> None:
    """Where the leader is free there is nothing to save."""
    assert decided(a=(40, 0), b=(39, 0), c=(38, 0)).decision.candidates == ()
    assert "costs nothing" in decided(a=(40, 100), b=(39, 0)).verdict


def test_nobody_is_best_where_no_answer_is_right(decided: Decided) -> None:
    """All at 0 is no win for the cheapest: the grader is asked about, with what it said first."""
    found = decided(dear=(0, 900), cheap=(0, 20), middle=(0, 500))

    assert found.verdict == "No contestant passed a row: is the grader right?"
    assert found.decision.claim == "nothing"


def test_few_rows_and_nobody_else_decide_nothing(decided: Decided) -> None:
    """What is missing is said."""
    assert decided(rows=2, a=(2, 1), b=(0, 1)).verdict == (
        "Nothing can be decided on 2 rows: at least 3 with a score of every contestant are needed."
    )
    assert "no other contestant" in decided(a=(38, 1)).verdict
    assert decided(a=(0, 1, 0), b=(0, 1, 0)).verdict.startswith("Nothing can be decided: no row has a score.")


def test_standing_of_an_ended_run_is_kept_until_something_changes(session: Session, decided: Decided) -> None:
    """Another process reads what this one counted, to the last digit; a cost that is learnt later counts anew."""
    found = decided(rows=60, atlas=(58, 900), swift=(30, 20))
    (run,) = runs.list_runs(session)
    with session.store.read() as connection:
        before = connection.execute(select(RUN_BOARD)).one()

    session.memos.of(standing.STANDINGS).clear()
    assert standing.standing(session, run.id) == found
    session.store.writer.call(lambda c: paid(c, run.id, 0, 100_000))
    assert standing.standing(session, run.id).board[0].known_pico == found.board[0].known_pico + 100_000
    with session.store.read() as connection:
        assert connection.execute(select(RUN_BOARD)).one().state != before.state


def test_unreadable_kept_standing_is_counted_anew(session: Session, decided: Decided) -> None:
    """What another version left is no error."""
    found = decided(rows=60, atlas=(58, 900), swift=(30, 20))
    session.store.writer.call(lambda c: c.execute(update(RUN_BOARD).values(standing_json='{"board": 3}')))
    session.memos.of(standing.STANDINGS).clear()
    (run,) = runs.list_runs(session)

    assert standing.standing(session, run.id) == found


def cells(samples: list[list[float | None]]) -> list[CellScore]:
    """Cells of one line: a list of samples per row."""
    return [(0, 0, row, value, None, None) for row, values in enumerate(samples) for value in values]


def plan(rows: int, samples: int) -> RunPlan:
    """One contestant."""
    return RunPlan("d", rows, (Prompt("x"),), (Contestant("a/m"),), samples=samples)


def test_samples_are_averaged_within_the_row() -> None:
    """A row is the unit; where many samples lack a score, a row with a gap has none."""
    whole = [[1.0, 0.0]] * 39
    (few,) = rows_by_place(plan(40, 2), cells([*whole, [1.0, None]]), ended=True).values()
    (many,) = rows_by_place(plan(40, 2), cells([*[[1.0, None]] * 39, [1.0, 0.0]]), ended=True).values()

    assert few.scores == {**dict.fromkeys(range(39), 0.5), 39: 1.0}
    assert many.scores == {**dict.fromkeys(range(39)), 39: 0.5}


def test_row_that_was_not_asked_is_missing_in_an_ended_run_only() -> None:
    """A contestant that was given up does not pass for one that answered all it was asked."""
    (ended,) = rows_by_place(plan(3, 1), cells([[1.0]]), ended=True).values()
    (at_work,) = rows_by_place(plan(3, 1), cells([[1.0]]), ended=False).values()

    assert ended.scores == {0: 1.0, 1: None, 2: None}
    assert at_work.scores == {0: 1.0}


def test_hundred_lines_of_a_thousand_rows_are_decided_in_a_second_of_the_processor() -> None:
    """10 prompts x 10 contestants x 1,000 rows: 4,950 comparisons."""
    many = RunPlan("d", 1_000, tuple(Prompt(f"{n}") for n in range(10)), tuple(Contestant(f"a/{n}") for n in range(10)))
    rng = random.Random(1)
    scores: list[CellScore] = []
    for number in range(many.cell_count):
        cell, passed = many.cell(number), rng.random() < 0.6
        scores.append((cell.prompt, cell.contestant, cell.row, float(passed), passed, 2.0))
    counted(plan(3, 1), rows_by_place(plan(3, 1), [], ended=True), {}, {})  # imports NumPy and SciPy

    started = time.thread_time()
    found = counted(many, rows_by_place(many, scores, ended=True), {}, {})

    assert len(found.board) == 100
    assert time.thread_time() - started < 3
