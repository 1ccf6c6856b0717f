"""What a few samples a prompt say about a label's noise: a prior over prompts, and bounds on their mean entropy.

Sources: Minka, *Estimating a Dirichlet Distribution* (2000); Wolpert and Wolf, *Estimating functions of probability
distributions from a finite set of samples* (1995); Harremoes and Topsoe, *Inequalities between entropy and index of
coincidence* (2001).

Shapes in this file: m = prompts with at least one label, c = outcomes, t = times that an outcome was drawn.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.information import empirical_distributions
from metamodel.types import FloatArray, IntArray

_LOG_CONCENTRATIONS: Final = (float(np.log(1e-6)), float(np.log(1e6)))


def dirichlet_prior(counts: IntArray) -> FloatArray:
    """Return the parameters [c] of the Dirichlet prior with the labels' mean and the likeliest concentration.

    Args:
        counts: How often each outcome was drawn for each prompt, each with a label, [m, c].

    >>> (dirichlet_prior(np.array([[5, 0], [0, 5]])) < 1e-3).all()
    np.True_
    """
    from scipy.optimize import minimize_scalar

    mean = empirical_distributions(counts).mean(axis=0)
    seen = mean > 0
    totals = counts.sum(axis=1)
    times = np.arange(int(totals.max()))  # [t]
    # prompts in which an outcome was drawn more than t times [seen, t], and prompts with more than t samples [t]
    more = np.stack([_survival(column, len(times)) for column in counts[:, seen].T])
    longer = _survival(totals, len(times))

    def loss(log_concentration: float) -> float:
        concentration = np.exp(log_concentration)
        rising = np.log(concentration * mean[seen][:, None] + times)
        return float(longer @ np.log(concentration + times) - (more * rising).sum())

    grid = np.linspace(*_LOG_CONCENTRATIONS, 81)
    best = int(np.argmin([loss(value) for value in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    prior: FloatArray = mean * np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)
    return prior


def posterior_entropies_bits(counts: IntArray, prior: FloatArray) -> FloatArray:
    """Return each prompt's expected entropy under its posterior Dirichlet distribution, [m].

    Args:
        counts: How often each outcome was drawn for each prompt, [m, c].
        prior: Parameters of the Dirichlet prior, [c].

    >>> posterior_entropies_bits(np.array([[0, 0]]), np.array([1.0, 1.0])).round(4).tolist()
    [0.7213]
    """
    from scipy.special import psi

    parameters = counts + prior  # [m, c]
    total = parameters.sum(axis=1, keepdims=True)
    nats = (parameters / total * (psi(total + 1) - psi(parameters + 1))).sum(axis=1)
    bits: FloatArray = nats / np.log(2)
    return bits


def left_out_cross_entropies_bits(counts: IntArray, prior: FloatArray) -> FloatArray:
    """Return each prompt's mean of -log2 of a sample's probability predicted from its siblings and the prior, [m].

    Formula: mean over samples s of -log2 ((c_j - 1 + a_j) / (k - 1 + A)), j the outcome of s. In expectation a
    cross-entropy, hence at least H(F given X).

    Args:
        counts: How often each outcome was drawn for each prompt, at least two in all, [m, c].
        prior: Parameters of the Dirichlet prior, above 0 for every outcome drawn, [c].
    """
    totals = counts.sum(axis=1, keepdims=True)
    siblings = np.where(counts > 0, counts - 1 + prior, 1.0)
    logs = np.log2(siblings) - np.log2(totals - 1 + prior.sum())
    bits: FloatArray = -(counts / totals * logs).sum(axis=1)
    return bits


def collision_probabilities(counts: IntArray) -> FloatArray:
    """Return the share of pairs of a prompt's samples that agree, [m]: an unbiased estimate of sum over j of p_j^2.

    >>> collision_probabilities(np.array([[2, 1, 0]])).round(3).tolist()
    [0.333]
    """
    totals = counts.sum(axis=1)
    shares: FloatArray = (counts * (counts - 1)).sum(axis=1) / (totals * (totals - 1))
    return shares


def least_entropy_bits(collisions: FloatArray) -> FloatArray:
    """Return the least mean entropy that a mean collision probability allows: the polygon through (1/j, log2 j).

    Source: Harremoes and Topsoe, *Inequalities between entropy and index of coincidence* (2001). The polygon is convex,
    so the bound holds for means over prompts too.

    >>> least_entropy_bits(np.array([1.0, 0.75, 0.5, 0.25])).tolist()
    [0.0, 0.5, 1.0, 2.0]
    """
    shares = np.clip(collisions, 1e-6, 1.0)
    corner = np.floor(1 / shares + 1e-12)
    near, far = 1 / corner, 1 / (corner + 1)
    part = (near - shares) / (near - far)
    bits: FloatArray = (1 - part) * np.log2(corner) + part * np.log2(corner + 1)
    return np.maximum(bits, 0.0)


def least_entropy_tangent(collisions: FloatArray, masses: FloatArray) -> FloatArray:
    """Return values [m] whose mean touches `least_entropy_bits` of the mean collision probability, and stays below it.

    Args:
        collisions: Collision probability of each prompt, [m].
        masses: Mass of each prompt, where the two touch, [m].
    """
    mean = np.clip(masses @ collisions, 1e-6, 1.0)
    corner = np.floor(1 / mean + 1e-12)
    slope = -np.log2((corner + 1) / corner) * corner * (corner + 1)
    tangent: FloatArray = least_entropy_bits(mean) + slope * (collisions - mean)
    return tangent


def _survival(values: IntArray, n_times: int) -> FloatArray:
    """Return how many values exceed 0, 1, ..., n_times - 1."""
    at_most = np.cumsum(np.bincount(values, minlength=n_times))[:n_times]
    return (len(values) - at_most).astype(np.float64)
