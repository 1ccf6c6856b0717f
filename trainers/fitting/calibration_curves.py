"""Calibration by curves: isotonic, beta and Venn-Abers, each outcome against the rest, then shrunk toward the prior.

A curve maps one outcome's predicted probability to a calibrated one. With two outcomes there is one curve, that of the
second outcome, and the first gets the rest. With more there is one an outcome, and the results are divided by their
sum: the usual extension, which keeps no guarantee of the binary method. What is stored is plain numbers: no library is
needed to predict.

Shapes: n = prompts, m = prompts with at least one label, c = outcomes, t = knots of a curve.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np

from metamodel.errors import MetamodelError
from metamodel.types import FloatArray, IntArray
from trainers.heads.outcomes import FLOOR, cross_entropy_bits, kept_inside

CurveMethod = Literal["isotonic", "beta", "venn_abers"]
# Venn-Abers reads log-odds to so many decimals, which bounds what is stored; only their order matters to it.
_LOG_ODDS_DECIMALS = 2
# Pull of the beta curve to the identity, in nats for parameters one away from it.
_BETA_PENALTY = 1.0
_N_FOLDS = 5


class Curve(Protocol):
    """From one outcome's predicted probability to its calibrated one."""

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n]."""
        ...


@dataclass(frozen=True, kw_only=True)
class BetaCurve:
    """The map p -> 1 / (1 + 1 / exp(a log p - b log(1 - p) + c)).

    Kull, Silva Filho and Flach, Beta calibration (2017), equation 7; a = b = 1 and c = 0 is the identity.

    Attributes:
        a: At least 0, or the map would fall.
        b: At least 0.
        c: Any number.
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that give no rising curve."""
        if not (0 <= self.a < math.inf and 0 <= self.b < math.inf and math.isfinite(self.c)):
            raise ValueError(f"beta curve has a = {self.a}, b = {self.b}, c = {self.c}: a and b must be 0 or more")

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n]."""
        inside = np.clip(probabilities, FLOOR, 1 - FLOOR)
        log_odds = self.a * np.log(inside) - self.b * np.log1p(-inside) + self.c
        curve: FloatArray = 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
        return curve


@dataclass(frozen=True, kw_only=True)
class IsotonicCurve:
    """The rising curve of least squares, straight between its knots and flat beyond them, as scikit-learn's.

    Attributes:
        knots: Predicted probabilities, rising, [t].
        heights: Calibrated probabilities there, never falling, [t].
    """

    knots: tuple[float, ...]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse knots that give no rising curve of probabilities."""
        if not self.knots or len(self.knots) != len(self.heights):
            raise ValueError(f"isotonic curve has {len(self.knots)} knots and {len(self.heights)} heights")
        _require_rising("knots", self.knots)
        _require_probabilities("heights", self.heights)
        _require_rising("heights", self.heights)

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n]."""
        curve: FloatArray = np.interp(probabilities, self.knots, self.heights)
        return curve


@dataclass(frozen=True, kw_only=True)
class VennAbersCurve:
    """Two isotonic fits, one that calls the prompt at hand a 0 and one that calls it a 1, and their compromise.

    Vovk, Petej and Fedorova, Large-scale probabilistic predictors with and without guarantees of validity (2015): with
    p0 and p1 of the two fits the probability is p1 / (1 - p0 + p1), which costs the least in the worst case.

    Attributes:
        knots: Log-odds of the calibration prompts, rising, [t].
        zeros: p0 below, between and above the knots, [t + 1].
        ones: p1 there, [t + 1].
    """

    knots: tuple[float, ...]
    zeros: tuple[float, ...]
    ones: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse steps that give no probabilities."""
        if not self.knots or not len(self.zeros) == len(self.ones) == len(self.knots) + 1:
            raise ValueError(
                f"Venn-Abers curve has {len(self.knots)} knots, {len(self.zeros)} zeros and {len(self.ones)} ones, "
                "must have one more of both than knots"
            )
        _require_rising("knots", self.knots)
        _require_probabilities("zeros", self.zeros)
        _require_probabilities("ones", self.ones)

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n]."""
        scores = rounded_log_odds(probabilities)
        p0 = np.asarray(self.zeros)[np.searchsorted(self.knots, scores, side="right")]
        p1 = np.asarray(self.ones)[np.searchsorted(self.knots, scores, side="left")]
        # Both fits may say 0 of a score that they never saw between two others; the compromise is then 0 too.
        compromise: FloatArray = p1 / np.maximum(1 - p0 + p1, FLOOR)
        return np.clip(compromise, 0.0, 1.0)


