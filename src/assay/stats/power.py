"""How many rows would tell, and how small a difference so many rows show: 80 % power, two-sided 5 %.

`spread2` is the mean square of the rows' differences: of rates the discordance, the share of rows on which the two
differ. `wider`: how many times as wide as a fixed-sample interval the one that decides is. Source: Miettinen 1968 and
Connor 1987 for paired rates; the same normal argument holds for graded scores.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

POWER = NormalDist().inv_cdf(0.8)


def rows_to_show(difference: float, spread2: float, *, alpha: float = 0.05, wider: float = 1.0) -> int | None:
    """Rows that show a true difference, in all; of none: None. d = 0.08 at a discordance of 0.2: 243."""
    size = abs(difference)
    if size == 0:
        return None
    spread2 = max(spread2, size * size)
    reach = _reach(alpha, wider) * math.sqrt(spread2) + POWER * math.sqrt(spread2 - size * size)
    return math.ceil(reach * reach / (size * size))


def rows_not_worse(
    behind: float, spread2: float, margin: float, *, alpha: float = 0.05, wider: float = 1.0
) -> int | None:
    """Rows that show that one `behind` by so much is not worse by more than the margin; not so: None."""
    room = margin - behind
    if room <= 0:
        return None
    return max(1, math.ceil((_reach(alpha, wider) + POWER) ** 2 * spread2 / (room * room)))


def detectable(n: int, spread2: float, *, alpha: float = 0.05, wider: float = 1.0) -> float | None:
    """The smallest true difference that n rows show; no rows, or none that differ: None."""
    if n == 0 or spread2 <= 0:
        return None
    z = _reach(alpha, wider)
    linear = z * math.sqrt(n * spread2)
    inside = linear * linear - (n + POWER**2) * (z * z - POWER**2) * spread2
    return min(1.0, (linear + math.sqrt(max(inside, 0.0))) / (n + POWER**2))


@cache
def _reach(alpha: float, wider: float) -> float:
    return wider * NormalDist().inv_cdf(1 - alpha / 2)
