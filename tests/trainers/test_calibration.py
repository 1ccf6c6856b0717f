"""Shares, priors and calibration against closed forms and planted miscalibration."""

from __future__ import annotations

import numpy as np
import pytest

from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.types import FloatArray
from trainers.fitting.calibration import Calibration, _bits_and_gradient, fit_calibration, fit_calibrations
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares, smoothed_prior, softmax

PRIOR = np.array([0.7, 0.3])


def drawn(probability: FloatArray, seed: int) -> FloatArray:
    """Return one-hot shares of binary labels drawn with these probabilities, [n, 2]."""
    yes = np.random.default_rng(seed).random(len(probability)) < probability
    return np.stack([~yes, yes], axis=1).astype(np.float64)


def two(probability: FloatArray) -> FloatArray:
    """Return both columns of a binary prediction."""
    return np.stack([1 - probability, probability], axis=1)


def test_shares_and_prior() -> None:
    """Each labeled prompt counts once, unlabeled ones not at all, and each outcome gets half a count."""
    table = LabelTable(space=Binary(), codes=np.array([[1, 1, 0, -1], [-1, -1, -1, -1], [0, -1, -1, -1]]))
    rows, shares = outcome_shares(table)
    assert rows.tolist() == [0, 2]
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3], [1, 0]])
    np.testing.assert_allclose(smoothed_prior(shares), [(4 / 3 + 0.5) / 3, (2 / 3 + 0.5) / 3])
    np.testing.assert_allclose(smoothed_prior(shares[:0]), [0.5, 0.5])


def test_cross_entropy_closed_form() -> None:
    """The mean code length of one half and one quarter is one and a half bits."""
    assert cross_entropy_bits(np.eye(2), np.array([[0.5, 0.5], [0.75, 0.25]])) == pytest.approx(1.5)
    assert np.isnan(cross_entropy_bits(np.zeros((0, 2)), np.zeros((0, 2))))


def test_gradient_is_that_of_the_bits() -> None:
    """The derivatives given to the optimizer agree with finite differences."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 50)
    shares, prior = rng.dirichlet([1, 1, 1], 50), np.array([0.2, 0.3, 0.5])
    point, step = np.array([0.4, 0.3]), 1e-6
    _, gradient = _bits_and_gradient(point, np.log(probabilities), prior, shares)
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        above, _ = _bits_and_gradient(point + shift, np.log(probabilities), prior, shares)
        below, _ = _bits_and_gradient(point - shift, np.log(probabilities), prior, shares)
        assert gradient[axis] == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_overconfidence_is_undone() -> None:
    """Logits doubled by mistake get a temperature near two, and unseen prompts cost fewer bits."""
    logits = np.random.default_rng(1).normal(size=4000)
    truth, claimed = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-2 * logits))
    shares = drawn(truth, 2)
    calibration = fit_calibration(two(claimed[:2000]), PRIOR, shares[:2000])
    assert calibration.temperature == pytest.approx(2, rel=0.2)
    after = cross_entropy_bits(shares[2000:], calibration.apply(two(claimed[2000:]), PRIOR))
    assert after < cross_entropy_bits(shares[2000:], two(claimed[2000:])) - 0.02


def test_worthless_predictions_become_the_prior() -> None:
    """Sure predictions that have nothing to do with the labels are not trusted at all."""
    claimed = 1 / (1 + np.exp(-4 * np.random.default_rng(3).normal(size=1000)))
    calibration = fit_calibration(two(claimed), PRIOR, drawn(np.full(1000, 0.3), 4))
    np.testing.assert_allclose(calibration.apply(two(claimed), PRIOR), np.tile(PRIOR, (1000, 1)), atol=0.05)


def test_good_predictions_are_left_alone() -> None:
    """Calibrated predictions stay nearly what they were."""
    truth = np.random.default_rng(5).uniform(0.05, 0.95, 3000)
    calibration = fit_calibration(two(truth), PRIOR, drawn(truth, 6))
    np.testing.assert_allclose(calibration.apply(two(truth), PRIOR), two(truth), atol=0.05)


def test_one_prompt_moves_little() -> None:
    """A single validation prompt, however surprising, does not throw the model away."""
    calibration = fit_calibration(np.array([[0.2, 0.8]]), PRIOR, np.array([[1.0, 0.0]]))
    assert calibration.apply(np.array([[0.2, 0.8]]), PRIOR)[0, 1] > 0.5


def test_no_validation_is_the_identity() -> None:
    """Without validation prompts or labels nothing is calibrated."""
    table = LabelTable(space=Binary(), codes=np.full((2, 1), -1))
    validation = LabeledPrompts(texts=("a", "b"), domains=("d", "d"), labels={"unlabeled": table})
    predictions = {"unlabeled": np.full((2, 2), 0.5), "absent": np.full((2, 2), 0.5)}
    fitted = fit_calibrations(predictions, {"unlabeled": PRIOR, "absent": PRIOR}, validation)
    assert fitted == {"unlabeled": Calibration(), "absent": Calibration()}


def test_certainty_is_never_complete() -> None:
    """Probabilities 0 and 1 come out strictly between."""
    applied = Calibration(temperature=0.5).apply(np.array([[0.0, 1.0]]), PRIOR)
    assert 0 < applied[0, 0] < 1e-5
    assert softmax(np.array([[-1e5, 0.0, 1e5]])).tolist() == [[0, 0, 1]]
