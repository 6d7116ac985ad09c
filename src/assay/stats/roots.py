"""Where a falling function crosses 0, for many at once: the end of an interval that inverts a test.

Source: false position with the Illinois rule (Dowell & Jarratt 1971); about ten steps where halving takes fifty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.stats.arrays import Floats

_STEPS, _NEAR = 60, 1e-14
"""Steps at most, and how near to the crossing they come."""


def crossing(function: Callable[[Floats], Floats], outside: Floats, inside: Floats) -> Floats:
    """The place between outside, where the function is above 0 or there is no place, and inside, where it is not.

    What is returned lies on the inside, as near as floats are.
    """
    above, below = np.maximum(function(outside), 0.0), function(inside)
    below = np.where(below < 0, below, -1.0)  # a function that is 0 at its inner end falls between the two
    last = np.zeros_like(inside)
    for _ in range(_STEPS):
        width = inside - outside
        if not (width > _NEAR).any():
            break
        step = np.clip(above / (above - below) * width, _NEAR / 4, np.maximum(width - _NEAR / 4, 0.0))
        middle = outside + step
        found = function(middle)
        out = found > 0
        above = np.where(out, found, np.where(last < 0, above / 2, above))
        below = np.where(out, np.where(last > 0, below / 2, below), found)
        last = np.where(out, 1.0, -1.0)
        outside, inside = np.where(out, middle, outside), np.where(out, inside, middle)
    return inside