AnyCurve: TypeAlias = BetaCurve | IsotonicCurve | VennAbersCurve


@dataclass(frozen=True, kw_only=True)
class CurveCalibration:
    """The map p -> (1 - shrinkage) * normalized curves(p) + shrinkage * prior.

    Attributes:
        method: How the curves were fitted.
        curves: One an outcome; that of the second outcome alone where there are two.
        shrinkage: Weight of the prior, from 0 to 1.
    """

    method: CurveMethod
    curves: tuple[AnyCurve, ...]
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a weight that does not give probabilities."""
        if not self.curves:
            raise ValueError("a calibration by curves has no curve")
        if not 0 <= self.shrinkage <= 1:
            raise ValueError(f"shrinkage is {self.shrinkage}, must be from 0 to 1")

    def apply(self, probabilities: FloatArray, prior: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n, c], none of them 0 or 1.

        Args:
            probabilities: Predictions, [n, c].
            prior: The training prior, [c].
        """
        normalized = apply_curves(self.curves, probabilities)
        return kept_inside((1 - self.shrinkage) * normalized + self.shrinkage * prior)


def apply_curves(curves: Sequence[AnyCurve], probabilities: FloatArray) -> FloatArray:
    """Return the curves' probabilities divided by their sum over outcomes, [n, c]."""
    inside = kept_inside(probabilities)
    if len(curves) == 1:
        # A contiguous copy: numpy may round differently on strided memory, and then a batch's size would show.
        second = curves[0].apply(np.ascontiguousarray(inside[:, 1]))
        return np.stack([1 - second, second], axis=1)
    columns = [np.clip(curve.apply(np.ascontiguousarray(inside[:, j])), FLOOR, 1) for j, curve in enumerate(curves)]
    stacked = np.ascontiguousarray(np.stack(columns, axis=1))
    normalized: FloatArray = stacked / stacked.sum(axis=1, keepdims=True)
    return normalized


def fit_curve_calibration(
    probabilities: FloatArray,
    prior: FloatArray,
    shares: FloatArray,
    *,
    method: CurveMethod,
    penalty_bits: float,
    groups: IntArray | None = None,
) -> CurveCalibration:
    """Return curves fitted on all labeled prompts, and the shrinkage that curves fitted without a prompt's group need.

    A flexible curve looks perfect where it was fitted, so the shrinkage is fitted on five cross-fitted parts. It is at
    least 1 / (m + 1), the weight of one prompt: an isotonic curve may say 0.

    Args:
        probabilities: Uncalibrated predictions, [m, c], m at least 1.
        prior: The training prior, [c], or that of each prompt's own fit, [m, c].
        shares: Outcome shares, [m, c].
        method: Kind of curve.
        penalty_bits: What a shrinkage of 1 must gain over all prompts together.
        groups: Domain number of each prompt, [m]: prompts of one domain are then cross-fitted together.
    """
    m = len(shares)
    parts = (groups if groups is not None and len(np.unique(groups)) > 1 else np.arange(m)) % _N_FOLDS
    crossed = kept_inside(probabilities)
    for part in np.unique(parts):
        rest = parts != part
        if rest.any():
            crossed[~rest] = apply_curves(fit_curves(probabilities[rest], shares[rest], method), probabilities[~rest])
    least = 1 / (m + 1)
    shrinkage = max(_fitted_shrinkage(crossed, prior, shares, penalty_bits), least)
    return CurveCalibration(method=method, curves=fit_curves(probabilities, shares, method), shrinkage=shrinkage)


def fit_curves(probabilities: FloatArray, shares: FloatArray, method: CurveMethod) -> tuple[AnyCurve, ...]:
    """Return one curve an outcome, that of the second alone where there are two.

    An outcome that every prompt showed, or none, keeps its predictions: nothing says how they should bend.
    """
    fits: dict[CurveMethod, Callable[[FloatArray, FloatArray], AnyCurve]] = {
        "isotonic": fit_isotonic,
        "beta": fit_beta,
        "venn_abers": fit_venn_abers,
    }
    inside = kept_inside(probabilities)
    outcomes = [1] if shares.shape[1] == 2 else range(shares.shape[1])  # noqa: PLR2004 - no and yes
    curves: list[AnyCurve] = []
    for outcome in outcomes:
        share = shares[:, outcome]
        has_both = 0 < share.sum() < len(share)
        curves.append(fits[method](inside[:, outcome], share) if has_both else BetaCurve())
    return tuple(curves)


