"""The bounds are only worth their sharpness if they are the true extremes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binom

from metamodel.ceiling import _binomial_likelihood
from metamodel.information import entropy_bits
from metamodel.mixture_bounds import MixtureLikelihood, _best_masses, profile_interval
from metamodel.types import FloatArray


def labels(k: int, yes: FloatArray, n_prompts: int) -> MixtureLikelihood:
    """Return the likelihood of labels whose histogram is exactly that of equally likely probabilities."""
    histogram = np.asarray(binom.pmf(np.arange(k + 1)[:, None], k, yes)).mean(axis=1) * n_prompts
    counts = np.column_stack([k - np.arange(k + 1), np.arange(k + 1)])
    likelihood = _binomial_likelihood(counts)
    order = np.lexsort((counts[:, 1], counts[:, 0]))
    return MixtureLikelihood(
        pattern_likelihoods=likelihood.pattern_likelihoods,
        pattern_weights=histogram[order],
        outcome_probabilities=likelihood.outcome_probabilities,
    )


@pytest.mark.parametrize(("k", "alpha"), [(2, 1.0), (3, 0.4), (5, 1.0)])
def test_bounds_converge_to_the_linear_programs_extremes(k: int, alpha: float) -> None:
    """With endless prompts the interval is exactly what k moments leave open, which a linear program finds."""
    yes = np.random.default_rng(0).beta(alpha, alpha, size=4000)
    yes = np.concatenate([yes, 1 - yes])
    likelihood = labels(k, yes, 10**7)
    points = likelihood.outcome_probabilities[:, 1]
    moments = points ** np.arange(k + 1)[:, None]
    wanted = (yes ** np.arange(k + 1)[:, None]).mean(axis=1)
    slack = 1e-6
    sides, ends = np.concatenate([moments, -moments]), np.concatenate([wanted + slack, slack - wanted])
    bits = likelihood.conditional_entropies
    solutions = [np.asarray(linprog(sign * bits, A_ub=sides, b_ub=ends).x, dtype=np.float64) for sign in (1, -1)]
    least, most = (float(bits @ solution) for solution in solutions)
    low, high = profile_interval(likelihood, low_slack=2.0, high_slack=2.0)
    assert [low, high] == pytest.approx([1 - most, 1 - least], abs=4e-3)


def test_best_masses_satisfy_the_optimality_conditions() -> None:
    """No grid point's likelihood ratio exceeds one at the nonparametric optimum (Lindsay's gradient condition)."""
    rng = np.random.default_rng(1)
    drawn = rng.binomial(5, rng.beta(0.5, 1.0, size=300))
    likelihood = _binomial_likelihood(np.column_stack([5 - drawn, drawn]))
    fitted = likelihood.pattern_likelihoods @ _best_masses(likelihood)
    ratios = likelihood.pattern_likelihoods.T @ (likelihood.pattern_weights / fitted) / 300
    assert ratios.max() <= 1 + 1e-5


def test_ends_of_certain_labels_are_likelihood_ratio_ends_of_a_proportion() -> None:
    """Where all samples of a prompt agree the program is a binomial one, whose ends are known."""
    certain = MixtureLikelihood(
        pattern_likelihoods=np.eye(2), pattern_weights=np.array([70.0, 30.0]), outcome_probabilities=np.eye(2)
    )
    rates = np.linspace(0.1, 0.6, 50_001)
    losses = 70 * np.log((1 - rates) / 0.7) + 30 * np.log(rates / 0.3)
    inside = entropy_bits(np.column_stack([1 - rates, rates]))[losses >= -2.0]
    ends = profile_interval(certain, low_slack=2.0, high_slack=2.0)
    assert ends == pytest.approx((inside.min(), inside.max()), abs=2e-3)


def test_more_slack_never_narrows_the_interval() -> None:
    """The plausible set grows with the slack."""
    likelihood = labels(3, np.linspace(0.05, 0.6, 50), 100)
    narrow = profile_interval(likelihood, low_slack=0.5, high_slack=0.5)
    wide = profile_interval(likelihood, low_slack=3.0, high_slack=3.0)
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]
