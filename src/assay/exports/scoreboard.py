"""A line of the scoreboard, and the columns in which pages, command line and files show it.

A new number is counted in `workbench/results/board.py`; its field and its column stand here, and everybody shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from assay.money import format_usd, from_pico
from assay.stats.values import Difference, Estimate

Number: TypeAlias = int | float | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class ContestantScore:
    """One line of the scoreboard: a contestant with one prompt version."""

    prompt: int
    contestant: int
    label: str
    """No two lines share one."""
    key: str
    """The contestant's key."""
    colour: str
    score: Estimate | None
    """Mean over the rows that all compared contestants have a score for, each row the mean of its samples; of one that
    is left out, over its own. None: nothing was scored."""
    passes: Estimate | None
    """Share of its own scored rows that pass."""
    cells: int
    """Cells of the grid."""
    answered: int
    scored: int
    failed: int
    cost_pico: int | None
    """Cost of its own calls, every attempt; None when any is unknown. What judges cost stands apart."""
    known_pico: int
    unknown_cells: int
    """Cells with a call of unknown cost."""
    correct: int
    p50_ms: float | None
    p95_ms: float | None
    prompt_tokens: int
    completion_tokens: int
    unknown_calls: int = 0
    unknown_bound_pico: int = 0
    """The most that they cost, where a bound is known."""
    judging_pico: int = 0
    """Known costs of its judges' calls."""
    judging_unknown: int = 0
    judging_bound_pico: int = 0
    cut: int = 0
    """Answers that ended at their `max_tokens`."""
    best_of: Estimate | None = None
    """The score with the interval that holds for all compared contestants together; None: not compared."""
    rank_low: int | None = None
    """Best rank that is possible, from 1; None: there are no ranks."""
    rank_high: int | None = None
    left_out: bool = False
    """Too few of its rows have a score for it to be compared."""
    to_leader: Difference | None = None
    """Its score minus that of the first leader, on the rows that both have; None: it is that one, or not compared."""
    cost_per_row: float | None = None
    """Pico-dollars of its own calls for a row that has a score; None: unknown."""

    @property
    def coverage(self) -> float:
        """Share of the grid's cells that have a score."""
        return self.scored / self.cells if self.cells else 0.0

    @property
    def cost_per_correct_pico(self) -> int | None:
        """Cost per passed cell; None when none passed or a cost is unknown."""
        return self.cost_pico // self.correct if self.cost_pico is not None and self.correct else None


class Column(NamedTuple):
    """One number of a line."""

    name: str
    """In JSON, tables and properties."""
    number: Callable[[ContestantScore], Number]
    """None: unknown, never 0."""
    title: str = ""
    """Heading for people; empty: it stands in files for machines only."""
    words: Callable[[ContestantScore], str] = lambda _: ""
    brief: bool = False
    """Whether it is shown where there is little room, too."""
    help: str = ""


def _usd(pico: float | None) -> Decimal | None:
    return None if pico is None else from_pico(round(pico))


def _seconds(ms: float | None) -> str:
    return "" if ms is None else f"{ms / 1000:.2f} s"


def rank_words(line: ContestantScore) -> str:
    """The ranks that are possible."""
    if line.left_out:
        return "left out"
    if line.rank_low is None or line.rank_high is None:
        return ""
    return f"{line.rank_low}" if line.rank_low == line.rank_high else f"{line.rank_low} to {line.rank_high}"


def interval_words(found: Estimate | None) -> str:
    """Both ends of an interval; none: empty."""
    return f"{found.low:.3f} to {found.high:.3f}" if found else ""


def points_words(found: Difference | None) -> str:
    """A difference in points with the interval that agrees with its adjusted test; none: empty."""
    if found is None:
        return ""
    value, low, high = (_signed(100 * end) for end in (found.value, found.family_low, found.family_high))
    return f"{value} ({low} to {high})"


def _signed(points: float) -> str:
    said = f"{points:+.1f}"
    return "0.0" if float(said) == 0 else said


def p_text(p: float | None) -> str:
    """A chance with three decimals; smaller ones are bounded."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def cost_words(line: ContestantScore) -> str:
    """The cost of a line; what is unknown is said, never counted as nothing."""
    if not line.unknown_calls:
        return format_usd(line.cost_pico)
    calls = "call" if line.unknown_calls == 1 else "calls"
    return f"{format_usd(line.known_pico)} and {line.unknown_calls:,} {calls} of unknown cost"


def judging_words(line: ContestantScore) -> str:
    """What the judges of a line's answers cost; empty where none was asked."""
    unknown = f" and {line.judging_unknown:,} of unknown cost" if line.judging_unknown else ""
    return format_usd(line.judging_pico) + unknown if line.judging_pico or unknown else ""