def fit_isotonic(probabilities: FloatArray, shares: FloatArray) -> IsotonicCurve:
    """Return the rising curve of least squares through (probability, share), both [m], by scikit-learn."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities, shares)
    return IsotonicCurve(knots=_floats(model.X_thresholds_), heights=_floats(np.clip(model.y_thresholds_, 0, 1)))


def fit_beta(probabilities: FloatArray, shares: FloatArray) -> BetaCurve:
    """Return the beta curve of largest likelihood with a and b at least 0, pulled a little to the identity, [m] each.

    Minimizes the sum of nats + (a - 1)^2 + (b - 1)^2 + c^2. The pull is ours: a handful of prompts moves it little.
    """
    from scipy.optimize import minimize

    logs = np.stack([np.log(probabilities), -np.log1p(-probabilities), np.ones(len(probabilities))], axis=1)  # [m, 3]
    identity = np.array([1.0, 1.0, 0.0])

    def nats(point: FloatArray) -> tuple[float, FloatArray]:
        log_odds = logs @ point
        away = point - identity
        cost = float((np.logaddexp(0, log_odds) - shares * log_odds).sum() + _BETA_PENALTY * (away**2).sum())
        return cost, logs.T @ (1 / (1 + np.exp(-log_odds)) - shares) + 2 * _BETA_PENALTY * away

    bounds = [(0.0, None), (0.0, None), (None, None)]
    a, b, c = minimize(nats, identity, jac=True, bounds=bounds, method="L-BFGS-B").x
    return BetaCurve(a=float(a), b=float(b), c=float(c))


def fit_venn_abers(probabilities: FloatArray, shares: FloatArray) -> VennAbersCurve:
    """Return the inductive Venn-Abers predictor of the venn-abers package, [m] each.

    It knows only hard labels, one a prompt. Where samples of a prompt disagree, labels are dealt along the rising score
    so that every stretch of scores keeps its share (error diffusion): drawing each sample again changes nothing.

    Raises:
        MetamodelError: The package is not installed.
    """
    try:
        from venn_abers import VennAbers
    except ImportError as error:
        raise MetamodelError(
            "calibration is venn_abers, which needs the venn-abers package: pip install 'metamodel[calibration]'"
        ) from error
    scores = rounded_log_odds(probabilities)
    order = np.argsort(scores, kind="stable")
    labels = np.diff(np.floor(np.cumsum(shares[order]) + 0.5), prepend=0.0)
    model = VennAbers()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # The package divides 0 by 0 at the two ends and takes the least of what is left.
        warnings.simplefilter("ignore", RuntimeWarning)
        model.fit(p_cal=np.stack([-scores[order], scores[order]], axis=1), y_cal=np.clip(labels, 0, 1))
    return VennAbersCurve(
        knots=_floats(model.c),
        zeros=_floats(np.clip(np.nan_to_num(model.p0[:, 1]), 0, 1)),
        ones=_floats(np.clip(np.nan_to_num(model.p1[:, 1], nan=1.0), 0, 1)),
    )


def rounded_log_odds(probabilities: FloatArray) -> FloatArray:
    """Return log(p / (1 - p)) to two decimals, [n]."""
    inside = np.clip(probabilities, FLOOR, 1 - FLOOR)
    rounded: FloatArray = np.round(np.log(inside) - np.log1p(-inside), _LOG_ODDS_DECIMALS)
    return rounded


def _fitted_shrinkage(crossed: FloatArray, prior: FloatArray, shares: FloatArray, penalty_bits: float) -> float:
    """Return the weight of the prior with the fewest bits; the penalty over all prompts pulls it to 0."""
    from scipy.optimize import minimize_scalar

    def penalized_bits(shrinkage: float) -> float:
        mixed = kept_inside((1 - shrinkage) * crossed + shrinkage * prior)
        return len(shares) * cross_entropy_bits(shares, mixed) + penalty_bits * shrinkage

    found = float(minimize_scalar(penalized_bits, bounds=(0, 1), method="bounded").x)
    return min((0.0, 1.0, found), key=penalized_bits)


def _floats(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _require_rising(name: str, values: Sequence[float]) -> None:
    if not np.isfinite(values).all() or (np.diff(values) < 0).any():
        raise ValueError(f"{name} of a calibration curve must be finite and never fall")


def _require_probabilities(name: str, values: Sequence[float]) -> None:
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"{name} of a calibration curve must be from 0 to 1")
