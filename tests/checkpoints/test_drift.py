"""The tests of one pair: against independent references, and honest where nothing moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from metamodel.bootstrap import macro_difference_interval, macro_reduction_interval
from metamodel.checkpoints.drift import Judged, mean_test, pair_test
from metamodel.checkpoints.lasting import Chain
from metamodel.information import cross_entropy_bits, reduction_bits

MOVED = ((0.1, 0.3, 0.6, 0.9),) * 2 + ((0.7, 0.6, 0.3, 0.2),) * 3


def test_one_stratum_is_the_t_test() -> None:
    """Protects p and interval: for one stratum they are those of the one-sample t-test, one-sided."""
    values = np.random.default_rng(0).normal(0.2, 1, 40)
    expected = stats.ttest_1samp(values, 0, alternative="greater")
    ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_test([values])
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


def test_two_strata_are_welchs_test() -> None:
    """Protects the combination of domains: a mean of two is Welch's test of one against the other's mirror image."""
    rng = np.random.default_rng(1)
    left, right = rng.normal(0.3, 1, 20), rng.normal(0.1, 3, 35)
    expected = stats.ttest_ind(left, -right, equal_var=False, alternative="greater")
    assert mean_test([left, right]).p == pytest.approx(expected.pvalue)


def test_values_without_spread() -> None:
    """Protects constants on one-class labels: equal values have the p of the sign test, zeros have none to show."""
    assert mean_test([np.full(6, 0.5)]).p == pytest.approx(2**-6)
    assert mean_test([np.full(3, 0.2), np.full(2, 0.2)]).p == pytest.approx(2**-5)
    assert mean_test([np.zeros(6)]).p == 1.0
    assert mean_test([np.full(6, -0.5)]).p == 1.0


def test_values_are_those_of_the_project(planted_chain: Callable[..., Chain]) -> None:
    """Protects the figures: gain is H(F) - CE and loss a difference of cross-entropies, as everywhere else."""
    chain = planted_chain(MOVED, seed=0)
    source, target = chain.judged[0], chain.judged[4]
    everything = [np.arange(len(source.counts))]
    found = pair_test(source, target, everything)
    assert found is not None
    assert found.gain.value == pytest.approx(reduction_bits(target.counts, source.probabilities))
    mine = cross_entropy_bits(target.counts, source.probabilities)
    native = cross_entropy_bits(target.counts, target.probabilities)
    assert mine is not None
    assert native is not None
    assert found.loss.value == pytest.approx(mine - native)
    back = pair_test(target, source, everything)
    assert back is not None
    assert found.drift.value == pytest.approx(found.loss.value + back.loss.value)
    assert found.drift.value == pytest.approx(back.drift.value)


def test_intervals_agree_with_the_bootstrap(planted_chain: Callable[..., Chain]) -> None:
    """Protects the intervals: those of loss and gain are close to the paired bootstrap's over domains."""
    chain = planted_chain(MOVED, seed=3)
    source, target = chain.judged[1], chain.judged[2]
    found = pair_test(source, target, chain.strata)
    assert found is not None
    losses = [(target.counts[m], target.probabilities[m], source.probabilities[m]) for m in chain.strata]
    gains = [(target.counts[m], source.probabilities[m]) for m in chain.strata]
    for test, interval in (
        (found.loss, macro_difference_interval(losses, n_draws=4000)),
        (found.gain, macro_reduction_interval(gains, n_draws=4000)),
    ):
        assert interval is not None
        width = interval.high - interval.low
        assert test.value == pytest.approx(interval.value)
        assert test.low == pytest.approx(interval.low, abs=0.06 * width)
        assert test.high == pytest.approx(interval.high, abs=0.06 * width)


def test_drift_forgives_bad_luck() -> None:
    """Protects against calling luck drift: of two unequal metamodels of one behavior, one loses, and nothing moved."""
    n_prompts, n_seeds, rate = 2000, 200, 0.5
    lucky, unlucky = (np.full((n_prompts, 2), (1 - q, q)) for q in (0.5, 0.65))
    losses, drifts = [], []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        first, second = (rng.binomial(1, rate, n_prompts) for _ in range(2))
        found = pair_test(
            Judged(counts=np.column_stack([1 - first, first]), probabilities=unlucky),
            Judged(counts=np.column_stack([1 - second, second]), probabilities=lucky),
            [np.arange(n_prompts)],
        )
        assert found is not None
        losses.append(found.loss.p <= 0.05)
        drifts.append(found.p_wrong <= 0.05)
    assert np.mean(losses) > 0.95
    assert np.mean(drifts) < 0.09  # 0.05, and three standard errors of 200 seeds


def test_prompts_without_labels_are_left_out() -> None:
    """Protects failures: a prompt that either checkpoint has no label of changes nothing, and one prompt is too few."""
    counts = np.array([[1, 3], [4, 0], [2, 2], [0, 0]])
    other = np.array([[2, 2], [3, 1], [4, 0], [1, 3]])
    mine, theirs = (np.array([[0.4, 0.6], [0.8, 0.2], [0.5, 0.5], [q, 1 - q]]) for q in (0.01, 0.99))
    source, target = Judged(counts=counts, probabilities=mine), Judged(counts=other, probabilities=theirs)
    cut = [Judged(counts=one.counts[:3], probabilities=one.probabilities[:3]) for one in (source, target)]
    found = pair_test(source, target, [np.arange(4)])
    assert found == pair_test(*cut, [np.arange(3)])
    assert found is not None
    assert found.n_prompts == 3
    assert pair_test(source, target, [np.arange(3), np.array([3])]) == found
    assert pair_test(source, target, [np.array([0]), np.array([1, 2])]) is None
