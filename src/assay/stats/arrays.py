"""Names of the arrays that the methods take, and the laws that they use; SciPy is loaded when one is first used."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int64]
"""Indices of lines."""


def normal_cdf(z: Floats) -> Floats:
    """The standard normal distribution."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=np.float64)


def normal_quantile(p: Floats) -> Floats:
    """Its inverse."""
    from scipy.special import ndtri

    return np.asarray(ndtri(p), dtype=np.float64)


def t_cdf(t: Floats, df: Floats) -> Floats:
    """Student's t distribution with df degrees of freedom."""
    from scipy.special import stdtr

    return np.asarray(stdtr(df, t), dtype=np.float64)


def t_quantile(p: Floats, df: Floats) -> Floats:
    """Its inverse."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(df, p), dtype=np.float64)
