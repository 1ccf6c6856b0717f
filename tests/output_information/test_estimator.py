"""Information by cross-scoring: against enumeration on a primary model with 8 outputs, bounds, coverage, chance."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest

from metamodel.information import entropy_bits
from metamodel.labels import Binary, Categorical
from metamodel.output_information.estimator import (
    CrossScores,
    conditional_entropy,
    partition_information,
    partitions_information,
    population_bounds,
    population_high,
)
from metamodel.output_information.intervals import interval_of
from metamodel.output_information.partitions import (
    bins_within,
    by_chance,
    clustered_bins,
    clustered_within,
    joined,
    positions,
    quantile_bins,
)
from metamodel.output_information.readers import output_entropy
from metamodel.types import FloatArray, IntArray

N_OUTPUTS = 8


class Toy(NamedTuple):
    """A primary model with 8 outputs: p(y given x) of each prompt, [n, 8], and a function B of the prompt, [n]."""

    likelihoods: FloatArray
    bins: IntArray


def toy(n_prompts: int, *, seed: int, concentration: float = 0.3) -> Toy:
    """Return a random one."""
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, 3, n_prompts)
    means = rng.dirichlet(np.ones(N_OUTPUTS), size=3)[bins]
    rows = np.stack([rng.dirichlet(concentration * N_OUTPUTS * mean + 0.02) for mean in means])
    rows = np.maximum(rows, 1e-12)
    return Toy(rows / rows.sum(axis=1, keepdims=True), bins)


def by_enumeration(likelihoods: FloatArray, bins: IntArray) -> float:
    """Return I(Y; B) from its definition, H(Y) - H(Y given B), over all outputs."""
    shares = np.bincount(bins) / len(bins)
    conditional = [float(entropy_bits(likelihoods[bins == b].mean(axis=0))) for b in range(len(shares)) if shares[b]]
    return float(entropy_bits(likelihoods.mean(axis=0))) - float(shares[shares > 0] @ conditional)


def enumerated(likelihoods: FloatArray) -> CrossScores:
    """Return the matrix of all outputs of all prompts, each weighted by its probability: nothing is drawn."""
    n_prompts = len(likelihoods)
    return CrossScores(
        scores=np.tile(np.log(likelihoods.T), (n_prompts, 1)),
        sources=np.repeat(np.arange(n_prompts), N_OUTPUTS),
        weights=likelihoods.ravel() / n_prompts,
    )


def drawn(likelihoods: FloatArray, rng: np.random.Generator, *, n_outputs: int = 1) -> CrossScores:
    """Return the matrix of outputs drawn from each prompt."""
    sources = np.repeat(np.arange(len(likelihoods)), n_outputs)
    outputs = np.array([rng.choice(N_OUTPUTS, p=likelihoods[source]) for source in sources])
    return CrossScores.of_drawn(np.log(likelihoods[:, outputs].T), sources)


@pytest.mark.parametrize("seed", range(4))
def test_enumerated_outputs_give_the_exact_information(seed: int) -> None:
    """With all outputs in place of drawn ones, every quantity equals its definition to rounding."""
    model = toy(24, seed=seed)
    cross = enumerated(model.likelihoods)
    singletons = np.arange(24)
    assert partition_information(cross, singletons).bits == pytest.approx(
        by_enumeration(model.likelihoods, singletons), abs=1e-12
    )
    assert partition_information(cross, model.bins).bits == pytest.approx(
        by_enumeration(model.likelihoods, model.bins), abs=1e-12
    )
    assert conditional_entropy(cross).bits == pytest.approx(entropy_bits(model.likelihoods).mean(), abs=1e-12)
    assert output_entropy(cross).bits == pytest.approx(entropy_bits(model.likelihoods.mean(axis=0)), abs=1e-12)


def test_drawn_outputs_converge_to_the_enumeration() -> None:
    """The only error is that of drawing outputs: it shrinks as the square root of their number."""
    model = toy(24, seed=1)
    truth = by_enumeration(model.likelihoods, model.bins)
    rng = np.random.default_rng(0)
    errors = [
        np.mean(
            [
                (partition_information(drawn(model.likelihoods, rng, n_outputs=k), model.bins).bits - truth) ** 2
                for _ in range(60)
            ]
        )
        for k in (1, 16)
    ]
    assert errors[1] < errors[0] / 8
    estimates = [partition_information(drawn(model.likelihoods, rng), model.bins).bits for _ in range(400)]
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * np.std(estimates) / 20)


@pytest.mark.parametrize("seed", range(4))
def test_influence_is_the_derivative_by_a_prompt(seed: int) -> None:
    """Repeating one prompt moves each statistic by its influence: the interval's linearization is right."""
    model = toy(40, seed=seed)
    outputs = np.random.default_rng(seed).integers(0, N_OUTPUTS, 40)

    def cross(repeats: int, place: int) -> tuple[CrossScores, IntArray]:
        # Every prompt many times over, one of them once more: a small change of its weight.
        rows = np.concatenate([np.repeat(np.arange(40), repeats), [place]])
        likelihoods = model.likelihoods[rows]
        return CrossScores.of_drawn(np.log(likelihoods[:, outputs[rows]].T), np.arange(len(rows))), model.bins[rows]

    base = CrossScores.of_drawn(np.log(model.likelihoods[:, outputs].T), np.arange(40))
    found = partition_information(base, model.bins)
    entropy = output_entropy(base)
    repeats = 20
    for place in (0, 7, 23):
        moved, bins = cross(repeats, place)
        step = moved.n_prompts
        change = (partition_information(moved, bins).bits - found.bits) * step
        assert change == pytest.approx(found.influence[place], abs=0.02 + 0.05 * abs(found.influence[place]))
        change = (output_entropy(moved).bits - entropy.bits) * step
        assert change == pytest.approx(entropy.influence[place], abs=0.02 + 0.05 * abs(entropy.influence[place]))


