"""Intervals and tests of bits, of ratios of bits and of their differences; NaN where something is undefined.

All arrays of one call broadcast against one another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metamodel.bootstrap import CONFIDENCE
from metamodel.types import FloatArray, IntArray


class Ends(NamedTuple):
    """Lower and upper ends of 95 % intervals."""

    low: FloatArray
    high: FloatArray


def t_quantile(degrees: FloatArray | IntArray) -> FloatArray:
    """Return how many standard errors a 95 % interval extends to each side.

    >>> t_quantile(np.array([10**6])).round(2).tolist()
    [1.96]
    """
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.asarray(degrees, dtype=np.float64), (1 + CONFIDENCE) / 2), dtype=np.float64)


def ends_around(value: FloatArray, variance: FloatArray, degrees: FloatArray, *, bias: FloatArray | float = 0) -> Ends:
    """Return intervals of values whose expectation is too low by `bias`; they contain the value itself.

    Args:
        value: Estimates.
        variance: Their variances.
        degrees: Degrees of freedom.
        bias: What to add to the middle of the interval.
    """
    reach = t_quantile(degrees) * np.sqrt(variance)
    return Ends(np.minimum(value + bias - reach, value), np.maximum(value + bias + reach, value))


def ratio_ends(
    top: FloatArray, bottom: FloatArray, variances: tuple[FloatArray, FloatArray, FloatArray], degrees: FloatArray
) -> Ends:
    """Return Fieller's 95 % interval of top / bottom; NaN where bottom is not above zero with that confidence.

    Formula: all r with (top - r bottom)^2 <= q^2 Var(top - r bottom), q the quantile of t. Source: Fieller, *Some
    Problems in Interval Estimation* (1954). Exact where numerator and denominator are normal, and one point where they
    are one and the same.

    Args:
        top: Numerators.
        bottom: Denominators.
        variances: Of the numerator, of the denominator, and their covariance.
        degrees: Degrees of freedom.

    >>> ends = ratio_ends(np.array(1.0), np.array(2.0), (np.array(0.0), np.array(0.0), np.array(0.0)), np.array(9))
    >>> float(ends.low), float(ends.high)
    (0.5, 0.5)
    """
    of_top, of_bottom, of_both = variances
    q2 = np.square(t_quantile(degrees))
    a = np.square(bottom) - q2 * of_bottom
    half_b = top * bottom - q2 * of_both
    c = np.square(top) - q2 * of_top
    is_bounded = (a > 0) & (bottom > 0)
    root = np.sqrt(np.maximum(np.square(half_b) - a * c, 0))
    safe = np.where(is_bounded, a, 1.0)
    low, high = (np.where(is_bounded, (half_b + sign * root) / safe, np.nan) for sign in (-1, 1))
    return Ends(low, high)


def p_above_zero(value: FloatArray, variance: FloatArray, degrees: FloatArray) -> FloatArray:
    """Return one-sided p of the hypothesis that the true value is at most 0; NaN stays, no spread gives 0 or 1.

    >>> p_above_zero(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([5, 5])).tolist()
    [0.5, 0.0]
    """
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((variance == 0) & (value == 0), -np.inf, value / np.sqrt(variance))
    p = np.asarray(stdtr(np.asarray(degrees, dtype=np.float64), -t), dtype=np.float64)
    return np.where(np.isnan(value) | np.isnan(variance), np.nan, np.where(np.isinf(t), (t < 0).astype(float), p))
