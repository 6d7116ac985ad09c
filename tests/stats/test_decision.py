"""The decision on a family of comparisons: rows in common, missing answers, cheaper ones, early looks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest

from assay.stats.decision import PairRows, compare, decide
from assay.stats.values import Claim, ContestantRows, Look

Scores = Mapping[int, float | None]


def rows(passed: int, n: int, *, first: int = 0) -> dict[int, float | None]:
    """Scores of n rows, of which so many pass, from a row on."""
    return {row: float((row - first) % n < passed) for row in range(n)}


def graded(n: int, mean: float, seed: int) -> dict[int, float | None]:
    """Scores that spread around a mean."""
    drawn = np.random.default_rng(seed).beta(20 * mean, 20 * (1 - mean), n)
    return dict(enumerate(drawn.tolist()))


def named(label: str, scores: Scores, cost: float | None = None) -> ContestantRows:
    """A contestant whose key is its label."""
    return ContestantRows(label, label, scores, cost)


def test_one_that_beats_every_other_is_best() -> None:
    """It alone leads, it ranks first for certain, and every p value is adjusted for all pairs."""
    found = decide(
        [named("bard", rows(120, 200)), named("atlas", rows(182, 200)), named("cedar", rows(115, 200, first=60))]
    )

    assert found.claim == "best"
    assert found.leaders == ("atlas",)
    assert [(line.label, line.rank_low, line.rank_high) for line in found.standings] == [
        ("atlas", 1, 1),
        ("bard", 2, 3),
        ("cedar", 2, 3),
    ]
    assert (found.family.size, found.family.words) == (3, "all 3 pairs of 3 contestants")
    first = found.difference("atlas", "cedar")
    assert first is not None
    assert first.p_adjusted >= first.p
    assert found.difference("cedar", "atlas") == first.swapped()


def test_leaders_that_noise_may_part_lead_together() -> None:
    """No winner is named; the rows that would tell cost what both contestants cost for those that are missing."""
    found = decide([named("atlas", rows(182, 200), 18.0), named("swift", rows(176, 200, first=20), 1.0)])

    assert found.claim == "lead_together"
    assert found.leaders == ("atlas", "swift")
    assert found.rows_needed is not None
    assert found.rows_needed.rows == found.rows_needed.more + 200
    assert found.rows_needed.cost == found.rows_needed.more * 19.0


def test_contestant_with_one_scored_row_of_two_hundred_leaves_first() -> None:
    """It scored its one row; it is left out, and does not empty the rows that the others have in common."""
    lonely: Scores = {row: 1.0 if row == 0 else None for row in range(200)}
    found = decide([named("lonely", lonely), named("atlas", rows(182, 200)), named("bard", rows(120, 200))])

    assert found.leaders == ("atlas",)
    assert found.n == 200
    last = found.standings[-1]
    assert (last.label, last.left_out, last.coverage, last.rank_low) == ("lonely", True, 0.005, None)
    assert last.score is not None
    assert last.score.n == 1


def test_difference_that_missing_answers_might_make_is_not_real() -> None:
    """Nine rows that one did not answer and the other passed: with these as failures it does not lead."""
    one = {**rows(180, 200), **dict.fromkeys(range(9))}
    other: Scores = {row: 0.0 if 9 <= row < 22 else score for row, score in rows(180, 200).items()}
    found = decide([named("atlas", one), named("swift", other)])

    first = found.difference("atlas", "swift")
    assert first is not None
    assert first.p_adjusted < 0.05 <= first.p_if_failed
    assert not first.real
    assert found.claim == "lead_together"
    assert (found.sensitivity.missing, found.sensitivity.missing_of_leader) == (9, 9)


def test_rows_that_were_not_asked_yet_are_not_missing() -> None:
    """Two contestants at different paces are compared on what both were asked, and lose no coverage."""
    found = decide(
        [named("atlas", rows(60, 80)), named("swift", {row: 0.0 for row in range(40)})], look="early", rows_planned=200
    )

    assert found.n == 40
    assert [line.coverage for line in found.standings] == [1.0, 1.0]
    assert found.claim == "best"
    assert "every look" in found.test


def test_look_at_a_run_that_is_worked_is_wider() -> None:
    """The same scores say less while rows still come, and after a run has grown."""
    lines = [named("atlas", rows(150, 200)), named("swift", rows(120, 200, first=10))]
    widths = {}
    for look in get_args(Look):
        first = decide(lines, look=look).differences[0]
        widths[look] = first.high - first.low

    assert widths["planned"] * 1.5 < widths["early"] == widths["grown"]


def test_all_zero_is_no_decision() -> None:
    """Nobody is best where no row passes."""
    found = decide([named("atlas", rows(0, 50)), named("swift", rows(0, 50))])

    assert found.all_zero
    assert found.claim == "nothing"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows_decide_nothing(n: int) -> None:
    """Of no row, one or two."""
    found = decide([named("atlas", rows(n, n or 1) if n else {}), named("swift", rows(0, n) if n else {})])

    assert found.claim == "nothing"
    assert found.differences == ()


def test_nobody_and_one_alone_decide_nothing() -> None:
    """There is no comparison; the one has its score."""
    assert decide([]).claim == "nothing"
    alone = decide([named("atlas", rows(40, 50))])
    assert alone.claim == "nothing"
    assert alone.standings[0].score is not None
    assert alone.family.size == 0


def test_contestants_without_a_common_row_show_their_own_means() -> None:
    """Nothing is decided, and the scoreboard is not empty."""
    found = decide([named("atlas", {0: 1.0, 1: 1.0}), named("swift", {2: 1.0, 3: 0.0})])

    assert found.claim == "nothing"
    assert [line.score.value for line in found.standings if line.score] == [1.0, 0.5]


def test_graded_scores_that_hardly_differ_are_open() -> None:
    """Below ten rows that differ there are not enough to tell; the interval has its width all the same."""
    found = decide(
        [
            named("atlas", dict.fromkeys(range(40), 0.9)),
            named("swift", {row: 0.6 if row < 9 else 0.9 for row in range(40)}),
        ]
    )

    assert found.claim == "open"
    assert not found.differences[0].enough
    assert found.differences[0].high - found.differences[0].low > 0.1


def test_cheap_contestant_within_the_margin_is_not_worse() -> None:
    """The lower end of the interval lies above the margin; with a stricter margin it is open, with what it takes."""
    dear, cheap = named("atlas", rows(1_820, 2_000), 18.0), named("swift", rows(1_800, 2_000), 1.0)

    (candidate,) = decide([dear, cheap]).candidates
    assert candidate.check.side == "not_worse"
    assert candidate.check.low > -0.05
    assert candidate.cost_share == pytest.approx(1 / 18)
    (strict,) = decide([dear, cheap], margin=0.012).candidates
    assert strict.check.side == "open"
    assert strict.check.rows_needed is not None
    assert strict.check.rows_needed.cost == strict.check.rows_needed.more * 19.0


def test_cheap_contestant_that_looks_worse_than_the_margin_needs_no_rows() -> None:
    """No number of rows would show what does not seem so."""
    (candidate,) = decide([named("atlas", rows(182, 200), 18.0), named("swift", rows(166, 200), 1.0)]).candidates

    assert candidate.check.side == "open"
    assert candidate.check.rows_needed is None


def test_cheap_contestant_that_leads_by_noise_is_set_beside_the_dear_one() -> None:
    """Where the cheap one scores highest and is not best, its claim is against the dear leader."""
    found = decide([named("atlas", rows(449, 500), 18.0), named("swift", rows(450, 500), 1.0)])

    assert found.claim == "lead_together"
    assert [(c.key, c.leader, c.check.side) for c in found.candidates] == [("swift", "atlas", "not_worse")]


def test_cheap_contestant_is_not_good_enough_by_skipping() -> None:
    """What it did not answer counts as failed before it is called not worse."""
    skips = {**rows(1_820, 2_000), **dict.fromkeys(range(98))}
    (candidate,) = decide([named("atlas", rows(1_820, 2_000), 18.0), named("swift", skips, 1.0)]).candidates

    assert candidate.check.low > -0.05
    assert not candidate.check.holds_if_failed
    assert candidate.check.side == "open"


def test_unknown_costs_name_no_candidate() -> None:
    """Whose cost is unknown is not cheap, and beside one of unknown cost nobody is."""
    dear, cheap = rows(182, 200), rows(180, 200)

    assert decide([named("atlas", dear, 18.0), named("swift", cheap)]).candidates == ()
    assert decide([named("atlas", dear), named("swift", cheap, 1.0)]).candidates == ()


def test_rows_of_a_cluster_say_less_than_rows_alone() -> None:
    """Ten rows of one customer are no ten customers; fewer than ten customers are few."""
    lines = [named("atlas", graded(200, 0.8, 1)), named("swift", graded(200, 0.6, 2))]
    grouped = decide(lines, clusters={row: row // 40 for row in range(200)}, cluster_name="customer")

    assert (grouped.unit, grouped.clusters, grouped.few_clusters) == ("cluster", 5, True)
    alone, together = decide(lines).differences[0], grouped.differences[0]
    assert together.high - together.low > alone.high - alone.low
    assert (together.detectable or 0) > (alone.detectable or 1)
    some = decide(lines, clusters={row: row // 40 for row in range(100)})
    assert some.clusters == 3 + 100


def test_pair_without_a_common_row_is_not_compared() -> None:
    """Compare says None for a pair that shares no scored row, and judges the others as one family."""
    new, old = named("new", rows(80, 100)), named("old", rows(80, 100))

    found = compare(
        [PairRows(new, named("other", {-1: 1.0})), PairRows(new, old), PairRows(named("x", rows(5, 90)), old)],
        margin=0.02,
    )

    assert found[0] is None
    assert found[1] is not None
    assert found[2] is not None
    assert (found[1].check.side, found[1].claim) == ("open", "open")
    assert found[2].check.side == "worse"
    assert found[2].difference.p_adjusted == pytest.approx(2 * found[2].difference.p)
    assert {each.claim for each in found if each} <= set(get_args(Claim))


def test_gate_is_passed_failed_or_undecided_by_the_interval() -> None:
    """A loss of all of five rows fails no gate silently: it is worse; equal runs pass once there are rows enough."""
    lost = compare([PairRows(named("new", rows(0, 5)), named("old", rows(5, 5)))])[0]
    same = compare([PairRows(named("new", rows(190, 200)), named("old", rows(190, 200)))])[0]

    assert lost is not None
    assert lost.check.side == "worse"
    assert same is not None
    assert same.check.side == "not_worse"


def test_comparison_of_a_run_with_gaps_names_nobody_best() -> None:
    """Below 95 % coverage the difference may be real, and still nobody is best."""
    gaps = {**rows(200, 200), **dict.fromkeys(range(20))}
    found = compare([PairRows(named("new", gaps), named("old", rows(100, 200)))])[0]

    assert found is not None
    assert found.difference.real
    assert (found.missing, found.covered) == ((20, 0), False)
    assert found.claim == "not_worse"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 10])
def test_all_of_few_rows_lost_has_an_interval_that_agrees_with_its_test(n: int) -> None:
    """Found: an interval of (1, 1) beside p = 0.5 for two of two rows."""
    found = compare([PairRows(named("new", rows(n, n)), named("old", rows(0, n)))])[0]

    assert found is not None
    assert found.difference.value == 1
    assert found.difference.low < 1
    assert (found.difference.p < 0.05) == (found.difference.low > 0)


@pytest.mark.parametrize("scores", [[1.0] * 30, [1.0] * 29 + [0.9], [0.7] * 5, [0.5, 0.5], [0.0], [0.9] * 99])
def test_equal_scores_have_an_interval_with_a_width(scores: list[float]) -> None:
    """Found: 0.7 to 0.7 for five equal scores."""
    line = decide([named("atlas", dict(enumerate(scores)))]).standings[0]

    assert line.score is not None
    assert line.score.high - line.score.low > 0.02
    assert line.score.low - 1e-12 <= line.score.value <= line.score.high + 1e-12


@pytest.mark.parametrize(("k", "n"), [(36, 10_000), (8, 100_000)])
def test_large_families_are_decided_at_once(k: int, n: int) -> None:
    """CPU seconds of this thread: a quarter on a quiet machine; the bound only tells it from a loop over rows."""
    scores = (np.random.default_rng(k).random((k, n)) < 0.8).astype(float).tolist()
    lines = [named(str(at), dict(enumerate(line)), float(at + 1)) for at, line in enumerate(scores)]
    decide(lines[:2])

    started = time.thread_time()
    assert decide(lines).n == n
    assert time.thread_time() - started < 3


def test_start_of_the_program_loads_no_scipy() -> None:
    """No module of the command line, or of what works a run, imports SciPy or NumPy: they are loaded where a verdict
    is computed."""
    code = """
import importlib, pkgutil, sys
import assay.cli, assay.runs, assay.store, assay.workbench
for package in (assay.cli, assay.runs, assay.store, assay.workbench):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
print([name for name in ("scipy", "numpy") if name in sys.modules])
"""

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
