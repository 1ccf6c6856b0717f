"""Intervals decide which differences are claimed."""

from __future__ import annotations

import numpy as np
import pytest

from metamodel import bootstrap
from metamodel.bootstrap import (
    bootstrap_means,
    bootstrap_weights,
    entropy_bias_bits,
    macro_difference_interval,
    macro_reduction_interval,
    paired_difference_interval,
    percentile_levels,
    reduction_interval,
)
from metamodel.information import empirical_distributions, entropy_bits, reduction_bits
from metamodel.types import FloatArray, IntArray


def planted(n_prompts: int, seed: int, *, k: int = 3, error: float = 0.0) -> tuple[IntArray, FloatArray]:
    """Return labels with probability 0.1 or 0.8 of yes, and predictions that are off by a factor of the odds."""
    rng = np.random.default_rng(seed)
    yes = np.where(rng.random(n_prompts) < 0.5, 0.1, 0.8)
    odds = yes / (1 - yes) * np.exp(error)
    drawn = rng.binomial(k, yes)
    return np.column_stack([k - drawn, drawn]), np.column_stack([1 / (1 + odds), odds / (1 + odds)])


# H(F) - H(F given X) of `planted`, whose predictions without error are the truth.
PLANTED_BITS = float(entropy_bits(np.array([0.55, 0.45])) - entropy_bits(np.array([[0.9, 0.1], [0.2, 0.8]])).mean())


def test_weights_are_multinomial_counts_over_n(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws have a multinomial's mean and variance, also across the chunks that bound memory."""
    monkeypatch.setattr(bootstrap, "_CHUNK_WEIGHTS", 1000)
    chunks = list(bootstrap_weights(10, n_draws=20_050, seed=3))
    weights = np.concatenate(chunks)
    assert len(chunks) > 1
    assert weights.shape == (20_050, 10)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.mean(axis=0), 0.1, atol=0.004)
    np.testing.assert_allclose(weights.var(axis=0), 0.1 * 0.9 / 10, rtol=0.06)


