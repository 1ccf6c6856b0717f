"""Paired comparisons: exact where there is a closed form, at their level where nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from metamodel.information import reduction_bits
from metamodel.perturbations.changes import PairedLabels, bits_change, mean_change, sign_flip_p


@pytest.mark.parametrize(("up", "down"), [(9, 1), (20, 8), (3, 3)])
def test_sign_flips_are_mcnemar(up: int, down: int) -> None:
    """With one label a prompt the test is the exact binomial one on the prompts that changed."""
    differences = np.array([1.0] * up + [-1.0] * down + [0.0] * 40)
    exact = binomtest(up, up + down, 0.5).pvalue
    assert sign_flip_p(differences) == pytest.approx(exact, abs=0.012)


def test_sign_flips_hold_their_level() -> None:
    """Two models that are the same are called different in about 5 of 100 draws."""
    rng = np.random.default_rng(0)
    draws = (rng.binomial(2, 0.3, size=60) / 2 - rng.binomial(2, 0.3, size=60) / 2 for _ in range(200))
    assert sum(sign_flip_p(values, n_draws=199) <= 0.05 for values in draws) <= 19


def test_intervals_of_changes_cover() -> None:
    """The 95 % interval of a mean change holds the true one in about 95 of 100 draws."""
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        values = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=80)
        interval = mean_change(values, n_draws=200, seed=seed).interval
        assert interval is not None
        covered += interval.low <= 0.2 <= interval.high
    assert covered >= 89


def test_same_labels_change_nothing() -> None:
    """Where the derived model's labels are the original's, every change is zero and p is one."""
    rng = np.random.default_rng(2)
    counts = np.eye(2, dtype=np.int64)[rng.integers(0, 2, size=50)]
    found = bits_change(
        [PairedLabels(original=counts, derived=counts, probabilities=np.full((50, 2), 0.5))], n_draws=200
    )
    assert found is not None
    assert (found.change_bits.value, found.cross_entropy_change_bits.value, found.p) == (0.0, 0.0, 1.0)


def test_bits_agree_with_the_plain_formula() -> None:
    """Bits on both models' labels are those of the information module, and a behavior turned around is lost."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, size=200)
    sure = np.where(np.eye(2)[truth] > 0, 0.9, 0.1)
    original, derived = np.eye(2, dtype=np.int64)[truth], np.eye(2, dtype=np.int64)[1 - truth]
    found = bits_change([PairedLabels(original=original, derived=derived, probabilities=sure)], n_draws=300)
    assert found is not None
    assert found.original_bits.value == pytest.approx(reduction_bits(original, sure))
    assert found.derived_bits.value == pytest.approx(reduction_bits(derived, sure))
    assert found.cross_entropy_change_bits.value == pytest.approx(np.log2(0.9) - np.log2(0.1))
    assert found.change_bits.high < 0
    assert found.p < 1e-6


def test_changes_of_bits_hold_their_level() -> None:
    """Labels drawn twice from one model move a metamodel's bits significantly in about 5 of 100 draws."""
    rng = np.random.default_rng(4)
    wrong = 0
    for seed in range(100):
        rates = rng.uniform(0.1, 0.9, size=120)
        both = [np.stack([1 - drawn, drawn], axis=1) for drawn in (rng.binomial(1, rates) for _ in range(2))]
        probabilities = np.stack([1 - rates, rates], axis=1)
        pairs = PairedLabels(original=both[0], derived=both[1], probabilities=probabilities)
        found = bits_change([pairs], n_draws=200, seed=seed)
        assert found is not None
        wrong += found.p <= 0.05
    assert wrong <= 11


def test_too_few_prompts_give_no_interval() -> None:
    """One prompt says nothing about spread; it must not look certain."""
    one = PairedLabels(original=np.array([[1, 0]]), derived=np.array([[0, 1]]), probabilities=np.array([[0.5, 0.5]]))
    assert bits_change([one], n_draws=200) is None
    assert bits_change([], n_draws=200) is None
    assert mean_change(np.array([1.0]), n_draws=200).interval is None
