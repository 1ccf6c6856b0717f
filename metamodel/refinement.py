"""Refinement: the part of the cross-entropy that no recalibration removes.

Shapes in this file: m = prompts with at least one label, c = outcomes, s = outcomes that occur, t = distinct
predictions.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.information import PROBABILITY_FLOOR, entropy_bits, labeled_pairs
from metamodel.types import FloatArray, IntArray

_BINARY: Final = 2
_MAX_NEWTON_STEPS: Final = 50
_DECREMENT_BITS: Final = 1e-12


def refinement_bits(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the cross-entropy after the best recalibration on the evaluated split itself.

    The cross-entropy is refinement plus miscalibration (Murphy, 1973; Broecker, 2009); miscalibration is what a map of
    the predictions alone would gain: cross-entropy less refinement, never negative. Refinement never exceeds H(F)
    either, since a constant is such a map; H(F) less refinement is the discrimination.

    Binary: the best isotonic map, by pool-adjacent-violators, which needs no bins (Dimitriadis, Gneiting and Jordan,
    *Stable reliability diagrams*, 2021: the CORP decomposition). It minimizes every proper score among rising maps.

    For c > 2 no isotonic map is agreed upon. The map here has two parameters, which a small split can bear:
    q_j' proportional to q_j^b * F_j^g with b >= 0, F the labels' distribution on the split: temperature scaling (Guo et
    al., 2017; b = 1/T, g = 0) together with a shift toward the split's own base rates. The identity (1, 0) and the best
    constant (0, 1) are in it. Outcomes that never occur are left out. As richer maps exist, this is an upper bound on
    refinement.

    Fitted on the labels that it is scored on, refinement is a little too low: for binary labels a useless prediction of
    n distinct values seems to discriminate by some bits that vanish like log(n) / n.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].

    Returns:
        Bits, or None without any label.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> underconfident = np.array([[0.6, 0.4], [0.4, 0.6]] * 50)
    >>> refinement_bits(np.array([[3, 1], [1, 3]] * 50), underconfident).__round__(4)
    0.8113
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    if not len(shares):
        return None
    if shares.shape[1] == _BINARY:
        return _isotonic_bits(shares[:, 1], predicted[:, 1])
    return _tilted_bits(shares, predicted)


def _isotonic_bits(yes: FloatArray, predicted: FloatArray) -> float:
    from scipy.optimize import isotonic_regression

    _, rank, n_prompts = np.unique(predicted, return_inverse=True, return_counts=True)
    observed = np.bincount(rank, weights=yes) / n_prompts  # [t]
    blocks = np.asarray(isotonic_regression(observed, weights=n_prompts).blocks)
    sizes = np.add.reduceat(n_prompts, blocks[:-1])
    rates = np.add.reduceat(observed * n_prompts, blocks[:-1]) / sizes
    # A block's mean cross-entropy at its own rate is the entropy of that rate.
    rates = np.clip(rates, 0.0, 1.0)
    return float((sizes * entropy_bits(np.column_stack([1 - rates, rates]))).sum() / sizes.sum())


def _tilted_bits(shares: FloatArray, predicted: FloatArray) -> float:
    base = shares.mean(axis=0)
    seen = base > 0
    if seen.sum() == 1:
        return 0.0
    features = np.stack(
        [
            np.log2(np.maximum(predicted[:, seen], PROBABILITY_FLOOR)),
            np.broadcast_to(np.log2(base[seen]), (len(shares), int(seen.sum()))),
        ]
    )  # [2, m, s]
    identity = _minimized(features, shares[:, seen], np.array([1.0, 0.0]))
    # Where the slope would be negative the best map left is a constant, whose cross-entropy is H(F).
    return min(identity, float(entropy_bits(base)))


def _minimized(features: FloatArray, shares: FloatArray, start: FloatArray) -> float:
    """Return the least cross-entropy of the log-linear map, by damped Newton steps: it is convex in two parameters."""
    weights, wanted = start, np.einsum("ims,ms->i", features, shares) / len(shares)
    loss, fitted = _log_linear_loss(features, wanted, weights)
    for _ in range(_MAX_NEWTON_STEPS):
        means = np.einsum("ims,ms->im", features, fitted)  # [2, m]
        gradient = means.mean(axis=1) - wanted
        spread = np.einsum("ims,jms,ms->ij", features, features, fitted) / len(shares) - means @ means.T / len(shares)
        # Where predictions are constant the two features are one: least squares picks a direction all the same.
        direction = -np.linalg.lstsq(spread * np.log(2), gradient, rcond=1e-12)[0]
        decrement = -float(gradient @ direction)
        if decrement < _DECREMENT_BITS:
            break
        step, previous = 1.0, loss
        while step > _DECREMENT_BITS:
            candidate = weights + step * direction
            if candidate[0] >= 0:
                loss, fitted = _log_linear_loss(features, wanted, candidate)
                if loss <= previous - 1e-4 * step * decrement:
                    break
            step /= 2
        else:
            return previous
        weights = candidate
    return loss


def _log_linear_loss(features: FloatArray, wanted: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean cross-entropy in bits of q' = 2^(weights . features), normalized, and q' itself, [m, s]."""
    scores = weights[0] * features[0] + weights[1] * features[1]  # [m, s]
    top = scores.max(axis=1, keepdims=True)
    powers = np.exp2(scores - top)
    totals = powers.sum(axis=1, keepdims=True)
    loss = float((top + np.log2(totals)).mean() - weights @ wanted)
    return loss, powers / totals
