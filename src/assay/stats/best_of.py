"""The winner of several is flattered: its interval must hold for all that might have won.

Source: Bonferroni's simultaneous intervals (Dunn 1961): whichever of k wins, its interval misses in at most 5 %.
"""

from __future__ import annotations

from assay.stats.values import CONFIDENCE


def confidence_of_best(candidates: int, *, confidence: float = CONFIDENCE) -> float:
    """The confidence that each of so many intervals must have; one: the plain one."""
    return 1 - (1 - confidence) / max(candidates, 1)
