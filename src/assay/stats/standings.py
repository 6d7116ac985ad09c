"""Each contestant of a decision: its mean with its intervals, the ranks that are possible, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.stats.arrays import Floats
from assay.stats.best_of import confidence_of_best
from assay.stats.means import mean, mean_in_clusters
from assay.stats.pairs import by_cluster, seen_scores
from assay.stats.ranking import Ranked
from assay.stats.ranks import rank_ranges
from assay.stats.rates import rate, rate_in_clusters
from assay.stats.sequences import mean_so_far
from assay.stats.table import Clusters, Codes, table_of
from assay.stats.values import ContestantRows, Estimate, Standing


def standings(
    ranked: Ranked,
    contestants: Sequence[ContestantRows],
    clusters: Clusters | None,
    beaten: Sequence[tuple[str, str]],
    confidence: float,
    *,
    anytime: bool,
    decided: bool,
) -> tuple[Standing, ...]:
    """The compared ones, best first, then the left out.

    beaten: (winner, loser) of what is real. decided: whether the comparison says anything, so that there are ranks.
    Without a common row everybody's mean is that of its own rows.
    """
    ranks = rank_ranges(ranked.keys, beaten)
    of_best = confidence_of_best(len(ranked.keys), confidence=confidence)
    if ranked.n:
        plain = estimates(ranked.scores, ranked.codes, confidence, anytime=anytime)
        winners = estimates(ranked.scores, ranked.codes, of_best, anytime=anytime)
        lines = [
            replace(_line(c, mean), best_of=winner)
            for c, mean, winner in zip(ranked.contestants, plain, winners, strict=True)
        ]
    else:
        lines = [_own(c, clusters, confidence, anytime=anytime, left_out=False) for c in ranked.contestants]
    if decided:
        lines = [replace(line, rank_low=ranks[line.key].low, rank_high=ranks[line.key].high) for line in lines]
    left_out = [c for c in contestants if c.key not in ranks]
    return (*lines, *(_own(c, clusters, confidence, anytime=anytime, left_out=True) for c in left_out))


def _own(
    contestant: ContestantRows, clusters: Clusters | None, confidence: float, *, anytime: bool, left_out: bool
) -> Standing:
    """A contestant on its own scored rows."""
    own = table_of([contestant], clusters)
    scored = own.common
    found = estimates(scored, own.common_codes, confidence, anytime=anytime) if scored.size else [None]
    return replace(_line(contestant, found[0]), left_out=left_out)


def _line(contestant: ContestantRows, score: Estimate | None) -> Standing:
    return Standing(
        key=contestant.key,
        label=contestant.label,
        score=score,
        best_of=None,
        rank_low=None,
        rank_high=None,
        attempted=len(contestant.scores),
        missing=list(contestant.scores.values()).count(None),
        left_out=False,
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
