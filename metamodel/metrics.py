"""Scores of predicted probabilities against labels: ranking, squared error, calibration.

Ground floor: pure functions over (counts, probabilities), never logits.

Shapes in this file: n = prompts, m = prompts with at least one label, c = outcomes, t = distinct predictions.

Every prompt counts equally. A prompt with mixed labels counts fractionally: if a quarter of its samples are "yes", it
is a quarter of a positive and three quarters of a negative. That equals scikit-learn's metrics over all samples with
weight one over the prompt's number of samples. What is undefined is None, never NaN.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.information import labeled_pairs
from metamodel.refinement import refinement_bits
from metamodel.types import FloatArray, IntArray

__all__ = ["DEFAULT_BINS", "auprc", "auroc", "brier", "calibration_bins", "ece", "refinement_bits"]

DEFAULT_BINS: Final = 15
_BINARY: Final = 2


def auroc(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the area under the receiver operating characteristic of the probability of "yes".

    Formula: the chance that a random positive is ranked above a random negative, ties counting one half (Hanley and
    McNeil, 1982). Positives and negatives are weighed as this module says; two labels of one prompt are a tie.

    Args:
        counts: How often "no" and "yes" were drawn for each prompt, [n, 2].
        probabilities: Predicted distribution of each prompt, [n, 2].

    Returns:
        A number from 0 to 1, or None if all labels are of one class or there are more than two outcomes.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> auroc(np.array([[2, 0], [1, 1], [0, 2]]), np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    0.9444444444444444
    """
    classes = _ranked_classes(counts, probabilities)
    if classes is None:
        return None
    positives, negatives = classes
    beaten = negatives[::-1].cumsum()[::-1] - negatives / 2  # [t], negatives ranked below, ties half
    return float((positives * beaten).sum() / (positives.sum() * negatives.sum()))


def auprc(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the average precision of the probability of "yes": the step-wise area under the precision-recall curve.

    Formula: sum over thresholds of (recall_t - recall_(t-1)) * precision_t, as scikit-learn's average_precision_score,
    without interpolation, which would be optimistic (Davis and Goadrich, 2006). Its chance level is the base rate.

    Args, None and errors are those of `auroc`; that a label without negatives gives None is our deviation.

    >>> auprc(np.array([[1, 0], [0, 1], [0, 1]]), np.array([[0.2, 0.8], [0.1, 0.9], [0.5, 0.5]])).__round__(4)
    0.8333
    """
    classes = _ranked_classes(counts, probabilities)
    if classes is None:
        return None
    positives, negatives = classes
    found = positives.cumsum()
    precision = found / (found + negatives.cumsum())  # [t]
    return float((positives * precision).sum() / positives.sum())


def brier(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the Brier score: the mean squared error of the probabilities.

    Source: Brier (1950). Binary: mean of (q(yes) - f)^2, from 0 to 1, as scikit-learn's brier_score_loss. For c > 2:
    mean over labels of the sum over outcomes of (q_j - [f = j])^2, from 0 to 2, Brier's own definition; a binary label
    would give twice the binary value.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].

    Returns:
        The score, or None without any label.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> brier(np.array([[0, 4], [2, 2]]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.25
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    if not len(shares):
        return None
    if shares.shape[1] == _BINARY:
        shares, predicted = shares[:, 1:], predicted[:, 1:]
    return float((shares * (1 - predicted) ** 2 + (1 - shares) * predicted**2).sum(axis=1).mean())


def ece(counts: IntArray, probabilities: FloatArray, *, n_bins: int = DEFAULT_BINS) -> float | None:
    """Return the expected calibration error in equal-width bins.

    Formula: sum over bins of weight * |mean prediction - observed frequency| (Guo et al., 2017). Binary: of the
    probability of "yes". For c > 2: of the largest probability, against how often its outcome came (top label); of
    equal ones the first. Bins are [0, 1/b), [1/b, 2/b), ..., [1 - 1/b, 1], as torchmetrics' calibration_error with norm
    "l1" but that a prediction of exactly 1 is in the last bin and not in one of its own. The estimate is biased upwards
    where bins hold few prompts.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].
        n_bins: Number of bins b.

    Returns:
        A number from 0 to 1, or None without any label.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> ece(np.array([[1, 3], [3, 1]]), np.array([[0.25, 0.75], [0.5, 0.5]]))
    0.125
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    if not len(shares):
        return None
    if shares.shape[1] == _BINARY:
        confidence, hits = predicted[:, 1], shares[:, 1]
    else:
        top = predicted.argmax(axis=1)[:, None]
        confidence = np.take_along_axis(predicted, top, axis=1)[:, 0]
        hits = np.take_along_axis(shares, top, axis=1)[:, 0]
    bins = calibration_bins(confidence, n_bins=n_bins)
    gaps = np.bincount(bins, weights=confidence - hits, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(shares))


def calibration_bins(confidence: FloatArray, *, n_bins: int) -> IntArray:
    """Return the equal-width bin of each prediction, [m], from 0 to n_bins - 1.

    >>> calibration_bins(np.array([0.0, 0.5, 1.0]), n_bins=2).tolist()
    [0, 1, 1]
    """
    inner_edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    return np.searchsorted(inner_edges, confidence, side="right").astype(np.int64)


def _ranked_classes(counts: IntArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Return the weight of positives and of negatives at each distinct prediction, falling, [t] each."""
    shares, predicted = labeled_pairs(counts, probabilities)
    if shares.shape[1] != _BINARY or not (shares.sum(axis=0) > 0).all():
        return None
    _, rank = np.unique(-predicted[:, 1], return_inverse=True)
    positives: FloatArray = np.bincount(rank, weights=shares[:, 1]).astype(np.float64)
    negatives: FloatArray = np.bincount(rank, weights=shares[:, 0]).astype(np.float64)
    return positives, negatives
