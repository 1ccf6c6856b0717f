"""After training: a temperature or a curve, and a shrinkage toward the training prior, fitted on validation prompts.

Shapes: n = prompts, m = prompts with at least one label, c = outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args, overload

import numpy as np

from metamodel.labels import LabeledPrompts
from metamodel.types import FloatArray, IntArray, Predictions
from trainers.fitting.calibration_curves import CurveCalibration, fit_curve_calibration
from trainers.heads.outcomes import cross_entropy_bits, kept_inside, outcome_shares, softmax

# One list, and not a union with CurveMethod, so that a config error lists all that is allowed.
CalibrationMethod: TypeAlias = Literal["temperature", "none", "isotonic", "beta", "venn_abers"]

LOWEST_TEMPERATURE = 0.125
HIGHEST_TEMPERATURE = 16.0
# What leaving the identity must gain over all validation prompts together: a handful of prompts cannot move it far.
PENALTY_BITS = 2.0
# A few numbers need no more prompts than these; the rest would only cost time.
MOST_PROMPTS = 20_000


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The map p -> (1 - shrinkage) * softmax(log p / temperature) + shrinkage * prior.

    Temperature: Guo et al., On Calibration of Modern Neural Networks (2017). The shrinkage is ours: out of distribution
    a model may deserve no trust at all, and then 1 ("no better than the prior") is the right answer.

    Attributes:
        temperature: Above 1 flattens, below 1 sharpens.
        shrinkage: Weight of the prior, from 0 to 1.
    """

    temperature: float = 1.0
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that do not give probabilities."""
        if not LOWEST_TEMPERATURE <= self.temperature <= HIGHEST_TEMPERATURE:
            raise ValueError(
                f"temperature is {self.temperature}, must be from {LOWEST_TEMPERATURE} to {HIGHEST_TEMPERATURE}"
            )
        if not 0 <= self.shrinkage <= 1:
            raise ValueError(f"shrinkage is {self.shrinkage}, must be from 0 to 1")

    def apply(self, probabilities: FloatArray, prior: FloatArray) -> FloatArray:
        """Return calibrated probabilities, [n, c], none of them 0 or 1.

        Args:
            probabilities: Predictions, [n, c].
            prior: The training prior, [c].
        """
        inside = kept_inside(probabilities)
        tempered = inside if self.temperature == 1 else softmax(np.log(inside) / self.temperature)
        return kept_inside((1 - self.shrinkage) * tempered + self.shrinkage * prior)

    def with_surprise(self, share: float) -> Calibration:
        """Return this calibration with so much of what it gives replaced by the prior, from 0 to 1."""
        return replace(self, shrinkage=1 - (1 - self.shrinkage) * (1 - share))


AnyCalibration: TypeAlias = Calibration | CurveCalibration


def apply_calibrations(
    calibrations: Mapping[str, AnyCalibration], predictions: Predictions, priors: Mapping[str, FloatArray]
) -> Predictions:
    """Return calibrated predictions, [n, c] a behavior; temperatures of as many outcomes are applied at once.

    Args:
        calibrations: Of each behavior.
        predictions: Uncalibrated, [n, c] a behavior.
        priors: Training priors, [c] a behavior.
    """
    alike: dict[int, list[str]] = {}
    for name, values in predictions.items():
        if type(calibrations[name]) is Calibration:
            alike.setdefault(values.shape[1], []).append(name)
    applied: dict[str, FloatArray] = {}
    for names in alike.values():
        if len(names) > 1:
            few = [calibration for name in names if isinstance(calibration := calibrations[name], Calibration)]
            values = _applied_alike(few, [predictions[name] for name in names], [priors[name] for name in names])
            applied |= dict(zip(names, values, strict=True))
    return {
        name: applied[name] if name in applied else calibrations[name].apply(values, priors[name])
        for name, values in predictions.items()
    }


def _applied_alike(
    calibrations: Sequence[Calibration], predictions: Sequence[FloatArray], priors: Sequence[FloatArray]
) -> FloatArray:
    """Return what each calibration's `apply` gives, [b, n, c] for b of them with as many outcomes each."""
    tempered = kept_inside(np.array(predictions))  # [b, n, c]
    bent = [place for place, one in enumerate(calibrations) if one.temperature != 1]
    if bent:
        temperatures = np.array([calibrations[place].temperature for place in bent])[:, None, None]
        tempered[bent] = softmax(np.log(tempered[bent]) / temperatures)
    shrinkage = np.array([one.shrinkage for one in calibrations])[:, None, None]
    return kept_inside((1 - shrinkage) * tempered + shrinkage * np.array(priors)[:, None, :])


@overload
def fit_calibration(
    probabilities: FloatArray,
    prior: FloatArray,
    shares: FloatArray,
    *,
    method: Literal["temperature", "none"] = "temperature",
    domains: Sequence[str] | None = None,
) -> Calibration: ...


@overload
def fit_calibration(
    probabilities: FloatArray,
    prior: FloatArray,
    shares: FloatArray,
    *,
    method: CalibrationMethod,
    domains: Sequence[str] | None = None,
) -> AnyCalibration: ...