def test_weights_depend_on_the_seed_alone() -> None:
    """The same seed pairs two metamodels; another one draws anew."""
    first, again, other = (bootstrap_means(np.eye(20), n_draws=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_reduction_interval_agrees_with_a_loop_over_resampled_prompts() -> None:
    """The matrix product is the textbook bootstrap: resample prompts, recompute H(F) and the cross-entropy."""
    counts, probabilities = planted(80, 0, error=0.5)
    counts[:7] = 0
    rng = np.random.default_rng(1)
    labeled = np.flatnonzero(counts.sum(axis=1))
    draws = []
    for _ in range(1500):
        rows = rng.choice(labeled, size=len(labeled))
        draws.append(reduction_bits(counts[rows], probabilities[rows]))
    values = np.array(draws, dtype=np.float64)
    center, n = values.mean(), len(labeled)
    corrected = center + (values - center) * np.sqrt(n / (n - 1))
    corrected += 2 * entropy_bias_bits(empirical_distributions(counts))
    expected = np.quantile(corrected, percentile_levels(n - 1))
    interval = reduction_interval(counts, probabilities, n_draws=1500)
    assert interval is not None
    assert interval.value == pytest.approx(reduction_bits(counts, probabilities), rel=1e-12)
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.03)


def test_entropy_bias_is_millers_for_single_labels_and_smaller_for_clusters() -> None:
    """The correction equals (c - 1) / (2 n ln 2) with one label a prompt, and matches simulation with clusters."""
    single = np.eye(3)[np.arange(99) % 3]
    assert entropy_bias_bits(single) == pytest.approx(2 / (2 * 99 * np.log(2)), rel=1e-12)
    rng = np.random.default_rng(0)
    shares = rng.binomial(4, rng.beta(2, 2, size=(20_000, 40))) / 4
    means = shares.mean(axis=1)
    shortfall = 1 - entropy_bits(np.column_stack([means, 1 - means])).mean()
    predicted = np.mean([entropy_bias_bits(np.column_stack([row, 1 - row])) for row in shares[:500]])
    assert predicted == pytest.approx(shortfall, rel=0.06)


@pytest.mark.parametrize("n_prompts", [40, 200])
def test_reduction_interval_covers_the_planted_information(n_prompts: int) -> None:
    """Of 95 % intervals at least 92 % hold the population's bits, in 200 simulated studies."""
    hits = 0
    for seed in range(200):
        interval = reduction_interval(*planted(n_prompts, seed), n_draws=300, seed=seed)
        assert interval is not None
        hits += interval.low <= PLANTED_BITS <= interval.high
    assert 0.92 <= hits / 200 <= 0.99


def test_macro_interval_covers_the_mean_over_domains_of_unequal_size() -> None:
    """Resampling inside domains covers their unweighted mean, however unequal they are."""
    hits = 0
    for seed in range(120):
        domains = [planted(n_prompts, 3 * seed + part) for part, n_prompts in enumerate((30, 60, 300))]
        interval = macro_reduction_interval(domains, n_draws=300, seed=seed)
        assert interval is not None
        hits += interval.low <= PLANTED_BITS <= interval.high
    assert 0.91 <= hits / 120 <= 0.99


def test_paired_difference_covers_its_truth_and_is_tighter_than_two_intervals() -> None:
    """Pairing takes out what both metamodels share: the difference is known better than either reduction."""
    yes = np.array([0.1, 0.8])
    odds = yes / (1 - yes) * np.exp(0.7)
    wrong = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    right = np.column_stack([1 - yes, yes])
    truth = float((right * np.log2(right / wrong)).sum(axis=1).mean())
    hits = 0
    for seed in range(120):
        counts, own = planted(200, seed)
        rival = planted(200, seed, error=0.7)[1]
        difference = paired_difference_interval(counts, own, rival, n_draws=300, seed=seed)
        single = reduction_interval(counts, own, n_draws=300, seed=seed)
        assert difference is not None
        assert single is not None
        assert difference.high - difference.low < single.high - single.low
        hits += difference.low <= truth <= difference.high
    assert 0.91 <= hits / 120 <= 0.99


def test_difference_is_the_difference_of_reductions_and_changes_sign_with_the_sides() -> None:
    """The label entropy cancels, so the linear formula must give the same bits."""
    counts, own = planted(50, 5)
    rival = planted(50, 5, error=1.0)[1]
    there, back = (paired_difference_interval(counts, *pair) for pair in ((own, rival), (rival, own)))
    assert there is not None
    assert back is not None
    mine, theirs = reduction_bits(counts, own), reduction_bits(counts, rival)
    assert mine is not None
    assert theirs is not None
    assert there.value == pytest.approx(mine - theirs, abs=1e-12)
    np.testing.assert_allclose([back.low, back.value, back.high], [-there.high, -there.value, -there.low], atol=1e-12)


def test_macro_value_is_the_mean_over_domains_and_skips_empty_ones() -> None:
    """A large domain weighs no more than a small one; one without labels weighs nothing."""
    small, large = planted(20, 0), planted(400, 1, error=1.0)
    empty = (np.zeros((5, 2), dtype=np.int64), np.full((5, 2), 0.5))
    interval = macro_reduction_interval([small, empty, large])
    expected = np.mean([reduction_bits(*domain) for domain in (small, large)])
    assert interval is not None
    assert interval.value == pytest.approx(expected, rel=1e-12)


def test_shuffled_labels_hold_zero() -> None:
    """A metamodel that predicts the population's base rate gains nothing, and its interval says so."""
    misses = 0
    for seed in range(200):
        counts = np.random.default_rng(seed).multinomial(1, [0.3, 0.7], size=60)
        interval = reduction_interval(counts, np.tile([0.3, 0.7], (60, 1)), n_draws=200, seed=seed)
        assert interval is not None
        misses += not interval.low <= 0 <= interval.high
    assert misses <= 10


def test_interval_contains_its_value_when_labels_never_vary() -> None:
    """One class and a constant prediction leave nothing to resample; the upper end allows for a class not yet seen."""
    interval = reduction_interval(np.array([[3, 0]] * 10), np.array([[0.5, 0.5]] * 10))
    assert interval is not None
    assert interval.low <= interval.value <= interval.high
    assert interval.low == pytest.approx(-1.0, abs=1e-12)
    # Garwood's limit of the rate where none of ten prompts showed it is 1 - 0.025^(1/10), here as a share.
    unseen = 1 - 0.025**0.1
    assert interval.high == pytest.approx(-1 + float(entropy_bits(np.array([unseen, 1 - unseen]))), abs=2e-3)


def test_a_single_prompt_has_no_interval() -> None:
    """One prompt shows no spread; claiming an interval of length zero would be a lie."""
    one = (np.array([[1, 2], [0, 0]]), np.full((2, 2), 0.5))
    assert reduction_interval(*one) is None
    assert macro_difference_interval([(*one, np.full((2, 2), 0.5)), (*planted(9, 0), planted(9, 0)[1])]) is None
    assert macro_reduction_interval([]) is None
