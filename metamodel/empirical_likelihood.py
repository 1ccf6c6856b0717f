"""Intervals of H(F) less a mean loss from the empirical likelihood of prompts, also where something was never seen.

A bootstrap draws from the prompts at hand. Where an outcome is rare it holds no event at all, or the same few, and the
interval that results is too short, or has no length. Empirical likelihood gives every prompt a mass of its own, and
lets mass lie on prompts that were not seen: here on those whose label is certain to be some outcome.

Sources: Owen, *Empirical Likelihood* (2001), for intervals from the likelihood ratio; Honda and Takemura (2010) and
Cappe, Garivier, Maillard, Munos and Stoltz, *Kullback-Leibler upper confidence bounds* (2013), for mass on a bound that
no observation reached; Garwood, *Fiducial limits for the Poisson distribution* (1936). That entropies are such means is
our own step: H(mean) is the least mean of -sum s_j log2 q_j over constants q, and for each q that is linear in the
masses.

Shapes in this file: r = kinds of prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from metamodel.information import PROBABILITY_FLOOR, entropy_bits
from metamodel.types import FloatArray

# From masses [r] to losses [r] whose mean is the loss at those masses and at most the loss at any others.
Tangent: TypeAlias = Callable[[FloatArray], FloatArray]

_MAX_ROUNDS: Final = 40
_GAP_BITS: Final = 1e-3
_UPPER_LEVEL: Final = 0.975


@dataclass(frozen=True, kw_only=True)
class PromptKinds:
    """What is known of the prompts: kinds of them, each with its labels' distribution and how many there are.

    Attributes:
        shares: Distribution of the labels of each kind, [r, c].
        weights: Prompts of each kind, 0 for one that was not seen, [r].
    """

    shares: FloatArray
    weights: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean distribution of the prompts seen, [c]."""
        mean: FloatArray = self.weights @ self.shares / self.weights.sum()
        return mean


def rare_slack(n_events: int) -> float:
    """Return how far below its maximum, in nats, a log-likelihood may lie at the upper end of an interval.

    It is half the Poisson deviance at Garwood's exact 97.5 % upper limit of the expected number of events: 3.7 for no
    event, 2.3 for ten, and 1.92, which is the usual quantile, as they become many. With the usual one the truth lies
    above the interval in up to 15 % of studies: P(none) is that where 1.92 events are expected.

    >>> [round(rare_slack(n_events), 2) for n_events in (0, 1, 10, 10**6)]
    [3.69, 2.85, 2.3, 1.92]
    """
    from scipy.special import gammaincinv

    limit = float(gammaincinv(n_events + 1, _UPPER_LEVEL))
    return limit - n_events - (n_events * float(np.log(limit / n_events)) if n_events else 0.0)


def with_unseen(shares: FloatArray, weights: FloatArray) -> PromptKinds:
    """Return the kinds of prompts seen and, after them, unseen ones: certain of one outcome.

    The outcomes of which no label was seen are one kind, in equal shares: by symmetry no masses do better.

    Args:
        shares: Distribution of the labels of each kind seen, [r, c].
        weights: Prompts of each kind, [r], > 0.

    >>> with_unseen(np.array([[1.0, 0.0, 0.0]]), np.array([9.0])).shares.tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]
    """
    is_new = weights @ shares == 0
    certain = np.eye(shares.shape[1])[~is_new]
    if is_new.any():
        certain = np.vstack([certain, is_new / is_new.sum()])
    return PromptKinds(shares=np.vstack([shares, certain]), weights=np.append(weights, np.zeros(len(certain))))


def largest_mean_masses(values: FloatArray, weights: FloatArray, *, slack: float) -> FloatArray:
    """Return the masses [r] with the largest mean value among all whose empirical likelihood is near the best.

    Formula: maximize sum w_i v_i over sum w_i = 1 and sum n_i log(w_i / (n_i / n)) >= -slack. What was seen gets a
    mass proportional to n_i / (eta - v_i). What was not gets some only where it has the largest value of all and eta
    has come down to that (Cappe et al., 2013).

    Args:
        values: Value of each kind of prompt, [r].
        weights: Prompts of each kind, 0 for unseen ones, [r].
        slack: How many nats below its maximum the log-likelihood may lie, > 0.

    >>> masses = largest_mean_masses(np.array([0.0, 1.0]), np.array([50.0, 0.0]), slack=3.69)
    >>> masses.round(4).tolist()  # 1 - exp(-3.69 / 50)
    [0.9289, 0.0711]
    """
    from scipy.optimize import brentq

    seen, n_prompts = weights > 0, float(weights.sum())
    gaps, counts = values.max() - values[seen], weights[seen]
    span = max(float(gaps.max()), PROBABILITY_FLOOR)

    def seen_masses(beyond: float) -> FloatArray:
        shares: FloatArray = counts / (gaps + beyond)
        shares /= shares.sum()
        return shares

    def room(log_beyond: float) -> float:
        beyond = float(np.exp(log_beyond)) * span
        return slack + float(counts @ np.log(n_prompts * seen_masses(beyond) / counts))

    masses, log_least, log_most = np.zeros(len(values)), -30.0, 15.0
    if gaps.min() > 0 and (left := slack + float(counts @ np.log(n_prompts * seen_masses(0.0) / counts))) >= 0:
        kept = float(np.exp(-left / n_prompts))
        masses[seen] = kept * seen_masses(0.0)
        masses[int(values.argmax())] = 1 - kept
        return masses
    log_beyond = log_least if room(log_least) >= 0 else float(brentq(room, log_least, log_most, xtol=1e-6))
    masses[seen] = seen_masses(float(np.exp(log_beyond)) * span)
    return masses


