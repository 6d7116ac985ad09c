"""What a decision says, as frozen values: pages, command line, gates and exports render them and compute nothing.

Estimate     a number with its interval
Standing     one contestant on the rows that all compared ones have a score for
Difference   two contestants on the same rows
MarginCheck  whether one is worse by more than a margin
Comparison   a difference and its check, one of several: Compare and gates
Candidate    a cheaper contestant beside the one that leads
Decision     the whole: verdict and scoreboard

Nothing heavy is imported here: a start of the program may read these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

CONFIDENCE = 0.95
MARGIN = 0.05
"""Points worse, as a share, that still count as good enough, where nobody says another margin."""

Claim = Literal["best", "lead_together", "not_worse", "open", "nothing"]
Side = Literal["not_worse", "worse", "open"]
"""Where a difference lies by a margin; a gate calls `open` undecided."""
Look = Literal["planned", "early", "grown"]
"""When a run is looked at: its planned rows are done; it is still worked; it has grown after a look."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the interval that holds the true one in 95 of 100 such experiments."""

    value: float
    low: float
    high: float
    n: int
    """Rows behind it."""
    method: str
    """Name of the method, with its source."""


@dataclass(frozen=True, slots=True)
class ContestantRows:
    """What is known of a contestant when it is compared."""

    key: str
    """Names it in the decision; unique."""
    label: str
    """Its name in sentences."""
    scores: Mapping[Any, float | None]
    """Row, by its number or key -> score in 0..1, averaged over samples; None: asked, and without a score by all
    graders. Rows that were not asked yet are absent."""
    cost_per_row: float | None = None
    """Of its own calls, in any unit of money; None: unknown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One contestant of a decision."""

    key: str
    label: str
    score: Estimate | None
    """Mean on the common rows; of one that is left out, and where there is no common row: on its own scored rows.
    None: no score."""
    best_of: Estimate | None
    """The same mean with the interval that holds for all compared contestants together: the winner's own, "of the best
    of k". None: not compared."""
    rank_low: int | None
    """Best rank that is possible, from 1; None: left out."""
    rank_high: int | None
    attempted: int
    """Rows that were asked."""
    missing: int
    """Of these, rows without a score."""
    left_out: bool
    """Its coverage is too low to be compared."""
    cost_per_row: float | None

    @property
    def coverage(self) -> float:
        """Share of the asked rows that have a score; nothing asked: 0."""
        return (self.attempted - self.missing) / self.attempted if self.attempted else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of `first` minus mean of `second`, on the rows that both have."""

    first: str
    """Key of a contestant."""
    second: str
    value: float
    low: float
    """Of the two-sided 95 % interval that the test inverts: p < 0.05 exactly where it leaves 0 out."""
    high: float
    family_low: float
    """Of the interval at the level of the adjusted test: p_adjusted < 0.05 exactly where it leaves 0 out."""
    family_high: float
    p: float
    p_adjusted: float
    p_if_failed: float
    """The adjusted p when every missing answer counts as a failure."""
    real: bool
    """Shown after adjustment, and also when every missing answer counts as a failure."""
    n: int
    """Common rows."""
    better: int
    """Rows on which the first scores higher."""
    worse: int
    ties: int
    mean_square: float
    """Mean square of the rows' differences: of rates the discordance, the share of rows on which the two differ."""
    enough: bool
    """Whether enough rows differ for the test to mean something."""
    method: str
    detectable: float | None
    """The smallest true difference that so many rows show in 80 of 100 runs."""

    def swapped(self) -> Difference:
        """The same, seen from the second."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            value=-self.value,
            low=-self.high,
            high=-self.low,
            family_low=-self.family_high,
            family_high=-self.family_low,
            better=self.worse,
            worse=self.better,
        )


@dataclass(frozen=True, slots=True)
class RowsNeeded:
    """How many rows would probably (80 %) decide what is open."""

    rows: int
    """In all."""
    more: int
    """Beyond those there are."""
    cost: float | None
    """Of those beyond, by the contestants that are compared; None: a cost is unknown."""


@dataclass(frozen=True, slots=True)
class MarginCheck:
    """Whether the first of a difference is worse than the second by more than a margin."""

    margin: float
    side: Side
    """not_worse: the lower end of the interval lies above -margin. worse: the upper end lies below it. Else open."""
    low: float
    """Of the difference's interval at the level of the claim, adjusted (Holm) for how many are checked together."""
    high: float
    p_adjusted: float
    """Of the claim `not_worse`, two-sided: below 0.05 exactly where `low` lies above -margin."""
    holds_if_failed: bool
    """Whether the interval lies above -margin also when every missing answer counts as a failure; else it is open."""
    rows_needed: RowsNeeded | None
    """To show it not worse; None where that is decided, or where it looks worse than the margin."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of several comparisons, each on rows of its own: a line of Compare, or a gate."""

    difference: Difference
    """The first, which is judged, minus the second, which is the baseline."""
    first: Estimate
    """Mean of the first on the common rows."""
    second: Estimate
    check: MarginCheck
    missing: tuple[int, int]
    """Rows that both were asked, and for which the first, and the second, has no score."""
    covered: bool
    """Both have a score on 95 % of the rows that both were asked."""

    @property
    def claim(self) -> Claim:
        """best where the first is shown to be better, both covered; not_worse where that is shown; else open."""
        if self.difference.real and self.difference.value > 0 and self.covered:
            return "best"
        return "not_worse" if self.check.side == "not_worse" else "open"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contestant that costs less than one that leads."""

    key: str
    leader: str
    """Key of the one that it is compared with: the first leader of whom there is a cheaper one."""
    difference: Difference
    """The candidate minus the leader."""
    check: MarginCheck
    cost_share: float
    """Its cost as a share of the leader's."""
    frontier: bool
    """No compared contestant costs at most as much and scores higher, or less and as high."""


