"""Shares, priors and calibration against closed forms, the libraries' own results and planted miscalibration."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from metamodel.errors import DataError, MetamodelError
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.metamodels import load_metamodel
from metamodel.protocols import FitContext
from metamodel.types import FloatArray
from trainers.artifacts.calibration_reading import read_calibrations
from trainers.calibrated import Calibrated
from trainers.fitting.calibration import (
    Calibration,
    _bits_and_gradient,
    fit_calibration,
    fit_calibrations,
    require_method,
)
from trainers.fitting.calibration_curves import (
    BetaCurve,
    CurveCalibration,
    CurveMethod,
    fit_beta,
    fit_isotonic,
    fit_venn_abers,
)
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


def test_surprise_bounds_what_a_new_domain_costs() -> None:
    """However sure a prediction is, the prior's share of it stays, on top of the shrinkage that was fitted."""
    prior, share = np.array([0.8, 0.2]), 0.25
    sure = np.array([[1.0, 0.0]])
    plain = Calibration(temperature=1.0, shrinkage=0.0).with_surprise(share).apply(sure, prior)
    np.testing.assert_allclose(plain, [[0.95, 0.05]], atol=1e-6)
    fitted = Calibration(temperature=1.0, shrinkage=0.5).with_surprise(share).apply(sure, prior)
    np.testing.assert_allclose(fitted, 0.375 * sure + 0.625 * prior, atol=1e-6)


def test_certainty_is_never_complete() -> None:
    """Probabilities 0 and 1 come out strictly between."""
    applied = Calibration(temperature=0.5).apply(np.array([[0.0, 1.0]]), PRIOR)
    assert 0 < applied[0, 0] < 1e-5
    assert softmax(np.array([[-1e5, 0.0, 1e5]])).tolist() == [[0, 0, 1]]


CURVES: tuple[CurveMethod, ...] = get_args(CurveMethod)


