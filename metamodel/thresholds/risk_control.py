"""Which thresholds hold a failure rate with a confidence: learn then test.

A threshold t lets through the prompts whose predicted probability of failure (their score) is at most t. Its risk is
R(t) = E[loss given score <= t], the loss of a prompt being the share of its samples that fail. Given how many prompts a
threshold lets through, their losses are independent draws with mean R(t), so `R(t) > risk` is tested like any mean, and
thresholds for which it is rejected hold. Source: Angelopoulos, Bates, Candes, Jordan and Lei, *Learn then Test* (2021,
arXiv 2110.01052); for 0/1 losses the exact binomial tail, as Geifman and El-Yaniv, *Selective Classification for Deep
Neural Networks* (2017, arXiv 1705.08500).

Many thresholds are tested, one after the other from the strictest up, each at the full level, until one is not
rejected: the probability that any of those before it is wrongly said to hold stays below 1 - confidence (fixed-sequence
testing, Bauer 1991). The strictest is the first that lets through the minimum coverage, and enough prompts to hold the
risk with two failures among them: a sequence that starts where a single failure ends it mostly ends there.

Thresholds are numbers of four significant digits, fixed before any data are seen, and not the scores themselves; the
start is a count of prompts. Where the failure rate does not fall as the score rises the promise is exact, ties and
useless scores included; else the start alone is off, by the chance of its last prompt.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022, arXiv 2208.02814) promises less and lets more
through: the share of *all* prompts that are let through and fail, in expectation.

Shapes in this file: n = prompts, t = thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray

Bound: TypeAlias = Literal["binomial", "betting", "bentkus"]

# With more, the start lies so far up that a useful strict end is passed over; with fewer, chance ends the sequence.
_FAILURES_AT_START: Final = 2
_SIGNIFICANT_DIGITS: Final = 4
_SMALLEST_SCORE: Final = 1e-12
# What a product of two floats may be off by, far below the last of four digits.
_ROUNDING: Final = 1e-6
_N_BETS: Final = 50


@dataclass(frozen=True, kw_only=True)
class PassedCounts:
    """How many prompts each threshold lets through, and how many of them fail. All arrays are [t].

    Attributes:
        thresholds: Rising; between two of them nothing changes.
        n_passed: Prompts let through.
        failures: Sum of their losses.
        group: Place of the strictest threshold that lets a prompt through, [n].
        n_prompts: Prompts in all, n.
    """

    thresholds: FloatArray
    n_passed: IntArray
    failures: FloatArray
    group: IntArray
    n_prompts: int

    @property
    def coverage(self) -> FloatArray:
        """Share of the prompts that each threshold lets through."""
        return self.n_passed / self.n_prompts

    @property
    def rates(self) -> FloatArray:
        """Failure rate among the prompts that each threshold lets through."""
        return self.failures / self.n_passed


def rounded_up(scores: FloatArray) -> FloatArray:
    """Return the smallest numbers of four significant digits that are not below the scores.

    >>> rounded_up(np.array([0.0, 0.3, 0.123401, 0.00056789, 1.0])).tolist()
    [0.0, 0.3, 0.1235, 0.0005679, 1.0]
    """
    values = np.where(scores > 0, np.maximum(scores, _SMALLEST_SCORE), 1.0)
    scale = 10.0 ** (_SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(values)))
    steps = np.ceil(values * scale - _ROUNDING)
    steps += steps / scale < values
    return np.where(scores > 0, steps / scale, 0.0)


def passed_counts(scores: FloatArray, losses: FloatArray) -> PassedCounts:
    """Count what each threshold lets through; prompts of one score stay together.

    Args:
        scores: Predicted probability of failure, [n], n >= 1.
        losses: Share of each prompt's samples that fail, [n].

    Raises:
        ValueError: A score or a loss is not from 0 to 1, or there is none.

    >>> counts = passed_counts(np.array([0.1, 0.2, 0.1]), np.array([0.0, 1.0, 1.0]))
    >>> counts.thresholds.tolist(), counts.n_passed.tolist(), counts.failures.tolist()
    ([0.1, 0.2], [2, 3], [1.0, 2.0])
    """
    for name, values in (("scores", scores), ("losses", losses)):
        if not len(values) or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} must be at least one number, each from 0 to 1")
    thresholds, group = np.unique(rounded_up(scores), return_inverse=True)
    return PassedCounts(
        thresholds=thresholds,
        n_passed=np.bincount(group).cumsum(),
        failures=np.bincount(group, weights=losses).cumsum(),
        group=group,
        n_prompts=len(scores),
    )


def binomial_p_values(n_passed: IntArray, failures: FloatArray, risk: float) -> FloatArray:
    """Return P(Binomial(n, risk) <= failures), the exact p-value of `the failure rate is above the risk`.

    A threshold passes at level d where the Clopper-Pearson upper bound of confidence 1 - d is at most the risk.

    Args:
        n_passed: Prompts, [t].
        failures: How many of them fail, whole numbers, [t].
        risk: Largest failure rate, above 0 and below 1.

    >>> binomial_p_values(np.array([59, 58]), np.array([0.0, 0.0]), 0.05).round(4).tolist()
    [0.0485, 0.051]
    """
    from scipy.special import betainc

    succeeded = n_passed - failures
    tail = betainc(np.maximum(succeeded, 1.0), failures + 1, 1 - risk)
    return np.where(succeeded > 0, tail, 1.0)


def bentkus_p_values(n_passed: IntArray, failures: FloatArray, risk: float) -> FloatArray:
    """Return Hoeffding and Bentkus's p-value for losses in [0, 1] (Angelopoulos et al. 2021, proposition 3).

    Formula: min(exp(-n KL(min(r, risk), risk)), e P(Binomial(n, risk) <= ceil(n r))), with r the mean loss. It knows
    nothing of how much losses vary, so `betting_p_values` is smaller where several samples are averaged.
    """
    from scipy.special import rel_entr

    rates = np.minimum(failures / n_passed, risk)
    divergence = rel_entr(rates, risk) + rel_entr(1 - rates, 1 - risk)
    whole = np.ceil(failures - _ROUNDING)
    bentkus = math.e * binomial_p_values(n_passed, whole, risk)
    p_values: FloatArray = np.minimum(1.0, np.minimum(np.exp(-n_passed * divergence), bentkus))
    return p_values


def betting_p_values(counts: PassedCounts, losses: FloatArray, risk: float) -> FloatArray:
    """Return 1 / wealth of a gambler who bets that losses are below the risk, for losses in [0, 1].

    Formula: wealth = mean over stakes s of the product over prompts of 1 + s (risk - loss). Where the mean loss is
    above the risk its expectation is at most 1, so P(wealth >= 1 / d) <= d (Markov). Source: Waudby-Smith and Ramdas,
    *Estimating means of bounded random variables by betting* (2020, arXiv 2010.09686), section 4, with a mixture of
    constant stakes in place of ones chosen along the way: the order of the prompts then means nothing.

    Args:
        counts: What each threshold lets through.
        losses: Share of each prompt's samples that fail, [n].
        risk: Largest mean loss, above 0 and below 1.

    Returns:
        p-values, [t].
    """
    stakes = np.linspace(0, 1, _N_BETS + 1)[1:] * (1 - _ROUNDING) / (1 - risk)
    logs = np.empty((len(stakes), len(counts.thresholds)))
    for place, stake in enumerate(stakes):
        logs[place] = np.bincount(counts.group, weights=np.log1p(stake * (risk - losses))).cumsum()
    top = logs.max(axis=0)
    log_wealth = top + np.log(np.exp(logs - top).mean(axis=0))
    p_values: FloatArray = np.exp(-np.maximum(log_wealth, 0.0))
    return p_values


def fixed_sequence(p_values: FloatArray, *, start: int, level: float) -> NDArray[np.bool_]:
    """Return which hypotheses are rejected when each is tested at the level, from `start` to the first that is not.

    >>> fixed_sequence(np.array([0.9, 0.01, 0.02, 0.2, 0.01]), start=1, level=0.05).tolist()
    [False, True, True, False, False]
    """
    is_rejected = p_values <= level
    is_rejected[:start] = True
    is_rejected = np.logical_and.accumulate(is_rejected)
    is_rejected[:start] = False
    return is_rejected


def fewest_prompts(risk: float, confidence: float, *, n_failures: int = 0) -> int:
    """Return how many prompts it takes to hold the risk when so many of them fail.

    >>> fewest_prompts(0.05, 0.95), fewest_prompts(0.05, 0.95, n_failures=2)
    (59, 124)
    """
    low, high = n_failures, n_failures + 1

    def holds(n_prompts: int) -> bool:
        return bool(binomial_p_values(np.array([n_prompts]), np.array([n_failures]), risk)[0] <= 1 - confidence)

    while not holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def start_count(n_prompts: int, *, risk: float, confidence: float, min_coverage: float) -> int | None:
    """Return how many prompts the strictest threshold that is tested lets through, or None where there are too few.

    >>> start_count(1000, risk=0.05, confidence=0.95, min_coverage=0.2), start_count(50, risk=0.05, confidence=0.95,
    ...     min_coverage=0.2)
    (200, None)
    """
    for n_failures in range(_FAILURES_AT_START, -1, -1):
        fewest = fewest_prompts(risk, confidence, n_failures=n_failures)
        if fewest <= n_prompts:
            return max(fewest, math.ceil(min_coverage * n_prompts))
    return None


def held_thresholds(
    counts: PassedCounts, losses: FloatArray, *, risk: float, confidence: float, min_coverage: float, bound: Bound
) -> NDArray[np.bool_]:
    """Return which thresholds hold the risk, all of them together with the confidence, [t].

    Args:
        counts: What each threshold lets through, of prompts that nothing was fitted on.
        losses: Share of each prompt's samples that fail, [n].
        risk: Largest failure rate among prompts that are let through.
        confidence: Probability, over the draw of the prompts, that no threshold is wrongly said to hold it.
        min_coverage: Smallest share of the prompts worth letting through; testing starts there.
        bound: `binomial` for losses that are 0 or 1, `betting` or `bentkus` for losses in between.
    """
    if bound == "binomial":
        p_values = binomial_p_values(counts.n_passed, counts.failures, risk)
    elif bound == "bentkus":
        p_values = bentkus_p_values(counts.n_passed, counts.failures, risk)
    else:
        p_values = betting_p_values(counts, losses, risk)
    first = start_count(counts.n_prompts, risk=risk, confidence=confidence, min_coverage=min_coverage)
    if first is None:
        return np.zeros(len(p_values), dtype=np.bool_)
    start = int(np.searchsorted(counts.n_passed, first))
    return fixed_sequence(p_values, start=start, level=1 - confidence)


def conformal_thresholds(counts: PassedCounts, *, risk: float) -> NDArray[np.bool_]:
    """Return the thresholds at which the expected share of all prompts that are let through and fail is in the risk.

    Formula: (sum of the losses let through + 1) / (n + 1) <= risk; true up to some threshold and false beyond it.
    Source: Angelopoulos et al., *Conformal Risk Control* (2022), theorem 1, for the loss that rises with the threshold.
    """
    return (counts.failures + 1) / (counts.n_prompts + 1) <= risk