@dataclass(frozen=True, slots=True)
class Family:
    """The comparisons that were made together."""

    size: int
    words: str
    """Which ones."""
    adjustment: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Who would lead if every missing answer had been a failure."""

    missing: int
    """Missing answers of those that are compared."""
    missing_of_leader: int
    leader: str | None
    """Key of the one that would lead; None: nobody."""
    changes: bool
    """Whether that is another one than leads."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a family of comparisons says."""

    claim: Claim
    """best: one beats every other. lead_together: several are not beaten by anybody. open: too few rows differ to tell.
    nothing: there is nothing to decide. not_worse: of a `Comparison` only."""
    unit: Literal["row", "cluster"]
    n: int
    """Rows that all compared contestants have scored."""
    clusters: int | None
    """Groups of these that belong together; None: every row stands alone."""
    cluster_name: str
    few_clusters: bool
    """Fewer than 10: intervals are rough."""
    method: str
    """Of the contestants' intervals."""
    test: str
    """Of the differences and their intervals, which agree always."""
    family: Family
    margin: float
    confidence: float
    standings: tuple[Standing, ...]
    """Best score first; the left out last."""
    differences: tuple[Difference, ...]
    """Every pair, the better ranked first."""
    leaders: tuple[str, ...]
    """Keys of those that nobody is shown to beat, best score first."""
    candidates: tuple[Candidate, ...]
    """Cheaper ones than the first leader of whom there are such, cheapest first."""
    rows_needed: RowsNeeded | None
    """To tell the first two leaders apart; None: told, or no number of rows is likely to."""
    sensitivity: Sensitivity
    all_zero: bool
    """No contestant has a score above 0."""
    look: Look
    rows_planned: int | None

    def standing(self, key: str) -> Standing:
        """The contestant of a key. Raises KeyError."""
        for line in self.standings:
            if line.key == key:
                return line
        raise KeyError(key)

    def difference(self, first: str, second: str) -> Difference | None:
        """The difference of two contestants, the first minus the second; None: one of them was left out."""
        for found in self.differences:
            if (found.first, found.second) == (first, second):
                return found
            if (found.first, found.second) == (second, first):
                return found.swapped()
        return None
