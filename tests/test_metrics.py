"""Scores agree with scikit-learn and torchmetrics, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from metamodel.metrics import auprc, auroc, brier, ece
from metamodel.types import FloatArray, IntArray

NOTHING = np.zeros((4, 2), dtype=np.int64), np.full((4, 2), 0.5)


def binary(seed: int, *, n_prompts: int = 300, levels: int = 40) -> tuple[IntArray, FloatArray]:
    """Return labels with zero to five samples a prompt and predictions with many ties."""
    rng = np.random.default_rng(seed)
    yes = rng.integers(0, levels + 1, size=n_prompts) / levels
    total = rng.integers(0, 6, size=n_prompts)
    drawn = rng.binomial(total, 0.2 + 0.5 * yes)
    return np.column_stack([total - drawn, drawn]), np.column_stack([1 - yes, yes])


def by_sample(counts: IntArray, probabilities: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return one label, prediction and weight a sample, each prompt weighing one in all."""
    rows, labels = np.repeat(np.nonzero(counts), counts[counts > 0], axis=1)
    return labels, probabilities[rows], 1 / counts.sum(axis=1)[rows]


@pytest.mark.parametrize("seed", range(5))
def test_binary_scores_agree_with_scikit_learn(seed: int) -> None:
    """Mixed prompts count fractionally, ties one half: scikit-learn over weighted samples gives the same numbers."""
    counts, probabilities = binary(seed)
    labels, predicted, weights = by_sample(counts, probabilities)
    arguments = (labels, predicted[:, 1])
    expected = roc_auc_score(*arguments, sample_weight=weights)
    assert auroc(counts, probabilities) == pytest.approx(expected, rel=1e-12)
    expected = average_precision_score(*arguments, sample_weight=weights)
    assert auprc(counts, probabilities) == pytest.approx(expected, rel=1e-12)
    expected = brier_score_loss(*arguments, sample_weight=weights)
    assert brier(counts, probabilities) == pytest.approx(expected, rel=1e-12)


def test_ranking_scores_of_perfect_useless_and_reversed_predictions() -> None:
    """The ends of the scale are where they belong."""
    counts = np.array([[1, 0]] * 3 + [[0, 1]])
    good = np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]])
    flat = np.full((4, 2), 0.5)
    assert [auroc(counts, one) for one in (good, flat, good[:, ::-1])] == [1.0, 0.5, 0.0]
    assert [auprc(counts, one) for one in (good, flat)] == [1.0, 0.25]


def test_multiclass_brier_is_the_sum_of_squares() -> None:
    """Beyond two outcomes the score is Brier's own, twice as large as the binary convention would be."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(3, [0.2, 0.3, 0.5], size=50)
    probabilities = rng.dirichlet([1, 1, 1], size=50)
    labels, predicted, weights = by_sample(counts, probabilities)
    expected = np.average(((predicted - np.eye(3)[labels]) ** 2).sum(axis=1), weights=weights)
    assert brier(counts, probabilities) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_bins", [10, 15])
def test_calibration_error_agrees_with_torchmetrics(n_bins: int) -> None:
    """Equal-width bins of the probability of yes, and of the top label beyond two outcomes."""
    rng = np.random.default_rng(0)
    yes = rng.random(500) * 0.999
    labels = (rng.random(500) < yes**2).astype(np.int64)
    expected = binary_calibration_error(torch.tensor(yes), torch.tensor(labels), n_bins=n_bins)
    found = ece(np.eye(2, dtype=np.int64)[labels], np.column_stack([1 - yes, yes]), n_bins=n_bins)
    assert found == pytest.approx(float(expected), abs=1e-6)
    probabilities = rng.dirichlet([0.5, 1, 1], size=500) * 0.998 + 0.002 / 3
    labels = rng.integers(0, 3, size=500)
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(labels), 3, n_bins=n_bins)
    found = ece(np.eye(3, dtype=np.int64)[labels], probabilities, n_bins=n_bins)
    assert found == pytest.approx(float(expected), abs=1e-6)


def test_certain_predictions_share_the_last_bin() -> None:
    """A prediction of exactly 1 is no bin of its own: errors beside it cancel as in any bin."""
    counts, probabilities = np.array([[0, 1], [1, 0]]), np.array([[0.0, 1.0], [0.02, 0.98]])
    assert ece(counts, probabilities) == pytest.approx(0.49)


def test_undefined_scores_are_none() -> None:
    """One class has no ranking, more than two outcomes have no "yes", and no label has no score: never NaN."""
    one_class = np.array([[2, 0], [3, 0]]), np.array([[0.5, 0.5], [0.9, 0.1]])
    three = np.array([[1, 0, 1], [0, 1, 0]]), np.full((2, 3), 1 / 3)
    for metric in (auroc, auprc):
        assert metric(*one_class) is None
        assert metric(*three) is None
    for score in (auroc, auprc, brier, ece):
        assert score(*NOTHING) is None
