"""Intervals of information: a bootstrap over prompts of what each prompt contributes.

A plain bootstrap would not do: a draw with repeated prompts holds fewer distinct ones, and the information among fewer
prompts is less (by about 0.8 bits where outputs give their prompts away). So the statistic is linearized: draws are
means of influence values (the infinitesimal jackknife of Jaeckel 1972; Efron and Tibshirani, *An Introduction to the
Bootstrap* (1993), chapter 21), in which a prompt counts both as a source of outputs and as a part of p(y). Stretch and
levels for few prompts are those of `metamodel.bootstrap`.

Shapes: n = prompts, s = statistics, b = draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metamodel.bootstrap import Interval, bootstrap_means, percentile_levels
from metamodel.output_information.estimator import Influenced
from metamodel.types import FloatArray


def bootstrap_draws(statistics: Sequence[Influenced], *, n_draws: int, seed: int) -> FloatArray:
    """Return each statistic in every draw, all on the same prompts, [b, s]."""
    influence = np.stack([one.influence for one in statistics], axis=1)  # [n, s]
    stretch = np.sqrt(len(influence) / (len(influence) - 1))
    deviations = stretch * bootstrap_means(influence, n_draws=n_draws, seed=seed)
    draws: FloatArray = deviations + np.array([one.bits for one in statistics])
    return draws


def interval_of(
    statistics: Sequence[Influenced],
    *,
    n_draws: int,
    seed: int,
    combine: Callable[[FloatArray], FloatArray] = lambda draws: draws[..., 0],
) -> Interval | None:
    """Return a figure made of statistics with its 95 % interval; None where it is not finite.

    Args:
        statistics: What it is made of.
        n_draws: Draws of the bootstrap.
        seed: Fixes the draws.
        combine: From statistics, [., s], to the figure, [.]; without it the first statistic.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(combine(np.array([one.bits for one in statistics])))
        draws = combine(bootstrap_draws(statistics, n_draws=n_draws, seed=seed))
    if not np.isfinite(value) or not np.isfinite(draws).all():
        return None
    low, high = np.quantile(draws, percentile_levels(len(statistics[0].influence) - 1))
    return Interval(low=min(float(low), value), value=value, high=max(float(high), value))