def _per(amount: float | None) -> str:
    return "" if amount is None else format_usd(round(amount))


def _thousand(line: ContestantScore) -> float | None:
    return None if line.cost_per_row is None else 1_000 * line.cost_per_row


COLUMNS: tuple[Column, ...] = (
    Column(
        "rank_low",
        lambda x: x.rank_low,
        "Rank",
        rank_words,
        brief=True,
        help="The ranks that are possible, by the differences that are shown to be real.",
    ),
    Column("rank_high", lambda x: x.rank_high),
    Column("left_out", lambda x: x.left_out),
    Column(
        "score",
        lambda x: x.score.value if x.score else None,
        "Score",
        lambda x: f"{x.score.value:.3f}" if x.score else "not scored",
        brief=True,
        help="Mean over the rows that all compared contestants have a score for.",
    ),
    Column(
        "low",
        lambda x: x.score.low if x.score else None,
        "95 % interval",
        lambda x: interval_words(x.score),
        brief=True,
        help="Where the score of all such rows would lie.",
    ),
    Column("high", lambda x: x.score.high if x.score else None),
    Column(
        "to_leader",
        lambda x: x.to_leader.value if x.to_leader else None,
        "To the leader, points",
        lambda x: points_words(x.to_leader),
        brief=True,
        help="Difference on the same rows; the interval is adjusted for how many are compared.",
    ),
    Column("to_leader_low", lambda x: x.to_leader.family_low if x.to_leader else None),
    Column("to_leader_high", lambda x: x.to_leader.family_high if x.to_leader else None),
    Column(
        "pass_rate",
        lambda x: x.passes.value if x.passes else None,
        "Passed",
        lambda x: f"{x.passes.value:.0%}" if x.passes else "",
        brief=True,
        help="Share of scored rows that pass.",
    ),
    Column(
        "coverage",
        lambda x: x.coverage,
        "Coverage",
        lambda x: f"{x.coverage:.0%}",
        brief=True,
        help="Share of the cells that have a score; errors are missing data.",
    ),
    Column("cells", lambda x: x.cells),
    Column("scored", lambda x: x.scored, "Scored", lambda x: f"{x.scored:,} of {x.cells:,}"),
    Column("failed", lambda x: x.failed, "Errors", lambda x: f"{x.failed:,}"),
    Column("correct", lambda x: x.correct),
    Column(
        "cut",
        lambda x: x.cut,
        "Cut",
        lambda x: f"{x.cut:,}",
        help="Answers that ended at max_tokens: they may be incomplete.",
    ),
    Column(
        "cost_usd",
        lambda x: _usd(x.cost_pico),
        "Cost",
        cost_words,
        brief=True,
        help="Of its own calls, every attempt; what judges cost stands apart.",
    ),
    Column("known_usd", lambda x: _usd(x.known_pico)),
    Column("unknown_calls", lambda x: x.unknown_calls),
    Column("unknown_at_most_usd", lambda x: _usd(x.unknown_bound_pico)),
    Column(
        "cost_per_1000_usd",
        lambda x: _usd(_thousand(x)),
        "Per 1,000 rows",
        lambda x: _per(_thousand(x)),
        help="Cost of its own calls for a thousand rows that have a score.",
    ),
    Column(
        "cost_per_correct_usd",
        lambda x: _usd(x.cost_per_correct_pico),
        "Per correct",
        lambda x: _per(x.cost_per_correct_pico),
        brief=True,
        help="Cost for each cell that passed.",
    ),
    Column(
        "judging_usd",
        lambda x: _usd(x.judging_pico),
        "Judging",
        judging_words,
        help="What the judges of its answers cost; in no other column.",
    ),
    Column("judging_unknown_calls", lambda x: x.judging_unknown),
    Column(
        "p50_ms",
        lambda x: x.p50_ms,
        "p50",
        lambda x: _seconds(x.p50_ms),
        brief=True,
        help="Half of the answers took at most this long.",
    ),
    Column(
        "p95_ms",
        lambda x: x.p95_ms,
        "p95",
        lambda x: _seconds(x.p95_ms),
        brief=True,
        help="19 of 20 answers took at most this long.",
    ),
    Column("prompt_tokens", lambda x: x.prompt_tokens, "Tokens in", lambda x: f"{x.prompt_tokens:,}"),
    Column("completion_tokens", lambda x: x.completion_tokens, "Tokens out", lambda x: f"{x.completion_tokens:,}"),
)
FOR_PEOPLE = tuple(column for column in COLUMNS if column.title)
BRIEF = tuple(column for column in FOR_PEOPLE if column.brief)


def numbers_of(line: ContestantScore) -> dict[str, Number]:
    """Every number of a line by its column's name."""
    return {column.name: column.number(line) for column in COLUMNS}
