"""Refinement tells a metamodel that cannot rank from one that is only miscalibrated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from metamodel.information import cross_entropy_bits, entropy_bits, label_entropy_bits
from metamodel.metrics import refinement_bits
from metamodel.types import FloatArray, IntArray


def three_outcomes(seed: int) -> tuple[IntArray, FloatArray]:
    """Return labels drawn from predictions that were then sharpened: miscalibrated, but informative."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet([1.0, 1.0, 2.0], size=200)
    sharp = true**2
    return rng.multinomial(2, true).astype(np.int64), sharp / sharp.sum(axis=1, keepdims=True)


def test_binary_refinement_is_the_cross_entropy_after_isotonic_regression() -> None:
    """scikit-learn's isotonic fit on weighted samples reaches the same bits."""
    rng = np.random.default_rng(0)
    yes = rng.integers(0, 30, size=200) / 30
    drawn = rng.binomial(4, 0.1 + 0.6 * yes**2)
    counts, probabilities = np.column_stack([4 - drawn, drawn]), np.column_stack([1 - yes, yes])
    fitted = IsotonicRegression(y_min=0, y_max=1).fit_transform(
        np.repeat(yes, 4), (np.arange(4) < drawn[:, None]).ravel()
    )
    recalibrated = np.column_stack([1 - fitted[::4], fitted[::4]])
    assert refinement_bits(counts, probabilities) == pytest.approx(cross_entropy_bits(counts, recalibrated), rel=1e-9)


def test_a_rising_distortion_costs_no_refinement() -> None:
    """Distorting probabilities without changing their order adds miscalibration alone."""
    rng = np.random.default_rng(1)
    yes = rng.random(100)
    drawn = rng.binomial(3, yes)
    counts = np.column_stack([3 - drawn, drawn])
    straight, bent = (np.column_stack([1 - q, q]) for q in (yes, yes**3))
    assert refinement_bits(counts, straight) == pytest.approx(refinement_bits(counts, bent), rel=1e-12)
    distorted, honest = cross_entropy_bits(counts, bent), cross_entropy_bits(counts, straight)
    assert distorted is not None
    assert honest is not None
    assert distorted > honest + 0.1


@pytest.mark.parametrize("seed", range(4))
def test_refinement_lies_between_zero_and_both_cross_entropy_and_entropy(seed: int) -> None:
    """Identity and constants are recalibrations too, so neither miscalibration nor discrimination is ever negative."""
    rng = np.random.default_rng(seed)
    for n_outcomes in (2, 3, 6):
        counts = rng.multinomial(2, rng.dirichlet([0.5] * n_outcomes, size=40)).astype(np.int64)
        probabilities = rng.dirichlet([0.5] * n_outcomes, size=40)
        refinement, entropy = refinement_bits(counts, probabilities), label_entropy_bits(counts)
        cross_entropy = cross_entropy_bits(counts, probabilities)
        assert refinement is not None
        assert entropy is not None
        assert cross_entropy is not None
        assert 0 <= refinement <= min(cross_entropy, entropy) + 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_two_parameter_recalibration_finds_scipys_minimum(seed: int) -> None:
    """Newton's method on temperature and base-rate shift ends where a general optimizer ends."""
    counts, probabilities = three_outcomes(seed)
    shares = counts / counts.sum(axis=1, keepdims=True)
    base = shares.mean(axis=0)

    def loss(weights: FloatArray) -> float:
        powers = probabilities ** weights[0] * base ** weights[1]
        return float(-(shares * np.log2(powers / powers.sum(axis=1, keepdims=True))).sum(axis=1).mean())

    expected = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13}).fun
    assert refinement_bits(counts, probabilities) == pytest.approx(expected, abs=1e-9)
    assert expected < loss(np.array([1.0, 0.0])) - 0.05


def test_predictions_that_mislead_refine_to_a_constant() -> None:
    """Reversed or constant predictions discriminate nothing: what is left is H(F)."""
    reversed_yes = np.array([[0.1, 0.9]] * 30 + [[0.9, 0.1]] * 30)
    counts = np.array([[1, 0]] * 30 + [[0, 1]] * 30)
    assert refinement_bits(counts, reversed_yes) == 1.0
    counts, _ = three_outcomes(0)
    flat = np.full((200, 3), 1 / 3)
    entropy = entropy_bits((counts / counts.sum(axis=1, keepdims=True)).mean(axis=0))
    assert refinement_bits(counts, flat) == pytest.approx(float(entropy), abs=1e-12)
    misleading = np.roll(np.eye(3), 1, axis=1)[counts.argmax(axis=1)] * 0.97 + 0.01
    assert refinement_bits(counts, misleading) == pytest.approx(float(entropy), abs=1e-2)


def test_one_class_and_no_class() -> None:
    """A label that never varies needs no bits; without labels there is no figure."""
    assert refinement_bits(np.array([[2, 0]] * 5), np.full((5, 2), 0.5)) == 0.0
    assert refinement_bits(np.array([[0, 2, 0]] * 5), np.full((5, 3), 1 / 3)) == 0.0
    assert refinement_bits(np.zeros((5, 2), dtype=np.int64), np.full((5, 2), 0.5)) is None
