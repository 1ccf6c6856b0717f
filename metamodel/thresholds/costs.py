"""What a threshold costs, and the threshold that costs least.

A prompt that is let through costs the primary model's price, and the price of a failure where it fails; one that is
stopped costs the fallback's price: another model's, a person's, a refusal's. A fallback whose failures are known costs
those too.

Shapes in this file: n = prompts, t = thresholds, b = bootstrap draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.bootstrap import Interval, bootstrap_means
from metamodel.thresholds.intervals import draws_interval
from metamodel.thresholds.risk_control import PassedCounts
from metamodel.types import FloatArray

STOP_ALL: Final = -1.0
_N_PARTS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a prompt costs, in any one unit.

    Attributes:
        primary: A call of the primary model.
        fallback: What is done instead where a prompt is stopped.
        failure: A failure that reaches the user; None where it has no price.
    """

    primary: float
    fallback: float = 0.0
    failure: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, value in (("primary", self.primary), ("fallback", self.fallback), ("failure", self.failure)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"price of {name} is {value}, must be a number from 0 up")


@dataclass(frozen=True, kw_only=True)
class Expense:
    """What a prompt costs on average, with 95 % intervals of a bootstrap over prompts.

    Attributes:
        unit: What is counted: `price` with failures, `calls` of the primary model, `seconds`.
        screened: With the pre-screen.
        always_primary: With every prompt let through.
        always_fallback: With every prompt stopped.
        saved: `always_primary` less `screened`, on the same prompts.
        saved_on_fallback: `always_fallback` less `screened`, on the same prompts.
    """

    unit: str
    screened: Interval
    always_primary: Interval
    always_fallback: Interval
    saved: Interval
    saved_on_fallback: Interval


def passed_costs(prices: Prices, losses: FloatArray) -> FloatArray:
    """Return what each prompt costs where it is let through, [n]."""
    return prices.primary + (prices.failure or 0.0) * losses


def stopped_costs(prices: Prices, fallback_losses: FloatArray) -> FloatArray:
    """Return what each prompt costs where it is stopped, [n]."""
    return prices.fallback + (prices.failure or 0.0) * fallback_losses


def cheapest_threshold(
    counts: PassedCounts, passed: FloatArray, stopped: FloatArray, *, allowed: NDArray[np.bool_] | None = None
) -> float:
    """Return the threshold with the smallest mean cost on these prompts; of equal ones the strictest.

    Args:
        counts: What each threshold lets through.
        passed: What each prompt costs where it is let through, [n].
        stopped: What it costs where it is stopped, [n].
        allowed: Which thresholds may be chosen, [t]; None allows all. Stopping everything is always allowed.

    >>> from metamodel.thresholds.risk_control import passed_counts
    >>> losses = np.array([0.0, 0.0, 1.0])
    >>> counts = passed_counts(np.array([0.1, 0.2, 0.9]), losses)
    >>> cheapest_threshold(counts, passed_costs(Prices(primary=1, failure=10), losses), np.full(3, 2.0))
    0.2
    """
    place = _cheapest(counts, passed - stopped, np.ones(len(passed)), allowed)
    return STOP_ALL if place < 0 else float(counts.thresholds[place])


def cross_fitted_costs(
    counts: PassedCounts,
    passed: FloatArray,
    stopped: FloatArray,
    *,
    allowed: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> FloatArray:
    """Return what each prompt costs under the threshold that is cheapest on nine tenths of the others, [n].

    On the prompts that chose it a threshold looks cheaper than it is; here no prompt judges a threshold that it chose.
    """
    n_prompts = len(passed)
    part = np.random.default_rng(seed).permutation(n_prompts) % min(_N_PARTS, n_prompts)
    costs = stopped.copy()
    for number in range(part.max() + 1):
        mine = part == number
        place = _cheapest(counts, passed - stopped, (~mine).astype(np.float64), allowed)
        is_passed = mine & (counts.group <= place)
        costs[is_passed] = passed[is_passed]
    return costs


def expense(
    unit: str,
    *,
    screened: FloatArray,
    primary: FloatArray,
    fallback: FloatArray,
    n_draws: int,
    seed: int,
) -> Expense:
    """Return mean costs with intervals; all arguments are costs of the same prompts, [n]."""
    values = np.column_stack([screened, primary, fallback, primary - screened, fallback - screened])
    draws = bootstrap_means(values, n_draws=n_draws, seed=seed)
    names = ("screened", "always_primary", "always_fallback", "saved", "saved_on_fallback")
    means = values.mean(axis=0)
    intervals = {
        name: draws_interval(float(means[place]), draws[:, place], n_prompts=len(values))
        for place, name in enumerate(names)
    }
    return Expense(unit=unit, **intervals)


def _cheapest(counts: PassedCounts, excess: FloatArray, weights: FloatArray, allowed: NDArray[np.bool_] | None) -> int:
    """Return the place of the cheapest threshold, or -1 where stopping everything is cheapest."""
    totals = np.bincount(counts.group, weights=excess * weights, minlength=len(counts.thresholds)).cumsum()
    if allowed is not None:
        totals = np.where(allowed, totals, np.inf)
    place = int(totals.argmin())
    return place if totals[place] < 0 else -1
