"""The ceiling says how much is left to explain: an interval that misses it would shame or flatter every metamodel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from metamodel.ceiling import noise_ceiling
from metamodel.ceiling_statistics import (
    collision_probabilities,
    dirichlet_prior,
    least_entropy_bits,
    left_out_cross_entropies_bits,
    posterior_entropies_bits,
)
from metamodel.information import entropy_bits
from metamodel.types import FloatArray, IntArray


def two(yes: FloatArray) -> FloatArray:
    """Return binary distributions."""
    return np.column_stack([1 - yes, yes])


# Distribution of each prompt's probabilities, by name.
BEHAVIORS: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "uniform": lambda rng, n: two(rng.random(n)),
    "u_shaped": lambda rng, n: two(rng.beta(0.2, 0.2, n)),
    "coin": lambda _, n: two(np.full(n, 0.5)),
    "deterministic": lambda rng, n: two((rng.random(n) < 0.3).astype(np.float64)),
    "three_outcomes": lambda rng, n: rng.dirichlet([0.5, 1.0, 1.5], n),
}


def drawn(distributions: FloatArray, k: int, rng: np.random.Generator) -> IntArray:
    """Return k labels a prompt."""
    return rng.multinomial(k, distributions).astype(np.int64)


def test_intervals_cover_the_truth() -> None:
    """Over 60 simulated studies, k = 2, 20 and n = 50, 500, at least 93 % of the 95 % intervals hold I(F; X)."""
    rng = np.random.default_rng(4)
    misses = []
    for name, behavior in BEHAVIORS.items():
        population = behavior(rng, 400_000)
        truth = float(entropy_bits(population.mean(axis=0)) - entropy_bits(population).mean())
        for n_prompts in (50, 500):
            for k in (2, 20):
                for _ in range(3):
                    ceiling = noise_ceiling(drawn(behavior(rng, n_prompts), k, rng))
                    assert ceiling is not None
                    assert 0 <= ceiling.low_bits <= ceiling.bits <= ceiling.high_bits
                    if not ceiling.low_bits - 1e-3 <= truth <= ceiling.high_bits + 1e-3:
                        misses.append((name, n_prompts, k, truth, ceiling))
    assert len(misses) <= 0.07 * 60, misses


@pytest.mark.parametrize("name", ["uniform", "u_shaped", "three_outcomes"])
def test_many_samples_of_many_prompts_pin_the_ceiling_down(name: str) -> None:
    """The interval is not merely safe: with enough data it is short and its point right."""
    rng = np.random.default_rng(1)
    population = BEHAVIORS[name](rng, 3000)
    truth = float(entropy_bits(population.mean(axis=0)) - entropy_bits(population).mean())
    ceiling = noise_ceiling(drawn(population, 60, rng))
    assert ceiling is not None
    assert ceiling.bits == pytest.approx(truth, abs=0.02)
    assert ceiling.high_bits - ceiling.low_bits < 0.12


def test_prompts_may_differ_in_their_number_of_labels() -> None:
    """Missing samples must not bias the ceiling: rows of 1 to 6 labels still cover it."""
    rng = np.random.default_rng(2)
    misses = 0
    for _ in range(12):
        k = rng.integers(0, 7, size=300)
        yes = rng.binomial(k, rng.random(300))
        ceiling = noise_ceiling(np.column_stack([k - yes, yes]))
        assert ceiling is not None
        misses += not ceiling.low_bits <= 1 - 1 / (2 * np.log(2)) <= ceiling.high_bits
    assert misses <= 1


def test_greedy_labels_have_their_entropy_as_ceiling() -> None:
    """With greedy decoding a function of x knows the label; only H(F) itself is uncertain."""
    binary = noise_ceiling(np.array([[1, 0]] * 70 + [[0, 1]] * 30), is_deterministic=True)
    assert binary is not None
    assert binary.bits == pytest.approx(stats.entropy([0.7, 0.3], base=2), rel=1e-12)
    assert binary.low_bits == pytest.approx(stats.entropy([0.785, 0.215], base=2), abs=0.02)
    assert binary.high_bits == pytest.approx(stats.entropy([0.605, 0.395], base=2), abs=0.02)
    misses = 0
    rng = np.random.default_rng(0)
    shares = np.linspace(1, 3, 12) / 24
    truth = float(entropy_bits(shares))
    for _ in range(200):
        ceiling = noise_ceiling(rng.multinomial(1, shares, size=80), is_deterministic=True)
        assert ceiling is not None
        misses += not ceiling.low_bits <= truth <= ceiling.high_bits
    assert misses <= 0.07 * 200


def test_a_label_of_one_class_may_still_hide_rare_ones() -> None:
    """Fifty times "no" allow a rate of a few percent: the point is 0, the upper end is not."""
    cases = ((False, 3, [0]), (True, 1, [0]), (False, 3, [0, 0]), (True, 1, [0, 0]))
    for is_deterministic, k, rest in cases:
        ceiling = noise_ceiling(np.array([[k, *rest]] * 50), is_deterministic=is_deterministic)
        assert ceiling is not None
        assert ceiling.low_bits == 0
        assert ceiling.bits == pytest.approx(0, abs=1e-3)
        assert 0.3 < ceiling.high_bits < 0.5


def test_what_cannot_be_known_is_none() -> None:
    """One sample a prompt says nothing about noise; one prompt says nothing about prompts."""
    assert noise_ceiling(np.array([[1, 0], [0, 1], [0, 0]])) is None
    assert noise_ceiling(np.array([[1, 0], [0, 5]])) is None
    assert noise_ceiling(np.array([[3, 2]])) is None
    assert noise_ceiling(np.array([[1, 0]]), is_deterministic=True) is None
    assert noise_ceiling(np.zeros((9, 2), dtype=np.int64), is_deterministic=True) is None


@pytest.mark.parametrize("name", ["uniform", "three_outcomes"])
def test_the_order_of_prompts_does_not_matter(name: str) -> None:
    """A rerun must not move a published figure: nothing is drawn at random."""
    counts = drawn(BEHAVIORS[name](np.random.default_rng(0), 60), 3, np.random.default_rng(1))
    first, turned = noise_ceiling(counts), noise_ceiling(counts[::-1])
    assert first is not None
    assert turned is not None
    assert dataclasses.astuple(first) == pytest.approx(dataclasses.astuple(turned), abs=1e-9)


def test_dirichlet_prior_maximizes_scipys_likelihood() -> None:
    """Counting how often a count is exceeded gives the Dirichlet-multinomial likelihood that scipy computes."""
    rng = np.random.default_rng(3)
    counts = drawn(rng.dirichlet([0.6, 1.0, 1.4], 200), 5, rng)
    mean = (counts / 5).mean(axis=0)
    expected = minimize_scalar(
        lambda log: -stats.dirichlet_multinomial.logpmf(counts, mean * np.exp(log), np.array(5)).sum(),
        bracket=(0.0, 1.0),
    )
    assert dirichlet_prior(counts).sum() == pytest.approx(np.exp(expected.x), rel=1e-3)


def test_posterior_entropy_agrees_with_simulation() -> None:
    """The closed form is the mean entropy of draws from the posterior."""
    counts, prior = np.array([[1, 0, 2], [0, 4, 0]]), np.array([0.5, 0.3, 0.8])
    rng = np.random.default_rng(0)
    simulated = [entropy_bits(rng.dirichlet(row + prior, size=200_000)).mean() for row in counts]
    np.testing.assert_allclose(posterior_entropies_bits(counts, prior), simulated, atol=0.004)


def test_left_out_cross_entropy_predicts_each_sample_from_its_siblings() -> None:
    """The vectorized formula is the loop over samples."""
    counts, prior = np.array([[2, 0, 1], [0, 2, 0]]), np.array([0.5, 0.3, 0.8])
    expected = []
    for row in counts:
        losses = []
        for outcome in np.repeat(np.arange(3), row):
            parameters = row - np.eye(3)[outcome] + prior
            losses.append(-np.log2(parameters[outcome] / parameters.sum()))
        expected.append(np.mean(losses))
    np.testing.assert_allclose(left_out_cross_entropies_bits(counts, prior), expected, rtol=1e-13)


def test_collisions_are_unbiased_and_bound_the_entropy_from_below() -> None:
    """Pairs estimate sum p^2 without bias, and no distribution has less entropy than the polygon says."""
    rng = np.random.default_rng(0)
    distributions = rng.dirichlet([0.4] * 5, size=20_000)
    collisions = (distributions**2).sum(axis=1)
    assert (entropy_bits(distributions) >= least_entropy_bits(collisions) - 1e-9).all()
    estimated = collision_probabilities(drawn(distributions, 3, rng))
    assert estimated.mean() == pytest.approx(collisions.mean(), abs=0.012)
    uniform = [least_entropy_bits(np.array(1 / j)) for j in (1, 2, 3, 7)]
    np.testing.assert_allclose(uniform, np.log2([1, 2, 3, 7]), atol=1e-12)
