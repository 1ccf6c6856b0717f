"""What the report draws must be what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from metamodel.curves import reliability_bins, risk_coverage_curve
from metamodel.metrics import ece
from metamodel.types import FloatArray, IntArray


def predicted(seed: int, n_prompts: int = 400) -> tuple[IntArray, FloatArray]:
    """Return binary labels and somewhat overconfident predictions."""
    rng = np.random.default_rng(seed)
    yes = rng.random(n_prompts).round(3)
    drawn = rng.binomial(2, 0.2 + 0.6 * yes)
    return np.column_stack([2 - drawn, drawn]), np.column_stack([1 - yes, yes])


def test_reliability_bins_add_up_to_the_calibration_error() -> None:
    """The curve and the number beside it are the same bins."""
    counts, probabilities = predicted(0)
    bins = reliability_bins(counts, probabilities)
    assert bins.weight.sum() == pytest.approx(1)
    gap = (bins.weight * np.abs(bins.predicted - bins.observed)).sum()
    assert gap == pytest.approx(ece(counts, probabilities), rel=1e-12)
    assert (np.diff(bins.predicted) > 0).all()


def test_reliability_intervals_are_wilsons() -> None:
    """The ends are those of scipy for single labels, which are whole numbers of hits."""
    counts = np.array([[1, 0]] * 7 + [[0, 1]] * 5)
    bins = reliability_bins(counts, np.tile([0.5, 0.5], (12, 1)))
    expected = binomtest(5, 12).proportion_ci(method="wilson")
    np.testing.assert_allclose([bins.low[0], bins.high[0]], [expected.low, expected.high], rtol=1e-9)


def test_risk_at_full_coverage_is_the_error_rate_and_ties_are_answered_together() -> None:
    """The curve ends at the plain error rate and invents no order among equal confidences."""
    counts, probabilities = predicted(1)
    curve = risk_coverage_curve(counts, probabilities, max_points=10**6)
    answers = probabilities.argmax(axis=1)
    error_rate = 1 - (counts[np.arange(400), answers] / 2).mean()
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(error_rate)
    confidence = probabilities.max(axis=1)
    assert len(curve.risk) == len(np.unique(confidence))
    middle = len(curve.risk) // 2
    answered = confidence >= np.unique(confidence)[::-1][middle]
    assert curve.coverage[middle] == pytest.approx(answered.mean())
    assert curve.risk[middle] == pytest.approx(1 - (counts[np.arange(400), answers] / 2)[answered].mean())


def test_area_under_the_risk_does_not_depend_on_thinning() -> None:
    """A report thins the curve; the number stays that of all prompts."""
    counts, probabilities = predicted(2)
    full, thin = (risk_coverage_curve(counts, probabilities, max_points=points) for points in (10**6, 20))
    assert len(thin.risk) <= 20
    assert thin.coverage[-1] == 1
    assert thin.area == full.area
    shuffled = np.random.default_rng(0).permutation(400)
    again = risk_coverage_curve(counts[shuffled], probabilities[shuffled])
    assert again.area == pytest.approx(full.area, rel=1e-12)


def test_no_labels_no_curve_and_no_bins_for_categories() -> None:
    """Nothing to draw gives nothing, not NaN; a curve of "yes" for three classes is a mistake."""
    nothing = np.zeros((3, 2), dtype=np.int64), np.full((3, 2), 0.5)
    assert len(reliability_bins(*nothing).observed) == 0
    assert risk_coverage_curve(*nothing).area is None
    with pytest.raises(ValueError, match="3 outcomes"):
        reliability_bins(np.ones((1, 3), dtype=np.int64), np.full((1, 3), 1 / 3))
