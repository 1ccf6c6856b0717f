"""Bounds on the noise ceiling over every distribution of probabilities that the labels allow.

With k samples a prompt the labels fix only k moments of how a binary label's probability varies over prompts. Many
mixing distributions G fit them, and I(F; X) differs among those: it is partially identified. `profile_interval` returns
the smallest and the largest I(F; X) over all G whose likelihood is near the best.

Sources: Kiefer and Wolfowitz (1956) and Laird (1978) for the nonparametric likelihood of a mixture; Lord and Cressie
(1975) for bounds over all mixtures of binomials; Owen, *Empirical Likelihood* (2001) for intervals from a likelihood
ratio; Boyd and Vandenberghe, *Convex Optimization* (2004), for the methods.

Shapes in this file: g = grid points that may carry mass, r = distinct label patterns, c = outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from metamodel.information import PROBABILITY_FLOOR, entropy_bits
from metamodel.types import FloatArray

_BITS_PER_NAT: Final = float(1 / np.log(2))
# Gaps of the interior-point method: of the log-likelihood in nats, of the information in bits.
_LIKELIHOOD_GAP: Final = 1e-3
_INFORMATION_GAP: Final = 1e-4
_CENTERING: Final = 0.1
_TO_BOUNDARY: Final = 0.99
_MAX_STEPS: Final = 60
# The search over the likelihood's weight; the bound's error is of second order in the gap.
_WEIGHT_GAP: Final = 3e-3
_WEIGHT_STEP: Final = 1.5
_MAX_WEIGHTS: Final = 14
_DESCENT_GAP: Final = 5e-4
_MAX_DESCENTS: Final = 10


@dataclass(frozen=True, kw_only=True)
class MixtureLikelihood:
    """The likelihood of a mixing distribution over grid points, given the labels of all prompts.

    Attributes:
        pattern_likelihoods: Probability of each label pattern at each grid point, up to a factor a pattern, [r, g].
        pattern_weights: Prompts with each pattern, [r].
        outcome_probabilities: Distribution of the label at each grid point, [g, c].
    """

    pattern_likelihoods: FloatArray
    pattern_weights: FloatArray
    outcome_probabilities: FloatArray

    @cached_property
    def conditional_entropies(self) -> FloatArray:
        """Entropy of the label at each grid point in bits, [g]."""
        return entropy_bits(self.outcome_probabilities)

    def log_likelihood(self, masses: FloatArray) -> float:
        """Return the log-likelihood of masses [g] in nats; -inf if a pattern is impossible."""
        fitted = self.pattern_likelihoods @ masses
        return float(self.pattern_weights @ np.log(fitted)) if (fitted > 0).all() else -np.inf


def profile_interval(likelihood: MixtureLikelihood, *, low_slack: float, high_slack: float) -> tuple[float, float]:
    """Return the least and the most I(F; X) in bits over all masses whose likelihood is near the best.

    The largest is a concave program, and what is returned bounds it from above by weak duality, converged or not. The
    smallest is not convex: I(F; X) = min over q of the mean over G of KL(p || q), which is linear in G for each q, so G
    and q are improved in turn, from two starts; each round's value bounds its linear program from below.

    Args:
        likelihood: The labels' likelihood.
        low_slack: How many nats below its maximum the log-likelihood may lie at the lower end, > 0.
        high_slack: The same at the upper end.
    """
    best = _best_masses(likelihood)
    top = likelihood.log_likelihood(best)
    objective = _Objective(likelihood=likelihood, linear=-likelihood.conditional_entropies, with_entropy=True)
    start = 1 / float(likelihood.pattern_weights.sum())
    high = _constrained(objective, floor=top - high_slack, start=start).bound
    floor = top - low_slack
    if _constant_is_plausible(likelihood, best, floor=floor):
        return 0.0, high
    means = best @ likelihood.outcome_probabilities  # [c]
    starts = (means, means**2 / (means**2).sum())
    return min(_descended(likelihood, means, floor=floor, start=start) for means in starts), high


def _best_masses(likelihood: MixtureLikelihood) -> FloatArray:
    nothing = _Objective(likelihood=likelihood, linear=np.zeros(likelihood.pattern_likelihoods.shape[1]))
    return _climbed(nothing, weight=1.0, gap=_LIKELIHOOD_GAP).masses


def _constant_is_plausible(likelihood: MixtureLikelihood, best: FloatArray, *, floor: float) -> bool:
    """Return whether one grid point alone, near the mean, reaches the floor: then the label may ignore the prompt."""
    mean = best @ likelihood.outcome_probabilities
    nearest = np.argsort(np.abs(likelihood.outcome_probabilities - mean).sum(axis=1))[:5]
    return max(likelihood.log_likelihood(masses) for masses in np.eye(len(best))[nearest]) >= floor


def _descended(likelihood: MixtureLikelihood, means: FloatArray, *, floor: float, start: float) -> float:
    """Return a local minimum of I(F; X): each round minimizes the mean of KL(p || means), then updates the means."""
    lowest = np.inf
    for _ in range(_MAX_DESCENTS):
        logs = np.log2(np.maximum(means, PROBABILITY_FLOOR))
        divergences = -likelihood.outcome_probabilities @ logs - likelihood.conditional_entropies  # [g]
        objective = _Objective(likelihood=likelihood, linear=-divergences)
        peak = _constrained(objective, floor=floor, start=start)
        previous, lowest, start = lowest, min(lowest, -peak.bound), peak.weight
        if lowest > previous - _DESCENT_GAP:
            break
        means = peak.masses @ likelihood.outcome_probabilities
    return max(0.0, lowest)


@dataclass(frozen=True, kw_only=True)
class _Objective:
    """A concave function of masses: linear . masses, plus the entropy of the mean outcome if wanted."""

    likelihood: MixtureLikelihood
    linear: FloatArray
    with_entropy: bool = False

    def value(self, masses: FloatArray) -> float:
        """Return the value in bits."""
        entropy = float(entropy_bits(masses @ self.likelihood.outcome_probabilities)) if self.with_entropy else 0.0
        return float(self.linear @ masses) + entropy

    def slope(self, masses: FloatArray) -> FloatArray:
        """Return the gradient, [g]."""
        if not self.with_entropy:
            return self.linear
        outcomes = self.likelihood.outcome_probabilities
        slope: FloatArray = self.linear - outcomes @ (np.log2(_positive(masses @ outcomes)) + _BITS_PER_NAT)
        return slope

    def curves(self, masses: FloatArray) -> FloatArray:
        """Return a matrix whose square curves' curves is the negative Hessian, [0 or c, g]."""
        if not self.with_entropy:
            return np.zeros((0, len(masses)))
        outcomes = self.likelihood.outcome_probabilities
        curves: FloatArray = np.sqrt(_BITS_PER_NAT / _positive(masses @ outcomes))[:, None] * outcomes.T
        return curves


