"""Weights of a pool of predictions, fitted on prompts whose folds the members did not see.

Two pools. The log-linear one is softmax(log prior + sum of w_i (log p_i - log prior)): each member's evidence against
the prior, weighted; with one member of weight 1 it is that member, with no weight at all the prior, and members that
know different things may have weights that sum to more than 1 (Genest and Zidek, Combining probability distributions,
1986; measuring from the prior is ours). The linear one is the mixture of the members and the prior.

Weights are never negative. The behaviors are pooled in part: weights that all behaviors share are fitted first, pulled
to equal ones, then each behavior's own, pulled to the shared ones.

Shapes: k = members, m = prompts with at least one label, n = prompts, c = outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from metamodel.types import FloatArray, IntArray
from trainers.heads.outcomes import cross_entropy_bits, kept_inside, softmax

PoolName: TypeAlias = Literal["log_linear", "linear"]
# No evidence is counted more often than this.
HIGHEST_WEIGHT = 4.0
# A handful of weights need no more prompts a behavior than these.
MOST_PROMPTS = 4000
_EM_STEPS = 60


class JudgedBehavior(NamedTuple):
    """One behavior's predictions where the members were not fitted.

    Attributes:
        predictions: Without zeros, [k, m, c].
        prior: Of the fit that predicted each prompt, [m, c].
        shares: Outcome shares, [m, c].
        folds: Number of the fold that judged each prompt, [m].
    """

    predictions: FloatArray
    prior: FloatArray
    shares: FloatArray
    folds: IntArray

    def take(self, rows: IntArray) -> JudgedBehavior:
        """Return some of the prompts."""
        return JudgedBehavior(self.predictions[:, rows], self.prior[rows], self.shares[rows], self.folds[rows])


def equal_weights(n_members: int) -> FloatArray:
    """Return weights that trust every member alike, [k]."""
    return np.full(n_members, 1 / n_members)


def pooled_predictions(pool: PoolName, predictions: FloatArray, prior: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the pool's probabilities, [n, c].

    Args:
        pool: Which pool.
        predictions: Of the members, without zeros, [k, n, c].
        prior: [c], or that of each row, [n, c]; without zeros.
        weights: One a member, [k]. In the linear pool the prior has what is missing to 1.
    """
    if pool == "linear":
        mixed = np.broadcast_to((1 - weights.sum()) * prior, predictions.shape[1:]).copy()
        for weight, one in zip(weights, predictions, strict=True):
            mixed += weight * one
        return kept_inside(np.maximum(mixed, 0))
    log_prior = np.log(prior)
    logits = np.broadcast_to(log_prior, predictions.shape[1:]).copy()
    # Member by member: a sum over an axis may be rounded in another order for another number of rows.
    for weight, one in zip(weights, predictions, strict=True):
        logits += weight * (np.log(one) - log_prior)
    return kept_inside(softmax(logits))


def fit_weights(pool: PoolName, behaviors: Sequence[JudgedBehavior], penalty_bits: float) -> list[FloatArray]:
    """Return the weights of each behavior, then the shared ones, [k] each.

    Args:
        pool: Which pool.
        behaviors: At least one; one without prompts gets the shared weights.
        penalty_bits: What a squared distance of 1 between a behavior's weights and the shared ones, or between these
            and equal ones, must gain over all prompts together. In the linear pool: prompts that weights are worth
            before any is seen.
    """
    n_members = len(behaviors[0].predictions)
    center = equal_weights(n_members)
    kept = [_thinned(behavior) for behavior in behaviors]
    fit = _fit_linear if pool == "linear" else _fit_log_linear
    labeled = [behavior for behavior in kept if len(behavior.shares)]
    shared = fit(labeled, center, penalty_bits * max(len(labeled), 1)) if labeled else center
    own = [fit([behavior], shared, penalty_bits) if len(behavior.shares) else shared for behavior in kept]
    return [*own, shared]


class ChosenPool(NamedTuple):
    """What the folds say about the pull.

    Attributes:
        penalty_bits: The chosen one.
        weights: Of each behavior, then the shared ones, [k] each, fitted on all folds.
        crossed: Predictions of each behavior by weights that did not see the prompt's fold, [m, c] each.
    """

    penalty_bits: float
    weights: list[FloatArray]
    crossed: list[FloatArray]