def most_information(prompts: PromptKinds, tangent: Tangent, *, slack: float) -> float:
    """Return the largest H(mean) - loss in bits over all masses whose empirical likelihood is near the best.

    Each constant q with each tangent of the loss gives an upper bound, a mean of linear values. The least one is the
    maximum: the entropy is concave, the loss convex. Constants and losses are averaged over rounds of best responses
    (fictitious play, Robinson 1951), which converge; what is returned is a bound whether they have or not.

    Args:
        prompts: The kinds of prompts.
        tangent: The loss; convex in the masses.
        slack: As for `largest_mean_masses`.
    """
    n_prompts = float(prompts.weights.sum())
    guess = min(0.5, slack / n_prompts)
    is_unseen = prompts.weights == 0
    spread = is_unseen / is_unseen.sum() if is_unseen.any() else prompts.weights / n_prompts
    masses = (1 - guess) * prompts.weights / n_prompts + guess * spread
    constant, losses = masses @ prompts.shares, tangent(masses)
    least, most = np.inf, -np.inf
    for step in range(_MAX_ROUNDS):
        values = -losses - prompts.shares @ np.log2(np.maximum(constant, PROBABILITY_FLOOR))
        masses = largest_mean_masses(values, prompts.weights, slack=slack)
        means, reached = masses @ prompts.shares, tangent(masses)
        least = min(least, float(masses @ values))
        most = max(most, float(entropy_bits(means) - masses @ reached))
        if least - most < _GAP_BITS:
            break
        share = 2 / (step + 3)
        constant, losses = constant + share * (means - constant), losses + share * (reached - losses)
    return least


def least_information(prompts: PromptKinds, losses: FloatArray, *, slack: float) -> float:
    """Return the smallest H(mean) - mean loss in bits over all masses whose empirical likelihood is near the best.

    This is not convex: masses and the constant q are improved in turn, a descent to a local minimum.

    Args:
        prompts: The kinds of prompts, all of them seen.
        losses: Loss of each kind, [r].
        slack: As for `largest_mean_masses`.
    """
    constant, lowest = prompts.mean, np.inf
    for _ in range(_MAX_ROUNDS):
        values = losses + prompts.shares @ np.log2(np.maximum(constant, PROBABILITY_FLOOR))
        masses = largest_mean_masses(values, prompts.weights, slack=slack)
        constant = masses @ prompts.shares
        previous, lowest = lowest, min(lowest, float(entropy_bits(constant) - masses @ losses))
        if lowest > previous - _GAP_BITS / 10:
            break
    return lowest


class Jackknifed(NamedTuple):
    """What leaving out one prompt at a time says of H(F) - mean loss.

    Attributes:
        bias_bits: By how much the plug-in entropy is expected to fall short, >= 0.
        standard_error_bits: Standard error of the estimate from which that bias was removed.
    """

    bias_bits: float
    standard_error_bits: float


def jackknifed(prompts: PromptKinds, losses: FloatArray) -> Jackknifed:
    """Return the plug-in entropy's bias, and the standard error of the corrected H(F) - mean loss.

    Formula: pseudo-values n H - (n - 1) H_i - loss_i, H_i the entropy without prompt i; the bias is the mean of the
    first two less H, the error the pseudo-values' deviation over sqrt(n). Sources: Zahl, *Jackknifing an index of
    diversity* (1977); Tukey (1958). Where outcomes were seen once, both are larger than second-order expansions say.

    Args:
        prompts: The kinds of prompts, all of them seen.
        losses: Loss of each kind, [r].

    >>> found = jackknifed(PromptKinds(shares=np.eye(2), weights=np.array([500.0, 500.0])), np.zeros(2))
    >>> round(found.bias_bits * 2000 * float(np.log(2)), 2)
    1.0
    """
    n_prompts = float(prompts.weights.sum())
    masses, entropy = prompts.weights / n_prompts, float(entropy_bits(prompts.mean))
    without = (prompts.mean * n_prompts - prompts.shares) / (n_prompts - 1)  # [r, c]
    pseudo_values = n_prompts * entropy - (n_prompts - 1) * entropy_bits(np.maximum(without, 0.0))
    bias = max(0.0, float(masses @ pseudo_values - entropy))
    values = pseudo_values - losses
    variance = float(masses @ (values - masses @ values) ** 2)
    return Jackknifed(bias, float(np.sqrt(variance / (n_prompts - 1))))
