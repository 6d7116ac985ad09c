"""What is said of a decision, word for word: one sentence per case, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assay.stats.decision import decide
from assay.stats.sentences import candidate_sentence, check_words, p_words, verdict_lines
from assay.stats.values import (
    Candidate,
    Comparison,
    ContestantRows,
    Decision,
    Difference,
    Estimate,
    MarginCheck,
    RowsNeeded,
    Sensitivity,
    Side,
)


def money(dollars: float) -> str:
    """Dollars with cents."""
    return f"${dollars:.2f}"


def passed(count: int, n: int = 200) -> dict[int, float | None]:
    """Scores of n rows, of which the first so many pass."""
    return {row: float(row < count) for row in range(n)}


def family(*scores: dict[int, float | None], **given: object) -> Decision:
    """A decision on contestants called atlas, swift, bard, ... in this order."""
    names = ("atlas", "swift", "bard", "cedar", "dune", "elm", "fir")
    lines = [ContestantRows(name, name, line, 1.0) for name, line in zip(names, scores, strict=False)]
    return decide(lines, **given)  # type: ignore[arg-type]


def told(found: Decision, *, value: float, low: float, high: float, p: float = 0.2, **given: object) -> Decision:
    """A decision whose first difference has these numbers."""
    first = replace(
        found.differences[0], value=value, low=low, high=high, family_low=low, family_high=high, p=p, p_adjusted=p
    )
    return replace(found, differences=(first, *found.differences[1:]), **given)  # type: ignore[arg-type]


def scored(found: Decision, *means: float) -> Decision:
    """A decision whose contestants have these means."""
    lines = [
        replace(
            line,
            score=Estimate(mean, mean - 0.07, mean + 0.04, found.n, ""),
            best_of=Estimate(mean, mean - 0.07, mean + 0.04, found.n, ""),
        )
        for line, mean in zip(found.standings, means, strict=True)
    ]
    return replace(found, standings=tuple(lines))


LEADERS = scored(family(passed(182), passed(181)), 0.91, 0.88)
CLEAR = scored(family(passed(182), passed(120)), 0.91, 0.6)


def test_one_clear_winner() -> None:
    """The winner with its own interval, of the best of so many."""
    assert verdict_lines(CLEAR, money) == [
        "atlas is best: 0.91 (0.84 to 0.95), ahead of every other by more than noise on 200 rows."
    ]


def test_leaders_not_separated() -> None:
    """Both with their scores, the difference, and the rows that would tell with their price."""
    found = told(LEADERS, value=0.03, low=-0.02, high=0.08, rows_needed=RowsNeeded(1_146, 946, 0.5))

    assert verdict_lines(found, money) == [
        "atlas and swift lead together: 0.91 and 0.88 on 200 rows; the difference, 3 points (-2 to 8), is not shown to "
        "be real. About 1,150 rows would tell (about $0.50)."
    ]
    unpriced = replace(found, rows_needed=RowsNeeded(243, 43, None))
    assert verdict_lines(unpriced, money)[0].endswith("is not shown to be real. About 243 rows would tell.")
    assert verdict_lines(replace(found, rows_needed=None), money)[0].endswith("is not shown to be real.")


def test_several_leaders() -> None:
    """Three by name; of many the first four and a number."""
    three = scored(family(passed(182), passed(181), passed(180)), 0.91, 0.9, 0.89)
    assert verdict_lines(replace(three, rows_needed=None), money)[0] == (
        "atlas, swift and bard lead together: 0.91, 0.90 and 0.89 on 200 rows; no difference between them is shown to "
        "be real."
    )
    many = scored(family(*(passed(182 - at) for at in range(6))), *(0.91 - at / 100 for at in range(6)))
    assert verdict_lines(replace(many, rows_needed=RowsNeeded(5_000, 4_800, 9.0)), money)[0] == (
        "atlas, swift, bard, cedar and 2 others lead together: 0.91 to 0.86 on 200 rows; no difference between them is "
        "shown to be real. About 5,000 rows would tell the first two apart (about $9.00)."
    )


def with_candidate(
    side: Side, *, value: float, low: float, high: float, share: float, needed: RowsNeeded | None = None
) -> str:
    """What is said of swift beside atlas."""
    beside = replace(CLEAR.differences[0].swapped(), value=value)
    check = MarginCheck(0.05, side, low, high, 0.2, True, needed)
    return candidate_sentence(CLEAR, Candidate("swift", "atlas", beside, check, share, True), money)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            with_candidate("not_worse", value=-0.02, low=-0.048, high=0.0, share=1 / 18.2),
            "swift is at most 5 points worse (0 to 4.8, margin 5) at 1/18 of the cost.",
        ),
        (
            with_candidate(
                "open", value=-0.02, low=-0.07, high=0.03, share=1 / 18, needed=RowsNeeded(1_741, 1_541, 0.3)
            ),
            "swift costs 1/18; whether it is more than 5 points worse is open: 2 points (-3 to 7). "
            "About 1,750 rows would tell ($0.30).",
        ),
        (
            with_candidate("open", value=-0.11, low=-0.18, high=-0.04, share=0.4),
            "swift costs 40 % as much; whether it is more than 5 points worse is open: 11 points (4 to 18).",
        ),
        (
            with_candidate("worse", value=-0.11, low=-0.15, high=-0.07, share=1 / 19),
            "swift is 11 points worse (7 to 15) at 1/19 of the cost.",
        ),
        (
            with_candidate("not_worse", value=0.0, low=-0.04996, high=0.031, share=0.4),
            "swift is at most 5 points worse (-3 to 4.996, margin 5) at 40 % of the cost.",
        ),
        (
            with_candidate("worse", value=-0.01, low=-0.15, high=-0.052, share=0.0),
            "swift is 1 point worse (5.2 to 15) at no cost.",
        ),
    ],
)
def test_cheaper_contestant(said: str, sentence: str) -> None:
    """Good enough, open, or worse; a ratio is said as it is, and an end is never rounded onto the margin."""
    assert said == sentence


def test_comparison_by_its_margin() -> None:
    """For a gate: good enough, worse, or open with the rows that would tell."""
    beside = replace(CLEAR.differences[0].swapped(), value=-0.02)
    score = Estimate(0.5, 0.4, 0.6, 200, "")

    def said(side: Side, low: float, high: float, needed: RowsNeeded | None = None) -> str:
        check = MarginCheck(0.05, side, low, high, 0.2, True, needed)
        return check_words(Comparison(beside, score, score, check, (0, 0), True), money)

    assert said("not_worse", -0.048, 0.0) == "at most 5 points worse (0 to 4.8, margin 5) on 200 rows"
    assert said("worse", -0.15, -0.07) == "2 points worse (7 to 15) on 200 rows"
    assert said("open", -0.07, 0.03, RowsNeeded(1_741, 1_541, 0.3)) == (
        "whether it is more than 5 points worse is open: 2 points (-3 to 7) on 200 rows. About 1,750 rows would tell "
        "($0.30)."
    )


def test_all_zero() -> None:
    """Nobody passed: the grader is asked about, not the contestants."""
    assert verdict_lines(family(passed(0), passed(0)), money) == ["No contestant passed a row: is the grader right?"]


def test_one_below_the_coverage_is_left_out() -> None:
    """It stands apart, with the share that it answered, rounded down."""
    few = {**passed(182), **{row: None for row in range(36)}}
    found = family(passed(182), passed(120), few)

    assert verdict_lines(found, money)[1:] == ["bard answered 82 % of its rows and is left out of the comparison."]


def test_nothing_to_decide() -> None:
    """What is missing is said."""
    say = lambda *scores: verdict_lines(family(*scores), money)[0]  # noqa: E731

    assert say() == "Nothing can be decided: no row has a score."
    assert say({0: None}, {0: None}) == "Nothing can be decided: no row has a score."
    assert say({0: 1.0}, {1: 1.0}) == "Nothing can be decided: no row has a score of every contestant."
    assert say(passed(1, 1), passed(0, 1)) == (
        "Nothing can be decided on 1 row: at least 3 with a score of every contestant are needed."
    )
    assert say(passed(2, 2), passed(0, 2)) == (
        "Nothing can be decided on 2 rows: at least 3 with a score of every contestant are needed."
    )
    assert say(passed(182)) == (
        "atlas scores 0.91 (0.86 to 0.94) on 200 rows. Nothing can be decided: there is no other contestant to compare "
        "it with."
    )
    half = {row: 1.0 if row % 2 else None for row in range(20)}
    assert say(half, half) == "Nothing can be decided: no contestant has a score on 95 % of its rows."


def test_missing_answers_that_matter() -> None:
    """Who would lead if they had failed; and a lead that only holds without them."""
    missing = Sensitivity(12, 12, "swift", True)
    assert verdict_lines(replace(LEADERS, rows_needed=None, sensitivity=missing), money)[0].endswith(
        "is not shown to be real. If its 12 missing answers had failed, swift would lead."
    )
    short = replace(LEADERS, standings=(replace(LEADERS.standings[0], missing=18), LEADERS.standings[1]), n=182)
    assert verdict_lines(told(short, value=0.05, low=0.01, high=0.09, p=0.01), money)[0] == (
        "atlas leads on the 182 rows that both answered; counting its 18 missing answers as failures it does not."
    )
    none = replace(short, standings=(replace(LEADERS.standings[0], missing=0), LEADERS.standings[1]))
    assert verdict_lines(told(none, value=0.05, low=0.01, high=0.09, p=0.01), money)[0].endswith(
        "counting the missing answers as failures it does not."
    )


def test_early_look() -> None:
    """How many rows of how many, and that it is valid at every look."""
    found = replace(CLEAR, look="early", rows_planned=500)

    assert verdict_lines(found, money)[0] == (
        "So far (200 of 500 rows): atlas is best: 0.91 (0.84 to 0.95), ahead of every other by more than noise on 200 "
        "rows; valid at every look."
    )


def test_rows_in_clusters() -> None:
    """The unit is named with its count; few are called few."""
    groups = {row: row // 20 for row in range(200)}
    said = verdict_lines(family(passed(182), passed(80), clusters=groups, cluster_name="customer"), money)[0]
    assert said.endswith("on 200 rows in 10 customers.")
    few = {row: row // 25 for row in range(200)}
    said = verdict_lines(family(passed(182), passed(80), clusters=few, cluster_name="company"), money)[0]
    assert said.endswith("on 200 rows in only 8 companies.")


def test_graded_scores_that_hardly_differ() -> None:
    """How many rows differ, and that they are not enough."""
    found = family(dict.fromkeys(range(40), 0.9), {row: 0.6 if row < 4 else 0.9 for row in range(40)})

    assert verdict_lines(found, money) == ["atlas and swift differ on 4 rows: not enough rows to tell them apart."]


@pytest.mark.parametrize(
    ("p", "comparisons", "said"),
    [
        (0.031, 3, "p = 0.03 after adjustment for 3 comparisons"),
        (0.0496, 1, "p = 0.0496"),
        (0.0501, 1, "p = 0.0501"),
        (0.0042, 1, "p = 0.004"),
        (0.00001, 28, "p < 0.001 after adjustment for 28 comparisons"),
        (1.0, 1, "p = 1.00"),
        (0.0, 1, "p < 0.001"),
    ],
)
def test_p_is_never_zero_and_never_mistaken_for_the_bound(p: float, comparisons: int, said: str) -> None:
    """Two decimals, more where it takes them."""
    difference: Difference = replace(CLEAR.differences[0], p_adjusted=p)

    assert p_words(difference, comparisons) == said


def test_every_decision_is_said() -> None:
    """Whatever the scores: at least one line, each a whole sentence, and no number that is none."""
    rng = np.random.default_rng(11)
    for _ in range(150):
        n, k = int(rng.integers(0, 40)), int(rng.integers(0, 6))
        lines = []
        for at in range(k):
            scores = rng.choice([0.0, 0.5, 1.0, np.nan], n, p=[0.3, 0.2, 0.49, 0.01])
            by_row = {row: None if np.isnan(score) else float(score) for row, score in enumerate(scores)}
            lines.append(ContestantRows(str(at), f"m{at}", by_row, float(at) if rng.random() < 0.8 else None))
        look = rng.choice(["planned", "early", "grown"])
        said = verdict_lines(decide(lines, look=look, margin=float(rng.choice([0.05, 0.1, 0.025]))), money)
        assert said
        assert all(line[-1] in ".?" and "nan" not in line and "inf" not in line for line in said)
