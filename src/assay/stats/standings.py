"""Each contestant of a decision: its mean with its intervals, the ranks that are possible, what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.stats.arrays import Floats
from assay.stats.best_of import confidence_of_best
from assay.stats.means import mean, mean_in_clusters
from assay.stats.pairs import by_cluster, seen_scores
from assay.stats.ranking import Ranked
from assay.stats.ranks import rank_ranges
from assay.stats.rates import rate, rate_in_clusters
from assay.stats.sequences import mean_so_far
from assay.stats.table import Codes, own_scores
from assay.stats.values import ContestantRows, Estimate, Standing


def standings(
    ranked: Ranked,
    contestants: Sequence[ContestantRows],
    beaten: Sequence[tuple[str, str]],
    confidence: float,
    *,
    anytime: bool,
    decided: bool,
) -> tuple[Standing, ...]:
    """The compared ones, best first, then the left out. beaten: (winner, loser) of what is real; decided: whether the
    comparison says anything, so that there are ranks."""
    ranks = rank_ranges(ranked.keys, beaten)
    n = ranked.n
    plain = estimates(ranked.scores, ranked.codes, confidence, anytime=anytime) if n else []
    of_best = confidence_of_best(len(ranked.keys), confidence=confidence)
    winners = estimates(ranked.scores, ranked.codes, of_best, anytime=anytime) if n else []
    lines = [
        Standing(
            key=c.key,
            label=c.label,
            score=plain[at] if n else None,
            best_of=winners[at] if n else None,
            rank_low=ranks[c.key].low if decided else None,
            rank_high=ranks[c.key].high if decided else None,
            attempted=len(c.scores),
            missing=list(c.scores.values()).count(None),
            left_out=False,
            cost_per_row=c.cost_per_row,
        )
        for at, c in enumerate(ranked.contestants)
    ]
    return (*lines, *(_left_out(c, confidence, anytime=anytime) for c in contestants if c.key not in ranks))


def _left_out(contestant: ContestantRows, confidence: float, *, anytime: bool) -> Standing:
    own = own_scores(contestant)
    scored = own[~np.isnan(own)]
    found = estimates(scored[None, :], None, confidence, anytime=anytime) if scored.size else []
    return Standing(
        key=contestant.key,
        label=contestant.label,
        score=found[0] if found else None,
        best_of=None,
        rank_low=None,
        rank_high=None,
        attempted=own.size,
        missing=own.size - scored.size,
        left_out=True,
        cost_per_row=contestant.cost_per_row,
    )


def estimates(scores: Floats, codes: Codes | None, confidence: float, *, anytime: bool = False) -> list[Estimate]:
    """The mean of each line with its interval; one row at least."""
    if anytime:
        return mean_so_far(seen_scores(scores, codes), scores.shape[1], confidence=confidence)
    return [found for line in scores if (found := _estimate(line, codes, confidence)) is not None]


def _estimate(line: Floats, codes: Codes | None, confidence: float) -> Estimate | None:
    binary = bool(((line == 0) | (line == 1)).all())
    if codes is None:
        return rate(int(line.sum()), line.size, confidence=confidence) if binary else mean(line, confidence=confidence)
    sums, sizes = by_cluster(line[None, :], codes)
    in_clusters = rate_in_clusters if binary else mean_in_clusters
    return in_clusters(sums[0], sizes, confidence=confidence)
