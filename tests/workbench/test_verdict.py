"""The decision in words: who is best, what lies beside it, and what is cheapest without losing by more than noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_calls import paid

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec, Score
from assay.store import runs as stored
from assay.store import saving
from assay.workbench.datasets import kept
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session

ROWS = 40
Verdict = Callable[..., tuple[list[str], str]]


@pytest.fixture
def decided(session: Session, tmp_path: Path) -> Verdict:
    """The ranking and the verdict of a run whose contestants passed so many rows at so many pico-dollars a cell, and
    answered so many, all by default."""

    def of(rows: int = ROWS, **contestants: tuple[int, ...]) -> tuple[list[str], str]:
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
        session.store.writer.call(lambda c: saving.save_results(c, records))
        return [line.label for line in standing.scoreboard(session, run_id)], standing.verdict(session, run_id)

    return of


def test_of_equal_scores_the_cheapest_stands_first(decided: Verdict) -> None:
    """It is the decision: the same quality for less."""
    order, said = decided(dear=(38, 900), cheap=(38, 20), middle=(38, 500))

    assert order == ["cheap", "middle", "dear"]
    assert said.startswith("cheap scores best: 0.95")
    assert "middle scores the same at 25 times the cost" in said
    assert "cheapest" not in said


def test_the_cheapest_within_noise_is_named_beside_the_second(decided: Verdict) -> None:
    """Third by score, a fiftieth of the cost, one row behind: nobody should have to find it in the table."""
    _, said = decided(dear=(39, 1000), middle=(38, 900), cheap=(37, 20), bad=(10, 1))

    assert "middle is 2 points behind at about the same cost" in said
    assert said.endswith(
        "The cheapest within noise is cheap: 5 points behind at 1/50 of the cost (on 40 rows, p = 0.50)."
    )
    assert "bad" not in said


def test_a_real_loss_or_a_small_saving_is_no_recommendation(decided: Verdict) -> None:
    """What is worse for sure is not named for its price, nor what costs about as much."""
    _, worse = decided(dear=(39, 1000), middle=(38, 900), bad=(10, 1))
    _, alike = decided(dear=(39, 1000), middle=(38, 900), third=(37, 890))

    assert "cheapest" not in worse
    assert "cheapest" not in alike


def test_a_second_that_really_loses_does_not_hide_what_saves_money(decided: Verdict) -> None:
    """Only contestants that are no worse set the price to beat."""
    _, said = decided(dear=(40, 1000), middle=(30, 10), odd=(0, 5))

    assert "middle is 25 points behind at 1/100 of the cost; the gap is real" in said
    assert "cheapest" not in said


def test_few_rows_recommend_nobody(decided: Verdict) -> None:
    """On three rows no gap is significant, not even between all right and all wrong."""
    _, said = decided(rows=3, dear=(3, 1000), middle=(2, 900), wrong=(0, 1))

    assert "cheapest" not in said


def test_a_wide_gap_is_not_recommended_though_it_may_be_noise(decided: Verdict) -> None:
    """Of 22 rows five lost, two won: p is above 0.05, and nobody would take that for as good."""
    _, said = decided(rows=22, dear=(22, 1000), middle=(21, 900), loose=(18, 10))

    assert "cheapest" not in said


def test_failures_are_no_savings(decided: Verdict) -> None:
    """Who answered a twentieth of the rows is neither the cheapest of equals nor a twentieth of the price."""
    order, said = decided(half=(2, 100, 2), full=(40, 100))

    assert order == ["full", "half"]
    assert "half scores the same at about the same cost" in said

    _, said = decided(full=(40, 100), second=(39, 100), lost=(4, 100, 5))
    assert "cheapest" not in said


def test_free_contestants_are_not_called_cheaper_than_each_other(decided: Verdict) -> None:
    """Where the best, or one as good, is free, there is nothing to save."""
    _, all_free = decided(a=(40, 0), b=(39, 0), c=(38, 0))
    _, second_free = decided(a=(40, 100), b=(39, 0), c=(38, 0))
    _, third_free = decided(a=(40, 100), b=(39, 100), c=(38, 0))

    assert "cheapest" not in all_free
    assert "b is 2 points behind and free" in second_free
    assert "cheapest" not in second_free
    assert third_free.endswith("The cheapest within noise is c: 5 points behind and free (on 40 rows, p = 0.50).")


def test_who_is_ahead_on_common_rows_is_not_called_behind(decided: Verdict) -> None:
    """The best answered six rows and missed one of them; the others, right on all six, missed later ones."""
    _, said = decided(picky=(5, 100, 6), sound=(30, 100))

    assert said.startswith("picky scores best: 0.83")
    assert "sound is 17 points ahead on common rows" in said


def test_nobody_is_best_where_no_answer_is_right(decided: Verdict) -> None:
    """All at 0 is no win for the cheapest: it says so and where to look."""
    _, said = decided(dear=(0, 900), cheap=(0, 20), middle=(0, 500))
    _, alone = decided(cheap=(0, 20))

    assert said.startswith(f"All 3 score 0.00, on {ROWS} rows: no answer is right.")
    assert "scores best" not in said
    assert alone.startswith("cheap scores 0.00")