def choose_pool(pool: PoolName, behaviors: Sequence[JudgedBehavior], penalties: Sequence[float]) -> ChosenPool:
    """Fit weights with each pull, without each fold in turn, and keep the pull that costs the fewest bits there.

    The bits of a behavior are averaged over its prompts and then over behaviors. Of two equals the stronger pull stays.
    """
    ordered = sorted(penalties, reverse=True)
    found = [_crossed(pool, behaviors, penalty) for penalty in ordered]
    labeled = [number for number, behavior in enumerate(behaviors) if len(behavior.shares)]
    costs = [
        float(np.mean([cross_entropy_bits(behaviors[number].shares, crossed[number]) for number in labeled] or [0.0]))
        for crossed in found
    ]
    best = int(np.argmin(costs))
    weights = fit_weights(pool, behaviors, ordered[best])
    return ChosenPool(penalty_bits=ordered[best], weights=weights, crossed=found[best])


def _crossed(pool: PoolName, behaviors: Sequence[JudgedBehavior], penalty_bits: float) -> list[FloatArray]:
    """Return each behavior's predictions by weights fitted without the prompt's fold, [m, c] each."""
    crossed = [behavior.prior.copy() for behavior in behaviors]
    for fold in sorted({int(number) for behavior in behaviors for number in np.unique(behavior.folds)}):
        rest = [behavior.take(np.flatnonzero(behavior.folds != fold)) for behavior in behaviors]
        weights = fit_weights(pool, rest, penalty_bits)
        for number, behavior in enumerate(behaviors):
            rows = np.flatnonzero(behavior.folds == fold)
            judged = behavior.take(rows)
            crossed[number][rows] = pooled_predictions(pool, judged.predictions, judged.prior, weights[number])
    return crossed


def _fit_log_linear(behaviors: Sequence[JudgedBehavior], center: FloatArray, penalty_bits: float) -> FloatArray:
    """Minimize the behaviors' bits + penalty_bits * |w - center|^2 over weights from 0 to HIGHEST_WEIGHT; convex."""
    from scipy.optimize import minimize

    log_priors = [np.log(behavior.prior) for behavior in behaviors]
    evidence = [
        np.log(behavior.predictions) - log_prior for behavior, log_prior in zip(behaviors, log_priors, strict=True)
    ]

    def penalized_bits(weights: FloatArray) -> tuple[float, FloatArray]:
        away = weights - center
        bits, gradient = penalty_bits * float(away @ away), 2 * penalty_bits * away
        for behavior, log_prior, ratios in zip(behaviors, log_priors, evidence, strict=True):
            pooled = softmax(log_prior + np.tensordot(weights, ratios, axes=1))  # [m, c]
            bits -= float((behavior.shares * np.log2(np.maximum(pooled, 1e-300))).sum())
            gradient = gradient + np.tensordot(ratios, pooled - behavior.shares, axes=2) / math.log(2)
        return bits, gradient

    bounds = [(0.0, HIGHEST_WEIGHT)] * len(center)
    weights: FloatArray = minimize(penalized_bits, center, jac=True, bounds=bounds, method="L-BFGS-B").x
    return weights


def _fit_linear(behaviors: Sequence[JudgedBehavior], center: FloatArray, penalty_bits: float) -> FloatArray:
    """Return mixture weights by expectation maximization, with `penalty_bits` prompts dealt by the center."""
    with_prior = [np.concatenate([b.predictions, b.prior[None]]) for b in behaviors]  # [k + 1, m, c]
    # The prior starts with a share as well, or it could never get one.
    start = np.append(center * (1 - 0.5 / (len(center) + 1)), 1 - center.sum() * (1 - 0.5 / (len(center) + 1)))
    weights = start
    for _ in range(_EM_STEPS):
        counts = penalty_bits * start
        for behavior, parts in zip(behaviors, with_prior, strict=True):
            weighted = weights[:, None, None] * parts
            duties = weighted / weighted.sum(axis=0)
            counts = counts + (duties * behavior.shares).sum(axis=(1, 2))
        weights = counts / counts.sum()
    return weights[:-1]


def _thinned(behavior: JudgedBehavior) -> JudgedBehavior:
    """Return at most MOST_PROMPTS prompts, evenly spread."""
    m = len(behavior.shares)
    if m <= MOST_PROMPTS:
        return behavior
    return behavior.take(np.unique(np.linspace(0, m - 1, MOST_PROMPTS).astype(np.int64)))