def miscalibrated(m: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return overconfident claims and labels drawn with the honest probabilities, [m] and [m, 2]."""
    logits = np.random.default_rng(seed).normal(size=m)
    return 1 / (1 + np.exp(-(2.5 * logits + 2.5))), drawn(1 / (1 + np.exp(-logits)), seed + 1)


@pytest.mark.parametrize("method", CURVES)
def test_curves_undo_a_tilted_overconfidence(method: CurveMethod) -> None:
    """What a temperature cannot mend, a shifted and overconfident model, each curve mends on unseen prompts."""
    claimed, shares = miscalibrated(4000, 1)
    calibration = fit_calibration(two(claimed[:2000]), PRIOR, shares[:2000], method=method)
    after = cross_entropy_bits(shares[2000:], calibration.apply(two(claimed[2000:]), PRIOR))
    by_temperature = fit_calibration(two(claimed[:2000]), PRIOR, shares[:2000]).apply(two(claimed[2000:]), PRIOR)
    assert after < cross_entropy_bits(shares[2000:], two(claimed[2000:])) - 0.1
    assert after < cross_entropy_bits(shares[2000:], by_temperature) - 0.02


@pytest.mark.parametrize("method", CURVES)
def test_curves_give_up_on_worthless_predictions(method: CurveMethod) -> None:
    """Sure predictions that have nothing to do with the labels end near the prior, whatever the curve."""
    claimed = 1 / (1 + np.exp(-4 * np.random.default_rng(3).normal(size=1000)))
    calibration = fit_calibration(two(claimed), PRIOR, drawn(np.full(1000, 0.3), 4), method=method)
    after = calibration.apply(two(claimed), PRIOR)
    assert np.sqrt(((after - PRIOR) ** 2).mean()) < 0.08


def test_isotonic_is_scikit_learns() -> None:
    """The stored knots give scikit-learn's isotonic regression, beyond the calibration scores too."""
    from sklearn.isotonic import IsotonicRegression

    claimed, shares = miscalibrated(500, 5)
    curve = fit_isotonic(claimed, shares[:, 1])
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(claimed, shares[:, 1])
    asked = np.linspace(0, 1, 301)
    np.testing.assert_allclose(curve.apply(asked), reference.predict(asked), rtol=0, atol=1e-12)


def test_isotonic_closed_form() -> None:
    """Two neighbours in the wrong order share their mean; between knots the curve is straight."""
    curve = fit_isotonic(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(
        curve.apply(np.array([0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.9])), [0, 0, 0.5, 0.5, 0.5, 0.75, 1]
    )


def test_beta_is_a_logistic_regression() -> None:
    """The beta curve is scikit-learn's logistic regression on log p and -log(1 - p), but for the small pull."""
    from sklearn.linear_model import LogisticRegression

    claimed, shares = miscalibrated(6000, 7)
    curve = fit_beta(claimed, shares[:, 1])
    inputs = np.stack([np.log(claimed), -np.log1p(-claimed)], axis=1)
    reference = LogisticRegression(C=1e6, max_iter=1000).fit(inputs, shares[:, 1])
    asked = np.linspace(0.01, 0.99, 50)
    wanted = reference.predict_proba(np.stack([np.log(asked), -np.log1p(-asked)], axis=1))[:, 1]
    np.testing.assert_allclose(curve.apply(asked), wanted, atol=0.01)
    identity = np.array([0.001, 0.2, 0.9])
    np.testing.assert_allclose(BetaCurve().apply(identity), identity)


def test_venn_abers_is_the_packages() -> None:
    """The stored steps give the venn-abers package's own predictions, at the knots, between and beyond them."""
    venn_abers = pytest.importorskip("venn_abers", reason="needs metamodel[calibration]")
    scores = np.round(np.random.default_rng(9).normal(size=300) * 2, 2)
    shares = drawn(1 / (1 + np.exp(-scores / 2)), 10)
    claimed = 1 / (1 + np.exp(-scores))
    curve = fit_venn_abers(claimed, shares[:, 1])
    asked = np.round(np.linspace(-8, 8, 400), 2)
    model = venn_abers.VennAbers()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(p_cal=np.stack([-scores, scores], axis=1), y_cal=shares[:, 1])
        wanted, _ = model.predict_proba(p_test=np.stack([-asked, asked], axis=1))
    np.testing.assert_allclose(curve.apply(1 / (1 + np.exp(-asked))), wanted[:, 1], rtol=0, atol=1e-12)


def test_venn_abers_is_two_isotonic_fits() -> None:
    """p0 and p1 at a score are isotonic regressions through the calibration prompts and the score called 0, then 1."""
    pytest.importorskip("venn_abers", reason="needs metamodel[calibration]")
    from sklearn.isotonic import IsotonicRegression

    scores = np.round(np.random.default_rng(11).normal(size=60), 2)
    labels = drawn(1 / (1 + np.exp(-scores)), 12)[:, 1]
    curve = fit_venn_abers(1 / (1 + np.exp(-scores)), labels)
    for score in (-1.234, 0.005, 0.777):
        one = [
            IsotonicRegression().fit(np.append(scores, score), np.append(labels, called)).predict([score])[0]
            for called in (0.0, 1.0)
        ]
        wanted = one[1] / (1 - one[0] + one[1])
        asked = np.array([1 / (1 + np.exp(-score))])
        if np.round(score, 2) not in scores:
            assert curve.apply(asked)[0] == pytest.approx(wanted, abs=1e-9)


def test_samples_of_a_prompt_are_one_label() -> None:
    """Prompts whose samples disagree keep their mean: half shares everywhere give Venn-Abers one half."""
    pytest.importorskip("venn_abers", reason="needs metamodel[calibration]")
    claimed = np.linspace(0.01, 0.99, 400)
    curve = fit_venn_abers(claimed, np.full(400, 0.5))
    np.testing.assert_allclose(curve.apply(claimed[20:-20]), 0.5, atol=0.03)


@pytest.mark.parametrize("method", CURVES)
def test_several_outcomes(method: CurveMethod) -> None:
    """Curves of three outcomes against the rest give distributions that cost fewer bits than the claims."""
    rng = np.random.default_rng(13)
    logits = rng.normal(size=(3000, 3))
    truth, claimed = softmax(logits), softmax(3 * logits + np.array([1.0, 0, 0]))
    shares = np.eye(3)[[rng.choice(3, p=row) for row in truth]]
    prior = np.full(3, 1 / 3)
    calibration = fit_calibration(claimed[:1500], prior, shares[:1500], method=method)
    assert isinstance(calibration, CurveCalibration)
    assert len(calibration.curves) == 3
    after = calibration.apply(claimed[1500:], prior)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-12)
    assert cross_entropy_bits(shares[1500:], after) < cross_entropy_bits(shares[1500:], claimed[1500:]) - 0.2
    for row in range(0, 1500, 400):
        alone = calibration.apply(claimed[1500 + row : 1501 + row], prior)
        assert np.array_equal(alone[0], after[row])


@pytest.mark.parametrize("method", CURVES)
def test_one_class_and_one_prompt(method: CurveMethod) -> None:
    """An outcome that never occurred keeps its predictions, and a single prompt moves nothing far."""
    claimed = two(np.full(20, 0.2))
    never = fit_calibration(claimed, PRIOR, np.tile([1.0, 0.0], (20, 1)), method=method)
    np.testing.assert_allclose(never.apply(claimed, PRIOR)[:, 1], 0.2, atol=0.06)
    single = fit_calibration(np.array([[0.2, 0.8]]), PRIOR, np.array([[1.0, 0.0]]), method=method)
    assert single.apply(np.array([[0.2, 0.8]]), PRIOR)[0, 1] > 0.4


def test_shrinkage_is_judged_on_left_out_domains() -> None:
    """Claims that are right in one domain and upside down in the other are trusted less when domains are known."""
    claimed, shares = miscalibrated(2000, 15)
    domains = np.repeat(["a", "b"], 1000)
    shares[1000:] = shares[1000:, ::-1]
    mixed = fit_calibration(two(claimed), np.full(2, 0.5), shares, method="beta", domains=domains.tolist())
    by_prompt = fit_calibration(two(claimed), np.full(2, 0.5), shares, method="beta")
    assert isinstance(mixed, CurveCalibration)
    assert isinstance(by_prompt, CurveCalibration)
    assert mixed.shrinkage > by_prompt.shrinkage + 0.3


def test_none_and_unknown_methods() -> None:
    """`none` leaves predictions as they are; a name that is no method is refused."""
    claimed, shares = miscalibrated(100, 17)
    assert fit_calibration(two(claimed), PRIOR, shares, method="none") == Calibration()
    with pytest.raises(ValueError, match="method is 'platt', must be one of temperature, none, isotonic"):
        require_method("method", "platt")  # type: ignore[arg-type] # wrong on purpose


def test_missing_package_gets_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without venn-abers the error says what to install."""
    monkeypatch.setitem(sys.modules, "venn_abers", None)
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[calibration\]'"):
        fit_venn_abers(np.array([0.2, 0.8]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("method", CURVES)
def test_saved_curves_calibrate_the_same(
    method: CurveMethod, planted: Callable[..., LabeledPrompts], tmp_path: Path
) -> None:
    """Curves survive saving bit for bit, and predicting from them needs no library that fitted them."""
    fitted = Calibrated(trainer="prompt_length", method=method, n_folds=3).fit(
        planted(120, 0), planted(40, 1), context=FitContext()
    )
    fitted.save(tmp_path)
    texts = planted(30, 2).texts
    loaded = load_metamodel(tmp_path)
    before, after = fitted.predict(texts), loaded.predict(texts)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert loaded.description_bits == fitted.description_bits


WRONG_CURVES: dict[str, dict[str, object]] = {
    "an unknown method": {"method": "platt", "curves": [{"a": 1.0, "b": 1.0, "c": 0.0}], "shrinkage": 0.0},
    "a method of lists": {"method": ["beta"], "curves": [{"a": 1.0, "b": 1.0, "c": 0.0}], "shrinkage": 0.0},
    "no curve": {"method": "beta", "curves": [], "shrinkage": 0.0},
    "too many curves": {"method": "beta", "curves": [{"a": 1.0, "b": 1.0, "c": 0.0}] * 2, "shrinkage": 0.0},
    "a falling beta curve": {"method": "beta", "curves": [{"a": -1.0, "b": 1.0, "c": 0.0}], "shrinkage": 0.0},
    "text in a curve": {"method": "beta", "curves": [{"a": "1", "b": 1.0, "c": 0.0}], "shrinkage": 0.0},
    "an unknown curve": {"method": "beta", "curves": [{"x": 1.0}], "shrinkage": 0.0},
    "a curve of text": {"method": "beta", "curves": ["import os"], "shrinkage": 0.0},
    "falling knots": {"method": "isotonic", "curves": [{"knots": [0.5, 0.1], "heights": [0.1, 0.2]}], "shrinkage": 0.0},
    "heights above 1": {
        "method": "isotonic",
        "curves": [{"knots": [0.1, 0.5], "heights": [0.1, 2.0]}],
        "shrinkage": 0.0,
    },
    "no knots": {"method": "isotonic", "curves": [{"knots": [], "heights": []}], "shrinkage": 0.0},
    "missing steps": {
        "method": "venn_abers",
        "curves": [{"knots": [0.1], "zeros": [0.1], "ones": [0.1]}],
        "shrinkage": 0.0,
    },
    "a huge knot": {"method": "isotonic", "curves": [{"knots": [1e999], "heights": [0.1]}], "shrinkage": 0.0},
    "a wide shrinkage": {"method": "beta", "curves": [{"a": 1.0, "b": 1.0, "c": 0.0}], "shrinkage": 1.5},
    "one thing more": {"method": "beta", "curves": [{"a": 1.0, "b": 1.0, "c": 0.0}], "shrinkage": 0.0, "x": 1},
}


@pytest.mark.parametrize("wrong", WRONG_CURVES)
def test_untrusted_curves_are_refused(wrong: str, tmp_path: Path) -> None:
    """Every number of a calibration read from a folder is checked before it is used."""
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"behaviors": {"f": WRONG_CURVES[wrong]}}), encoding="utf-8")
    with pytest.raises(DataError):
        read_calibrations(path, {"f": Binary()})
