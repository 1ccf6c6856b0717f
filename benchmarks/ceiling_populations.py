"""Populations of prompts whose noise ceiling is known exactly: what the simulation study of its interval draws from.

A population is a finite mixture. A component is one distribution of the label, which all its prompts share, or a
Dirichlet distribution of such distributions; for both the mean and the mean entropy have closed forms, so I(F; X) is
exact and no simulation.

Shapes in this file: n = prompts, k = samples a prompt, c = outcomes, m = components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import psi

from metamodel.information import entropy_bits
from metamodel.labels import Count, Real
from metamodel.types import FloatArray, IntArray

SHARE_KEPT = 0.7


@dataclass(frozen=True, kw_only=True)
class Population:
    """A mixture of distributions of a label over prompts.

    Attributes:
        weights: Share of the prompts in each component, [m].
        parameters: The shared distribution, or the Dirichlet distribution's parameters, of each component, [m, c].
        is_point: Whether all prompts of the component share one distribution, [m].
        share_kept: Chance that a sample is not missing, whatever its label.
    """

    weights: FloatArray
    parameters: FloatArray
    is_point: IntArray
    share_kept: float = 1.0

    @property
    def bits(self) -> float:
        """I(F; X), exactly; the entropy of a Dirichlet draw is Wolpert and Wolf's (1995)."""
        totals = self.parameters.sum(axis=1, keepdims=True)
        shares = self.parameters / totals
        positive = np.maximum(self.parameters, np.finfo(float).tiny)
        dirichlet = (shares * (psi(totals + 1) - psi(positive + 1))).sum(axis=1) / np.log(2)
        within = np.where(self.is_point, entropy_bits(shares), dirichlet)
        return float(entropy_bits(self.weights @ shares) - self.weights @ within)

    def drawn(self, n_prompts: int, k: int, rng: np.random.Generator) -> IntArray:
        """Return how often each outcome was drawn for each of n prompts, [n, c]."""
        component = rng.choice(len(self.weights), size=n_prompts, p=self.weights)
        rows = self.parameters[component]  # [n, c]
        is_free = self.is_point[component] == 0
        gammas = rng.standard_gamma(rows[is_free])
        rows[is_free] = gammas / gammas.sum(axis=1, keepdims=True)
        kept = rng.binomial(k, self.share_kept, size=n_prompts)
        return rng.multinomial(kept, rows).astype(np.int64)


