"""The libraries that our methods are held against, each loaded where a test asks for it: that takes seconds."""

from __future__ import annotations

from typing import Any


def tango(*args: Any, **kwargs: Any) -> tuple[float, float]:
    """The ends of evalstats' interval of a difference of rates."""
    from evalstats.core.resampling import tango_scc_paired_ci

    return tango_scc_paired_ci(*args, **kwargs)


def wilson(passed: int, n: int, alpha: float) -> list[Any]:
    """The ends of statsmodels' interval of a rate, and of evalstats'."""
    from evalstats.core.resampling import wilson_ci
    from statsmodels.stats.proportion import proportion_confint

    return [proportion_confint(passed, n, alpha, "wilson"), wilson_ci(passed, n, alpha)]


def mcnemar(table: list[list[int]], **kwargs: Any) -> float:
    """The p of statsmodels' test."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    return float(test(table, **kwargs).pvalue)


def mcnemar_mid_p(first: Any, second: Any) -> float:
    """The mid-p of evalstats' test."""
    from evalstats.tests import _mcnemar_midp_p

    return float(_mcnemar_midp_p(first, second))


def sign_flip(differences: Any, **kwargs: Any) -> float:
    """The p of evalstats' sign flips."""
    from evalstats.tests import _paired_signflip_pvalue

    return float(_paired_signflip_pvalue(differences, **kwargs))


def adjusted(chances: list[float], method: str) -> Any:
    """The p values that statsmodels adjusts."""
    from statsmodels.stats.multitest import multipletests

    return multipletests(chances, method=method)[1]