class _Peak(NamedTuple):
    """Masses [g] that nearly maximize an objective, a number that no masses exceed, and the likelihood's weight."""

    masses: FloatArray
    bound: float
    weight: float


def _constrained(objective: _Objective, *, floor: float, start: float) -> _Peak:
    """Maximize the objective among the masses whose log-likelihood is at least the floor.

    Each weight of the likelihood gives an upper bound, max over masses of objective + weight (log-likelihood - floor);
    the least one over weights, a convex search in one dimension, is the maximum (Boyd and Vandenberghe, section 5.4).
    """
    log_weight, below, above = float(np.log(start)), None, None
    least = _Peak(np.zeros(0), np.inf, start)
    for _ in range(_MAX_WEIGHTS):
        weight = float(np.exp(log_weight))
        peak = _climbed(objective, weight=weight, gap=_INFORMATION_GAP)
        bound = peak.bound - weight * floor
        if bound < least.bound:
            least = _Peak(peak.masses, bound, weight)
        room = objective.likelihood.log_likelihood(peak.masses) - floor
        if weight * abs(room) < _WEIGHT_GAP:
            break
        if room > 0:
            above = (log_weight, room)
        else:
            below = (log_weight, room)
        if above is None or below is None:
            log_weight += _WEIGHT_STEP if room < 0 else -_WEIGHT_STEP
        else:
            # The secant, kept off the bracket's ends, where it would creep.
            share = float(np.clip(below[1] / (below[1] - above[1]), 0.15, 0.85))
            log_weight = below[0] + share * (above[0] - below[0])
    return least


def _climbed(objective: _Objective, *, weight: float, gap: float) -> _Peak:
    """Maximize objective + weight * log-likelihood over all masses by a primal-dual interior-point method.

    Source: Boyd and Vandenberghe, section 11.7. The bound is that of the tangent: a concave function lies below it.
    """
    likelihood = objective.likelihood
    rows, counts = likelihood.pattern_likelihoods, weight * likelihood.pattern_weights
    n_grid = rows.shape[1]
    masses, bound = np.full(n_grid, 1 / n_grid), np.inf
    slope = objective.slope(masses) + rows.T @ (counts / (rows @ masses))  # [g]
    # Multipliers on the scale of the slopes: as feasible as the masses, whatever the number of prompts.
    duals = slope.max() - slope + (slope.max() - slope @ masses) + gap
    for _ in range(_MAX_STEPS):
        fitted = rows @ masses  # [r]
        slope = objective.slope(masses) + rows.T @ (counts / fitted)  # [g]
        value = objective.value(masses) + float(counts @ np.log(fitted))
        bound = min(bound, value + float(slope.max() - slope @ masses))
        if bound - value < gap:
            break
        target = _CENTERING * float(masses @ duals) / n_grid
        curves = np.concatenate([np.sqrt(counts)[:, None] / fitted[:, None] * rows, objective.curves(masses)])
        change = _newton_change(curves, np.sqrt(masses / duals), slope + target / masses)
        duals_change = target / masses - duals - duals / masses * change
        step = min(_longest_step(masses, change), _longest_step(duals, duals_change))
        masses, duals = masses + step * change, duals + step * duals_change
        masses = masses / masses.sum()
    return _Peak(masses, bound, weight)


def _newton_change(curves: FloatArray, scale: FloatArray, gradient: FloatArray) -> FloatArray:
    """Solve (diag(scale^-2) + curves' curves) x + shift = gradient for the x [g] that sums to zero."""
    scaled = curves * scale  # [r, g]
    right = np.column_stack([gradient * scale, scale])  # [g, 2]
    # Woodbury: the identity plus low rank is inverted in the low rank, then refined once: with many prompts it cancels.
    inner = np.eye(len(scaled)) + scaled @ scaled.T
    solved = np.zeros_like(right)
    for _ in range(2):
        missing = right - solved - scaled.T @ (scaled @ solved)
        solved += missing - scaled.T @ np.linalg.solve(inner, scaled @ missing)
    solved *= scale[:, None]
    change: FloatArray = solved[:, 0] - solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum())
    return change


def _longest_step(values: FloatArray, change: FloatArray) -> float:
    """Return the longest step, at most 1, that keeps all values positive."""
    shrinking = change < 0
    return min(1.0, _TO_BOUNDARY * float(np.min(-values[shrinking] / change[shrinking], initial=np.inf)))


def _positive(probabilities: FloatArray) -> FloatArray:
    return np.maximum(probabilities, PROBABILITY_FLOOR)