def fit_calibration(
    probabilities: FloatArray,
    prior: FloatArray,
    shares: FloatArray,
    *,
    method: CalibrationMethod = "temperature",
    domains: Sequence[str] | None = None,
) -> AnyCalibration:
    """Return the calibration of a method, or the identity where there is no validation prompt.

    Args:
        probabilities: Uncalibrated predictions for the labeled validation prompts, [m, c].
        prior: The training prior, [c], or that of each prompt's own fit, [m, c]; without zeros.
        shares: Their outcome shares, [m, c].
        method: "none" is the identity.
        domains: Domain of each prompt, m of them: a curve's shrinkage is then judged on left-out domains.

    Raises:
        MetamodelError: The method needs a package that is not installed.
    """
    if method == "none" or not len(shares):
        return Calibration()
    if method == "temperature":
        return fit_temperature(probabilities, prior, shares)
    groups = np.unique(np.asarray(domains), return_inverse=True)[1] if domains is not None else None
    kept = _spread(len(shares))
    return fit_curve_calibration(
        probabilities[kept],
        prior[kept] if prior.ndim > 1 else prior,
        shares[kept],
        method=method,
        penalty_bits=PENALTY_BITS,
        groups=groups[kept] if groups is not None else None,
    )


def fit_temperature(probabilities: FloatArray, prior: FloatArray, shares: FloatArray) -> Calibration:
    """Return the temperature and shrinkage with the fewest validation bits; the identity without validation prompts.

    Minimizes m * cross-entropy in bits + PENALTY_BITS * (log2(temperature)^2 + shrinkage). The penalty is ours.

    Args:
        probabilities: Uncalibrated predictions for the labeled validation prompts, [m, c].
        prior: The training prior, [c], or that of each prompt's own fit, [m, c]; without zeros.
        shares: Their outcome shares, [m, c].
    """
    from scipy.optimize import minimize

    if not len(shares):
        return Calibration()
    kept = _spread(len(shares))
    weight = len(shares) / len(kept)
    log_inside, kept_shares = np.log(kept_inside(probabilities[kept])), shares[kept]
    kept_prior = prior[kept] if prior.ndim > 1 else prior

    def penalized_bits(point: FloatArray) -> tuple[float, FloatArray]:
        bits, gradient = _bits_and_gradient(point, log_inside, kept_prior, kept_shares)
        log2_temperature, shrinkage = float(point[0]), float(point[1])
        penalty = PENALTY_BITS * (log2_temperature**2 + shrinkage)
        slope = PENALTY_BITS * np.array([2 * log2_temperature, 1.0])
        return weight * bits + penalty, weight * gradient + slope

    bounds = [(math.log2(LOWEST_TEMPERATURE), math.log2(HIGHEST_TEMPERATURE)), (0.0, 1.0)]
    # The mixture makes two valleys possible, one near the model and one near the prior.
    starts = ((0.0, 0.05), (1.0, 0.5), (0.0, 0.95))
    found = [minimize(penalized_bits, np.array(s), jac=True, bounds=bounds, method="L-BFGS-B") for s in starts]
    points = [np.array([0.0, 0.0]), np.array([0.0, 1.0]), *(result.x for result in found)]
    best = min(points, key=lambda point: penalized_bits(point)[0])
    return Calibration(temperature=2.0 ** float(best[0]), shrinkage=float(best[1]))


def fit_calibrations(
    predictions: Predictions,
    priors: Mapping[str, FloatArray],
    validation: LabeledPrompts,
    *,
    method: CalibrationMethod = "temperature",
    surprise: float = 0.0,
) -> dict[str, AnyCalibration]:
    """Return one calibration a behavior; the identity for one that validation has no label of.

    Args:
        predictions: Uncalibrated predictions for all validation prompts, [n, c] a behavior.
        priors: Training priors, [c] a behavior.
        validation: Prompts of training domains that were not fitted on.
        method: "none" is the identity.
        surprise: Share of the prior that a temperature's predictions keep, see `domain_folds.surprise_share`.
    """
    calibrations: dict[str, AnyCalibration] = {}
    for name, probabilities in predictions.items():
        if name not in validation.labels:
            calibrations[name] = Calibration().with_surprise(surprise)
            continue
        rows, shares = outcome_shares(validation.labels[name])
        domains = [validation.domains[row] for row in rows]
        found = fit_calibration(probabilities[rows], priors[name], shares, method=method, domains=domains)
        calibrations[name] = found.with_surprise(surprise) if isinstance(found, Calibration) else found
    return calibrations


def require_method(name: str, method: CalibrationMethod) -> None:
    """Refuse a field that names no calibration method.

    Raises:
        ValueError: It is none of them.
    """
    known = get_args(CalibrationMethod)
    if method not in known:
        raise ValueError(f"{name} is {method!r}, must be one of {', '.join(known)}")


def _spread(m: int) -> IntArray:
    """Return MOST_PROMPTS of m row numbers, evenly spread; all where there are fewer."""
    return np.unique(np.linspace(0, m - 1, min(m, MOST_PROMPTS)).astype(np.int64))


def _bits_and_gradient(
    point: FloatArray, log_inside: FloatArray, prior: FloatArray, shares: FloatArray
) -> tuple[float, FloatArray]:
    """Return total bits at (log2 temperature, shrinkage) and their two derivatives."""
    temperature, shrinkage = 2.0 ** float(point[0]), float(point[1])
    tempered = softmax(log_inside / temperature)
    mixed = kept_inside((1 - shrinkage) * tempered + shrinkage * prior)
    pull = -shares / mixed / math.log(2)  # [m, c]: derivative of the bits by each probability
    mean_log = (tempered * log_inside).sum(axis=1, keepdims=True)
    # d softmax(l / T) / d T = softmax * (mean l - l) / T^2, and d T / d log2 T = T * ln 2
    by_log2_temperature = tempered * (mean_log - log_inside) / temperature * math.log(2)
    gradient = np.array(
        [(pull * (1 - shrinkage) * by_log2_temperature).sum(), (pull * (prior - tempered)).sum()], dtype=np.float64
    )
    return len(shares) * cross_entropy_bits(shares, mixed), gradient
