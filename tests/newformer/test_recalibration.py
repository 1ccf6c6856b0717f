"""A known metamodel bent by a few labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from metamodel.newformer.recalibration import fit_recalibration
from metamodel.types import FloatArray, IntArray


def planted(n: int, slope: float, bias: float, seed: int) -> tuple[FloatArray, IntArray]:
    """Return logarithms of predictions and labels whose log odds are bent predictions."""
    rng = np.random.default_rng(seed)
    yes = 1 / (1 + np.exp(-rng.normal(0, 2, n)))
    odds = slope * np.log(yes / (1 - yes)) + bias
    labels = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return np.log(np.stack([1 - yes, yes], axis=1)), np.eye(2, dtype=np.int64)[labels]


def test_no_label_changes_nothing() -> None:
    """Without labels a prediction stays what it was."""
    logs, _ = planted(20, 1, 0, 0)
    fitted = fit_recalibration(logs[:0], np.zeros((0, 2), dtype=np.int64))
    np.testing.assert_allclose(fitted.apply(logs), np.exp(logs), rtol=1e-12)


def test_many_labels_find_slope_and_bias() -> None:
    """With many labels the bend is scikit-learn's logistic regression on the log odds."""
    logs, counts = planted(5000, 0.5, -1.2, 1)
    odds = (logs[:, 1] - logs[:, 0])[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, counts[:, 1])
    fitted = fit_recalibration(logs, counts)
    assert fitted.slope == pytest.approx(float(reference.coef_[0, 0]), abs=0.01)
    np.testing.assert_allclose(fitted.apply(logs)[:, 1], reference.predict_proba(odds)[:, 1], atol=0.01)


def test_few_labels_move_little() -> None:
    """Two labels of one kind do not make a prediction certain."""
    logs = np.log(np.full((2, 2), 0.5))
    bent = fit_recalibration(logs, np.array([[0, 1], [0, 1]])).apply(logs)
    assert 0.6 < bent[0, 1] < 0.9


def test_certain_predictions_stay_finite() -> None:
    """Predictions of almost 0 or 1 that are wrong give finite probabilities."""
    logs = np.log(np.array([[1e-9, 1 - 1e-9], [1 - 1e-9, 1e-9]] * 10))
    bent = fit_recalibration(logs, np.array([[1, 0], [0, 1]] * 10)).apply(logs)
    assert np.isfinite(bent).all()
    np.testing.assert_allclose(bent.sum(axis=1), 1)
