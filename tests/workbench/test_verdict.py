"""The decision in words: who is best, what lies beside it, and what is cheapest without losing by more than noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec, Score
from assay.store import runs as stored
from assay.workbench import datasets, runs, standing
from assay.workbench.runs import RunDraft
from assay.workbench.runtime import Runtime

ROWS = 40
Verdict = Callable[..., tuple[list[str], str]]


@pytest.fixture
def decided(rt: Runtime, tmp_path: Path) -> Verdict:
    """The ranking and the verdict of a run whose contestants passed so many rows at so many pico-dollars a cell."""

    def of(**contestants: tuple[int, int]) -> tuple[list[str], str]:
        table = tmp_path / "rows.csv"
        table.write_text("question,answer\n" + "".join(f"What is {n}?,{n}\n" for n in range(ROWS)))
        dataset = datasets.open_dataset(rt, str(table))
        names = tuple(Contestant(f"a/{name}") for name in contestants)
        draft = RunDraft(dataset.id, (Prompt("{{question}}"),), names, (GraderSpec("contains", {"expected": "x"}),))
        run_id = rt.store.writer.call(lambda c: stored.create_run(c, runs.plan_of(rt, draft), name="decided"))
        records = [
            stored.ResultRecord(
                run_id=run_id, cell=row * len(names) + place, row=row, prompt=0, contestant=place, sample=0,
                status="ok", output="x", cost_pico=cost,
                scores=(Score("contains", float(row < passed), row < passed, ""),),
            )
            for place, (passed, cost) in enumerate(contestants.values())
            for row in range(ROWS)
        ]  # fmt: skip
        rt.store.writer.call(lambda c: stored.save_results(c, records))
        return [line.label for line in standing.scoreboard(rt, run_id)], standing.verdict(rt, run_id)

    return of


def test_of_equal_scores_the_cheapest_stands_first(decided: Verdict) -> None:
    """It is the decision: the same quality for less."""
    order, said = decided(dear=(38, 900), cheap=(38, 20), middle=(38, 500))

    assert order == ["cheap", "middle", "dear"]
    assert said.startswith("cheap scores best: 0.95")
    assert "middle scores the same at 25.0 times the cost" in said
    assert "cheapest" not in said


def test_the_cheapest_within_noise_is_named_beside_the_second(decided: Verdict) -> None:
    """Third by score, a fiftieth of the cost, one row behind: nobody should have to find it in the table."""
    _, said = decided(dear=(39, 1000), middle=(38, 900), cheap=(37, 20), bad=(10, 1))

    assert "middle is 2 points behind at about the same cost" in said
    assert said.endswith("The cheapest within noise is cheap: 5 points behind at 1/50 of the cost (p = 0.50).")
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