def points(distributions: FloatArray, weights: FloatArray | None = None, *, share_kept: float = 1.0) -> Population:
    """Return a mixture of shared distributions [m, c], equally frequent unless weights [m] are given."""
    rows = np.asarray(distributions, dtype=np.float64)
    shares = np.full(len(rows), 1 / len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    return Population(
        weights=shares, parameters=rows, is_point=np.ones(len(rows), dtype=np.int64), share_kept=share_kept
    )


def dirichlet(parameters: FloatArray, *, share_kept: float = 1.0) -> Population:
    """Return prompts whose distributions are drawn from one Dirichlet distribution [c]."""
    rows = np.asarray(parameters, dtype=np.float64)[None]
    return Population(weights=np.ones(1), parameters=rows, is_point=np.zeros(1, dtype=np.int64), share_kept=share_kept)


def half_certain(certain: FloatArray, parameters: FloatArray) -> Population:
    """Return prompts of which half are certain, with outcome shares [c], and half drawn from a Dirichlet one [c]."""
    n_outcomes = len(certain)
    return Population(
        weights=np.append(certain / 2, 0.5),
        parameters=np.vstack([np.eye(n_outcomes), parameters]),
        is_point=np.append(np.ones(n_outcomes, dtype=np.int64), 0),
    )


def rare_shares(n_outcomes: int, rate: float) -> FloatArray:
    """Return shares of which the first has all but the rate, which the others share alike, [c]."""
    return np.append(1 - rate, np.full(n_outcomes - 1, rate / (n_outcomes - 1)))


def binary_populations() -> dict[str, Population]:
    """Return the shapes of a binary label."""

    def two(*yes: float) -> FloatArray:
        return np.column_stack([1 - np.array(yes), np.array(yes)])

    return {
        "all alike, 0.5": points(two(0.5)),
        "all alike, 0.05": points(two(0.05)),
        "certain, 30 % yes": points(np.eye(2), np.array([0.7, 0.3])),
        "certain, 5 % yes": points(np.eye(2), np.array([0.95, 0.05])),
        "two points, 0.1 and 0.8": points(two(0.1, 0.8)),
        "5 % at 0.6, else 0": points(two(0.0, 0.6), np.array([0.95, 0.05])),
        "U, beta(0.2, 0.2)": dirichlet(np.array([0.2, 0.2])),
        "uniform": dirichlet(np.ones(2)),
        "rare, beta(0.1, 1.9)": dirichlet(np.array([1.9, 0.1])),
        "half certain, half uniform": half_certain(np.array([0.7, 0.3]), np.ones(2)),
        "uniform, 30 % missing": dirichlet(np.ones(2), share_kept=SHARE_KEPT),
    }


def categorical_populations(n_outcomes: int) -> dict[str, Population]:
    """Return the shapes of a categorical label."""
    falling = 1 / np.arange(1, n_outcomes + 1)
    falling = falling / falling.sum()
    rare = rare_shares(n_outcomes, 0.05)
    sparse = np.full(n_outcomes, 1 / n_outcomes)
    return {
        "all alike, falling": points(falling[None]),
        "all alike, 5 % rare": points(rare[None]),
        "certain, falling": points(np.eye(n_outcomes), falling),
        "certain, 5 % rare": points(np.eye(n_outcomes), rare),
        "two points, falling and rising": points(np.stack([falling, falling[::-1]])),
        "uniform": dirichlet(np.ones(n_outcomes)),
        "sparse Dirichlet": dirichlet(sparse),
        "rare, Dirichlet": dirichlet(2 * rare),
        "half certain, half uniform": half_certain(falling, np.ones(n_outcomes)),
        "sparse, 30 % missing": dirichlet(sparse, share_kept=SHARE_KEPT),
    }


def count_populations() -> dict[str, Population]:
    """Return the shapes of a count label: Poisson counts in the bins of the default label space."""
    edges = np.array([0, *Count().edges])

    def binned(rates: FloatArray) -> FloatArray:
        below = np.column_stack([stats.poisson.cdf(edges[None] - 1, rates[:, None]), np.ones(len(rates))])  # [m, c + 1]
        return np.diff(below, axis=1)

    # Rates at the quantiles of a log-normal distribution: a finite population, so its ceiling is a sum.
    spread = np.exp(2.5 + 1.2 * stats.norm.ppf((np.arange(60) + 0.5) / 60))
    certain = binned(spread).mean(axis=0)
    never = np.eye(len(edges))[:1]
    return {
        "all alike, Poisson(6)": points(binned(np.array([6.0]))),
        "Poisson, log-normal rates": points(binned(spread)),
        "certain, log-normal": points(np.eye(len(edges)), certain),
        "95 % zero, else Poisson(20)": points(
            np.concatenate([never, binned(np.array([20.0]))]), np.array([0.95, 0.05])
        ),
        "Poisson, 30 % missing": points(binned(spread), share_kept=SHARE_KEPT),
    }


def real_populations() -> dict[str, Population]:
    """Return the shapes of a real label: beta values in the ten bins of the default label space."""
    edges = np.array([0.0, *Real().edges, 1.0])
    means = (np.arange(49) + 1) / 50

    def binned(mean: FloatArray, size: float) -> FloatArray:
        rows: FloatArray = np.diff(
            stats.beta.cdf(edges[None], mean[:, None] * size, (1 - mean[:, None]) * size), axis=1
        )
        return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float64)

    never = np.eye(len(edges) - 1)[:1]
    return {
        "all alike, beta(2, 2)": points(binned(np.array([0.5]), 4.0)),
        "beta, spread means": points(binned(means, 20.0)),
        "certain, U": points(np.eye(len(edges) - 1), binned(np.array([0.4]), 1.0)[0]),
        "95 % lowest bin, else beta(2, 2)": points(
            np.concatenate([never, binned(np.array([0.5]), 4.0)]), np.array([0.95, 0.05])
        ),
        "beta, 30 % missing": points(binned(means, 20.0), share_kept=SHARE_KEPT),
    }


def sampled_populations() -> dict[str, Mapping[str, Population]]:
    """Return the populations of labels that are sampled, by label space and shape."""
    return {
        "binary": binary_populations(),
        "categorical 3": categorical_populations(3),
        "categorical 5": categorical_populations(5),
        "categorical 10": categorical_populations(10),
        "count": count_populations(),
        "real": real_populations(),
    }


def greedy_populations() -> dict[str, Mapping[str, Population]]:
    """Return the populations of labels that are functions of the prompt: greedy decoding."""
    found: dict[str, Mapping[str, Population]] = {}
    for space, shapes in sampled_populations().items():
        certain = {name: population for name, population in shapes.items() if name.startswith("certain")}
        n_outcomes = next(iter(certain.values())).parameters.shape[1]
        rare = points(np.eye(n_outcomes), rare_shares(n_outcomes, 0.02))
        even = points(np.eye(n_outcomes))
        found[space] = {**certain, "certain, 2 % rare": rare, "certain, even": even}
    return found