def test_no_output_exceeds_the_bound_and_no_function_exceeds_the_prompt() -> None:
    """I(Y; X) is at most log2 n, reached where outputs give prompts away; B never tells more than X."""
    certain = CrossScores.of_drawn(np.where(np.eye(16, dtype=bool), -3.0, -500.0), np.arange(16))
    assert partition_information(certain, certain.singletons).bits == pytest.approx(4.0, abs=1e-12)
    assert partition_information(certain, np.arange(16) // 8).bits == pytest.approx(1.0, abs=1e-12)
    assert np.abs(partition_information(certain, certain.singletons).influence).max() < 1e-9
    for seed in range(20):
        model = toy(16, seed=seed)
        cross = drawn(model.likelihoods, np.random.default_rng(seed))
        whole = partition_information(cross, cross.singletons).bits
        assert -1e-12 <= partition_information(cross, model.bins).bits <= whole <= 4.0


@pytest.mark.slow
@pytest.mark.parametrize("n_prompts", [20, 100])
def test_intervals_cover_the_population(n_prompts: int) -> None:
    """Of 200 samples, at least 93 in 100 intervals hold the population's I(Y; X), and as many its I(Y; B)."""
    population = toy(60, seed=5)
    whole = by_enumeration(population.likelihoods, np.arange(60))
    part = by_enumeration(population.likelihoods, population.bins)
    rng = np.random.default_rng(0)
    n_samples, covered = 200, np.zeros(2)
    lows, highs = [], []
    for seed in range(n_samples):
        chosen = rng.integers(0, 60, n_prompts)
        cross = drawn(population.likelihoods[chosen], rng)
        low, high = partition_information(cross, cross.singletons), population_high(cross)
        below, above = population_bounds(cross, population.bins[chosen])
        ends = [interval_of([one], n_draws=200, seed=seed) for one in (low, high, below, above)]
        (first, second, third, fourth) = [end for end in ends if end is not None]
        covered += [first.low <= whole <= second.high, third.low <= part <= fourth.high]
        lows.append(low.bits)
        highs.append(high.bits)
    assert (covered / n_samples >= 0.93).all(), covered / n_samples
    # Poole et al. (2019): the one is a lower and the other an upper bound in expectation.
    assert np.mean(lows) < whole + 2 * np.std(lows) / np.sqrt(n_samples)
    assert np.mean(highs) > whole - 2 * np.std(highs) / np.sqrt(n_samples)


@pytest.mark.slow
def test_a_function_that_knows_nothing_explains_chance_alone() -> None:
    """Random bins explain bits, but none above chance; the interval above chance holds zero, p is uniform."""
    population = toy(80, seed=2)
    rng = np.random.default_rng(0)
    above, p_values = [], []
    for seed in range(100):
        chosen = rng.integers(0, 80, 48)
        cross = drawn(population.likelihoods[chosen], rng)
        bins = rng.integers(0, 4, 48)
        found = partition_information(cross, bins)
        chance = by_chance(cross, bins, n_permutations=60, seed=seed)
        assert chance.mean.bits > 0
        above.append(found.bits - chance.mean.bits)
        p_values.append(np.mean(chance.bits >= found.bits))
    assert abs(np.mean(above)) < 4 * np.std(above) / 10
    assert 0.35 < np.mean(p_values) < 0.65
    informed = by_chance(cross, population.bins[chosen], n_permutations=60, seed=0)
    assert partition_information(cross, population.bins[chosen]).bits > informed.bits.max()


def test_chance_within_groups_keeps_what_groups_explain() -> None:
    """Shuffles within groups never undo what the groups themselves explain."""
    model = toy(36, seed=3)
    cross = drawn(model.likelihoods, np.random.default_rng(0))
    bins = np.arange(36) % 2
    chance = by_chance(cross, bins, groups=model.bins, n_permutations=30, seed=0)
    alone = partition_information(cross, model.bins).bits
    assert (chance.bits >= alone - 1e-12).all()
    assert by_chance(cross, bins * 0, groups=model.bins, n_permutations=5, seed=0).bits == pytest.approx([alone] * 5)


def test_partitions_together_are_partitions_alone() -> None:
    """Many partitions in one product give what each gives by itself."""
    model = toy(20, seed=4)
    cross = drawn(model.likelihoods, np.random.default_rng(1), n_outputs=2)
    partitions = np.stack([model.bins, np.arange(20) % 5, np.zeros(20, dtype=np.int64)])
    bits, influence = partitions_information(cross, partitions)
    for place, bins in enumerate(partitions):
        alone = partition_information(cross, bins)
        assert bits[place] == pytest.approx(alone.bits, abs=1e-12)
        np.testing.assert_allclose(influence[place], alone.influence, atol=1e-12)
    assert bits[2] == pytest.approx(0, abs=1e-12)


def test_bounds_of_one_bin_and_of_lonely_prompts() -> None:
    """The bounds of a constant B hold zero between them; a prompt alone in its bin has finite bounds."""
    model = toy(30, seed=6)
    cross = drawn(model.likelihoods, np.random.default_rng(0))
    low, high = population_bounds(cross, np.zeros(30, dtype=np.int64))
    assert low.bits <= 0 <= high.bits
    low, high = population_bounds(cross, cross.singletons)
    assert np.isfinite(low.bits)
    assert high.bits == pytest.approx(population_high(cross).bits)
    impossible = CrossScores.of_drawn(np.where(np.eye(4, dtype=bool), 0.0, -np.inf), np.arange(4))
    assert population_high(impossible).bits == np.inf
    assert interval_of([population_high(impossible)], n_draws=100, seed=0) is None


def test_bins_look_at_predictions_alone() -> None:
    """Quantile bins are even, equal predictions share one, categories stay together, groups get bins of their own."""
    values = np.random.default_rng(0).random(64)
    assert np.bincount(quantile_bins(values, n_bins=8)).tolist() == [8] * 8
    rare = np.r_[np.zeros(60), np.linspace(0.1, 0.9, 12)]
    assert np.bincount(quantile_bins(rare, n_bins=4)).tolist() == [60, 12]
    predicted = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1]])
    order = np.argsort(positions(predicted, Categorical(classes=("a", "b", "c"))))
    assert order.tolist() == [0, 1, 3, 2]
    assert positions(predicted[:, :2], Binary()).tolist() == [0.1, 0.4, 0.2, 0.7]
    groups = np.repeat([0, 1], 32)
    within = bins_within(values + groups, groups, n_bins=8)
    assert np.bincount(joined(groups, within)).tolist() == [8] * 8
    assert set(clustered_bins(np.ones((9, 2)), n_bins=3, seed=0).tolist()) == {0}
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=2))).repeat(16, axis=0)
    assert np.bincount(clustered_bins(corners, n_bins=8, seed=0)).tolist() == [16] * 4
    assert np.bincount(joined(groups, clustered_within(corners, groups, n_bins=8, seed=0))).tolist() == [16] * 4


def test_scores_that_are_none_are_refused() -> None:
    """A score that is no number, an output that nothing can give, a prompt without an output or without others."""
    with pytest.raises(ValueError, match="possible"):
        CrossScores.of_drawn(np.array([[np.nan, 0.0], [0.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(ValueError, match="possible"):
        CrossScores.of_drawn(np.array([[-np.inf, -np.inf], [0.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(ValueError, match="every prompt"):
        CrossScores.of_drawn(np.zeros((2, 2)), np.array([0, 0]))
    with pytest.raises(ValueError, match="at least two"):
        population_high(CrossScores.of_drawn(np.zeros((1, 1)), np.array([0])))
