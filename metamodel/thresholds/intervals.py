"""Intervals of what a pre-screen lets through.

Shapes in this file: b = bootstrap draws.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.bootstrap import CONFIDENCE, Interval, percentile_levels
from metamodel.types import FloatArray

_SIDES: Final = 2


def draws_interval(value: float, draws: FloatArray, *, n_prompts: int) -> Interval:
    """Return the 95 % interval of a statistic from its bootstrap draws, stretched for few prompts.

    As `metamodel.bootstrap`: deviations are stretched by sqrt(n / (n - 1)), the levels come from Student's t. With a
    single prompt the spread is unknown and the interval is the value.

    Args:
        value: The statistic on all prompts.
        draws: The statistic in each draw, [b]; what is undefined in a draw is NaN and left out.
        n_prompts: Prompts that were drawn from.
    """
    known = draws[np.isfinite(draws)]
    if n_prompts < _SIDES or not len(known):
        return Interval(low=value, value=value, high=value)
    center = known.mean()
    stretched = center + np.sqrt(n_prompts / (n_prompts - 1)) * (known - center)
    low, high = np.quantile(stretched, percentile_levels(n_prompts - 1))
    return Interval(low=min(float(low), value), value=value, high=max(float(high), value))


def rate_interval(failures: float, n_prompts: int) -> Interval | None:
    """Return a failure rate with its 95 % interval, or None without a prompt.

    Source: Clopper and Pearson (1934), quantiles of beta distributions. A prompt whose samples fail in part counts in
    part; the mean of several samples varies less than one, so the interval then errs to the wide side.

    >>> interval = rate_interval(0.0, 59)
    >>> round(interval.high, 3)
    0.061
    """
    if n_prompts == 0:
        return None
    from scipy.special import betaincinv

    tail = (1 - CONFIDENCE) / _SIDES
    succeeded = n_prompts - failures
    low = float(betaincinv(failures, succeeded + 1, tail)) if failures > 0 else 0.0
    high = float(betaincinv(failures + 1, succeeded, 1 - tail)) if succeeded > 0 else 1.0
    return Interval(low=low, value=failures / n_prompts, high=high)
