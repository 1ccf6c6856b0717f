"""What a report draws of predicted probabilities: reliability in bins, and risk against coverage.

Shapes in this file: n = prompts, m = prompts with at least one label, c = outcomes, b = bins that hold a prompt, t =
points.

Every prompt counts equally; one with mixed labels counts fractionally (`metamodel.metrics`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.information import labeled_pairs
from metamodel.metrics import DEFAULT_BINS, calibration_bins
from metamodel.types import FloatArray, IntArray

_BINARY: Final = 2
_MAX_POINTS: Final = 200
# The 97.5 % point of the normal distribution.
_TWO_SIDED_Z: Final = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class ReliabilityBins:
    """Predicted against observed frequency of "yes", in the bins that hold a prompt, rising. All arrays are [b].

    Attributes:
        predicted: Mean prediction.
        observed: Observed frequency.
        weight: Share of the prompts.
        n_prompts: Number of prompts.
        low: Lower end of the observed frequency's 95 % interval.
        high: Upper end of it.
    """

    predicted: FloatArray
    observed: FloatArray
    weight: FloatArray
    n_prompts: IntArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Error rate among the most confident share of the prompts. Both arrays are [t].

    Attributes:
        coverage: Share of prompts answered, rising to 1.
        risk: Share of their labels that differ from the likeliest outcome.
        area: Area under the curve, all distinct confidences kept; None without any label.
    """

    coverage: FloatArray
    risk: FloatArray
    area: float | None


def reliability_bins(counts: IntArray, probabilities: FloatArray, *, n_bins: int = DEFAULT_BINS) -> ReliabilityBins:
    """Return predicted against observed frequencies of "yes" in equal-width bins, those of `metamodel.metrics.ece`.

    Intervals are Wilson's (1927) with the number of prompts: labels of one prompt are not independent, and a mean over
    its samples varies at most as much as a single label, so they err to the wide side.

    Args:
        counts: How often "no" and "yes" were drawn for each prompt, [n, 2].
        probabilities: Predicted distribution of each prompt, [n, 2].
        n_bins: Bins over [0, 1].

    Returns:
        Only bins that hold a labeled prompt; none without any label.

    Raises:
        ValueError: The label is not binary, the shapes differ or a row is not a probability distribution.

    >>> bins = reliability_bins(np.array([[1, 3], [4, 0]]), np.array([[0.25, 0.75], [0.75, 0.25]]), n_bins=2)
    >>> bins.predicted.tolist(), bins.observed.tolist()
    ([0.25, 0.75], [0.0, 0.75])
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    if shares.shape[1] != _BINARY:
        raise ValueError(f"a reliability curve needs a binary label, this one has {shares.shape[1]} outcomes")
    bins = calibration_bins(predicted[:, 1], n_bins=n_bins)
    n_prompts = np.bincount(bins, minlength=n_bins)
    held = n_prompts > 0
    n_prompts = n_prompts[held]
    observed = np.bincount(bins, weights=shares[:, 1], minlength=n_bins)[held] / n_prompts
    low, high = _wilson_ends(observed, n_prompts)
    return ReliabilityBins(
        predicted=np.bincount(bins, weights=predicted[:, 1], minlength=n_bins)[held] / n_prompts,
        observed=observed,
        weight=n_prompts / max(1, len(shares)),
        n_prompts=n_prompts.astype(np.int64),
        low=low,
        high=high,
    )


def risk_coverage_curve(counts: IntArray, probabilities: FloatArray, *, max_points: int = _MAX_POINTS) -> RiskCoverage:
    """Return the error rate when only the most confident prompts are answered, for every coverage.

    Source: El-Yaniv and Wiener, *On the Foundations of Noise-free Selective Classification* (2010). The answer is the
    likeliest outcome, confidence its probability; of equally likely ones the first. Prompts of equal confidence are
    answered together, so no order among them is invented.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].
        max_points: With more distinct confidences the curve is thinned to so many points, the last kept.

    Returns:
        The curve, empty without any label.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> curve = risk_coverage_curve(np.array([[0, 1], [1, 0]]), np.array([[0.1, 0.9], [0.4, 0.6]]))
    >>> curve.coverage.tolist(), curve.risk.tolist()
    ([0.5, 1.0], [0.0, 0.5])
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    if not len(shares):
        return RiskCoverage(coverage=np.zeros(0), risk=np.zeros(0), area=None)
    top = predicted.argmax(axis=1)[:, None]
    confidence = np.take_along_axis(predicted, top, axis=1)[:, 0]
    errors = 1 - np.take_along_axis(shares, top, axis=1)[:, 0]
    _, rank, n_prompts = np.unique(-confidence, return_inverse=True, return_counts=True)
    answered = n_prompts.cumsum()
    coverage = answered / len(shares)
    risk = np.bincount(rank, weights=errors).cumsum() / answered
    kept = np.unique(np.linspace(0, len(risk) - 1, min(len(risk), max_points)).round().astype(np.int64))
    return RiskCoverage(coverage=coverage[kept], risk=risk[kept], area=float((risk * n_prompts).sum() / len(shares)))


def _wilson_ends(rates: FloatArray, n_prompts: IntArray) -> tuple[FloatArray, FloatArray]:
    square = _TWO_SIDED_Z**2 / n_prompts
    center = (rates + square / 2) / (1 + square)
    half = np.sqrt(square * rates * (1 - rates) + square**2 / 4) / (1 + square)
    return np.clip(center - half, 0.0, 1.0), np.clip(center + half, 0.0, 1.0)
