"""Several samples of a row: does it pass once, always, sometimes; and how much of the spread is the sampling's.

Source: Chen et al. 2021, arXiv 2107.03374 (pass@k, unbiased); Yao et al. 2024, arXiv 2406.12045 (pass^k); one-way
random effects for the split (Searle, Casella & McCulloch 1992), as in Wang 2025, arXiv 2512.21326.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

RowKind = Literal["passes", "flaky", "broken"]


def pass_at(k: int, *, passed: int, samples: int) -> float:
    """The chance that at least one of k samples passes, of a row of which `passed` of `samples` did.

    Raises ValueError unless 1 <= k <= samples and 0 <= passed <= samples.
    """
    _check(k, passed, samples)
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)


def pass_all(k: int, *, passed: int, samples: int) -> float:
    """The chance that all of k samples pass (pass^k). Raises as `pass_at`."""
    _check(k, passed, samples)
    return math.comb(passed, k) / math.comb(samples, k)


def _check(k: int, passed: int, samples: int) -> None:
    if not 1 <= k <= samples or not 0 <= passed <= samples:
        raise ValueError(f"{passed!r} of {samples!r} samples passed: no chance for {k!r} of them can be told.")


def row_kind(*, passed: int, samples: int) -> RowKind:
    """Whether a row passes always, sometimes or never."""
    if passed == samples:
        return "passes"
    return "flaky" if passed else "broken"


@dataclass(frozen=True, slots=True)
class Spread:
    """The variance of one answer's score, split."""

    rows: float
    """Between rows: some are harder."""
    sampling: float
    """Within a row: the same question, asked again."""
    row_count: int

    @property
    def sampling_share(self) -> float:
        """The part of the sampling, 0 to 1; no variance: 0."""
        whole = self.rows + self.sampling
        return self.sampling / whole if whole else 0.0

    def error(self, *, rows: int, samples: int) -> float:
        """The standard error of a mean over so many rows with so many samples of each.

        For the same number of answers more rows are always at least as good as more samples; samples are what is left
        where there are no more rows.
        """
        return math.sqrt((self.rows + self.sampling / samples) / rows)


def split_variance(scores: Sequence[Sequence[float]]) -> Spread | None:
    """The split of scores, a sequence of samples per row; None with fewer than two rows or no row of two samples."""
    rows = [row for row in scores if row]
    answers = sum(map(len, rows))
    if len(rows) < 2 or answers == len(rows):
        return None
    means = [fmean(row) for row in rows]
    whole = math.fsum(map(math.fsum, rows)) / answers
    within = math.fsum((x - mean) ** 2 for row, mean in zip(rows, means, strict=True) for x in row)
    between = math.fsum(len(row) * (mean - whole) ** 2 for row, mean in zip(rows, means, strict=True))
    sampling = within / (answers - len(rows))
    usual = (answers - sum(len(row) ** 2 for row in rows) / answers) / (len(rows) - 1)
    return Spread(max(0.0, (between / (len(rows) - 1) - sampling) / usual), sampling, len(rows))
