"""The ends of the ceiling's interval are extremes over likely masses: they must be the true extremes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from metamodel.ceiling_statistics import least_entropy_bits, least_entropy_tangent
from metamodel.empirical_likelihood import (
    PromptKinds,
    jackknifed,
    largest_mean_masses,
    least_information,
    most_information,
    rare_slack,
    with_unseen,
)
from metamodel.information import entropy_bits
from metamodel.types import FloatArray

SLACK = 1.92


def multinomial_rates(weights: FloatArray, slack: float) -> FloatArray:
    """Return the rates of a fine grid on the simplex whose multinomial likelihood is near the best, [grid, 3]."""
    first, second = (axis.ravel() / 2000 for axis in np.meshgrid(np.arange(2001), np.arange(2001)))
    rates = np.column_stack([first, second, 1 - first - second])[first + second <= 1]
    rates = np.maximum(rates, 0.0)
    seen = weights > 0
    with np.errstate(divide="ignore"):
        ratios = np.log(rates[:, seen] * weights.sum() / weights[seen]) @ weights[seen]
    likely: FloatArray = rates[ratios >= -slack]
    return likely


@pytest.mark.parametrize("weights", [[30.0, 15.0, 5.0], [47.0, 3.0, 0.0], [50.0, 0.0, 0.0]])
def test_ends_of_an_entropy_are_the_extremes_over_likely_rates(weights: list[float]) -> None:
    """With one certain label a prompt the ends are those of a search over all likely multinomial rates."""
    counts = np.array(weights)
    shares = np.eye(3)[counts > 0]
    inside = entropy_bits(multinomial_rates(counts, SLACK))
    prompts = with_unseen(shares, counts[counts > 0])
    high = most_information(prompts, lambda _: np.zeros(len(prompts.weights)), slack=SLACK)
    low = least_information(PromptKinds(shares=shares, weights=counts[counts > 0]), np.zeros(len(shares)), slack=SLACK)
    assert high == pytest.approx(inside.max(), abs=4e-3)
    assert low == pytest.approx(inside.min(), abs=4e-3)


def test_masses_satisfy_the_conditions_of_the_optimum() -> None:
    """The constraint is tight, and masses are n_i / (eta - v_i) up to a factor, as Lagrange's conditions say."""
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=40), rng.integers(1, 5, size=40).astype(np.float64)
    masses = largest_mean_masses(values, weights, slack=SLACK)
    assert masses.sum() == pytest.approx(1, rel=1e-12)
    assert weights @ np.log(masses * weights.sum() / weights) == pytest.approx(-SLACK, abs=1e-4)
    slope, cut = np.polyfit(values, weights / masses, 1)
    np.testing.assert_allclose(slope * values + cut, weights / masses, rtol=1e-6)


def test_the_mean_of_a_rate_is_a_likelihood_ratio_end() -> None:
    """Of zeros and ones the largest mean is the upper end of the binomial likelihood ratio, by bisection."""
    masses = largest_mean_masses(np.array([0.0, 1.0]), np.array([70.0, 30.0]), slack=SLACK)
    expected = brentq(lambda p: 70 * np.log((1 - p) / 0.7) + 30 * np.log(p / 0.3) + SLACK, 0.3, 0.9)
    assert masses[1] == pytest.approx(expected, abs=1e-6)


def test_a_loss_is_taken_off_where_it_lies() -> None:
    """A random search over likely masses finds nothing outside the ends, and comes close to both."""
    rng = np.random.default_rng(1)
    shares, losses = rng.dirichlet(np.ones(3), size=4), rng.random(4)
    prompts = PromptKinds(shares=shares, weights=np.full(4, 10.0))
    masses = rng.dirichlet(np.full(4, 10.0), size=400_000)
    masses = masses[10 * np.log(4 * masses).sum(axis=1) >= -SLACK]
    found = entropy_bits(masses @ shares) - masses @ losses
    high = most_information(prompts, lambda _: losses, slack=SLACK)
    low = least_information(prompts, losses, slack=SLACK)
    assert found.max() <= high <= found.max() + 0.02
    assert found.min() - 0.02 <= low <= found.min() + 1e-4


def test_rare_slack_is_the_deviance_of_garwoods_limit() -> None:
    """Scipy's chi-square gives the exact limit; the Poisson log-likelihood falls by the slack on the way to it."""
    for n_events in (0, 1, 2, 7, 40):
        limit = stats.chi2.ppf(0.975, 2 * n_events + 2) / 2
        fall = stats.poisson.logpmf(n_events, max(n_events, 1e-300)) - stats.poisson.logpmf(n_events, limit)
        assert rare_slack(n_events) == pytest.approx(fall, rel=1e-9)
    assert rare_slack(10**7) == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, abs=2e-3)


def test_the_tangent_touches_the_polygon_and_stays_below_it() -> None:
    """Averaged tangents are bounds only if none crosses the polygon anywhere."""
    collisions = np.linspace(0, 1, 60)
    rng = np.random.default_rng(0)
    for _ in range(30):
        masses, others = rng.dirichlet(np.full(60, 0.1)), rng.dirichlet(np.full(60, 0.1), size=200)
        values = least_entropy_tangent(collisions, masses)
        assert masses @ values == pytest.approx(float(least_entropy_bits(masses @ collisions)), abs=1e-9)
        assert (others @ values <= least_entropy_bits(others @ collisions) + 1e-9).all()


def test_jackknife_leaves_out_each_prompt() -> None:
    """Counting kinds of prompts gives what the loop over all prompts gives."""
    rng = np.random.default_rng(2)
    rows = rng.multinomial(3, [0.6, 0.3, 0.08, 0.02], size=40) / 3
    kinds, times = np.unique(rows, axis=0, return_counts=True)
    losses = rng.random(len(kinds))
    place_of = [int(np.flatnonzero((kinds == row).all(axis=1))[0]) for row in rows]
    entropy = float(entropy_bits(rows.mean(axis=0)))
    left_out = np.array([entropy_bits(np.delete(rows, place, axis=0).mean(axis=0)) for place in range(40)])
    pseudo_values = 40 * entropy - 39 * left_out - losses[place_of]
    found = jackknifed(PromptKinds(shares=kinds, weights=times.astype(np.float64)), losses)
    assert found.bias_bits == pytest.approx(39 * (entropy - left_out.mean()), rel=1e-9)
    assert found.standard_error_bits == pytest.approx(stats.sem(pseudo_values), rel=1e-9)
