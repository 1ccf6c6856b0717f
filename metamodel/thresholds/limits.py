"""What would hold where no threshold does: the smallest risk, and how many prompts the asked one takes.

Shapes in this file: n = prompts, t = thresholds.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from metamodel.thresholds.risk_control import Bound, PassedCounts, held_thresholds
from metamodel.types import FloatArray

_RISK_STEP: Final = 1e-3


def smallest_risk(
    counts: PassedCounts, losses: FloatArray, *, confidence: float, min_coverage: float, bound: Bound
) -> float | None:
    """Return the smallest risk, in steps of 0.001, that some threshold of at least the minimum coverage holds.

    It is found by looking, so whoever then asks for it has looked at the prompts once more than the promise allows for:
    a hint, no guarantee.

    Returns:
        A risk, or None where not even 0.999 holds.
    """

    def holds(steps: int) -> bool:
        held = held_thresholds(
            counts,
            losses,
            risk=steps * _RISK_STEP,
            confidence=confidence,
            min_coverage=min_coverage,
            bound=bound,
        )
        return bool(held.any())

    low, high = 0, round(1 / _RISK_STEP) - 1
    if not holds(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return round(high * _RISK_STEP, 3)


def prompts_needed(counts: PassedCounts, *, risk: float, confidence: float, min_coverage: float) -> int | None:
    """Return about how many labeled prompts it takes, if rates stay as they are, until some threshold holds the risk.

    Formula: the smallest over thresholds of log(1 / (1 - confidence)) / KL(rate, risk) / coverage, from Chernoff's
    bound P(Binomial(n, risk) <= n rate) <= exp(-n KL(rate, risk)). The rate is that among the prompts let through here,
    with half a failure added to it: none among few is no proof of none.

    Returns:
        Prompts in all, or None where no threshold's rate is below the risk: then more prompts do not help.
    """
    from scipy.special import rel_entr

    coverage = counts.coverage
    rates = (counts.failures + 0.5) / (counts.n_passed + 1)
    wide = (coverage >= min_coverage) & (rates < risk)
    if not wide.any():
        return None
    rates, coverage = rates[wide], coverage[wide]
    divergence = rel_entr(rates, risk) + rel_entr(1 - rates, 1 - risk)
    return math.ceil(float(np.min(-math.log(1 - confidence) / divergence / coverage)))
