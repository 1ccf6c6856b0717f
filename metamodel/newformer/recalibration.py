"""A known metamodel, bent to a new primary model by a few of its labels.

q'(f given x) is proportional to q(f given x)^a exp(b_f): a temperature and a bias an outcome, fitted by maximum a
posteriori with normal priors around what changes nothing, a = 1 and b = 0. Temperature and bias are vector scaling with
one shared slope (Guo et al., *On Calibration of Modern Neural Networks*, 2017); the priors are ours: with no label the
prediction stays what it was.

Shapes: m = labeled prompts, n = prompts, c = outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.types import FloatArray, IntArray

# Standard deviations of the priors: biases of base rates that differ tenfold stay likely.
SLOPE_SPREAD: Final = 0.5
BIAS_SPREAD: Final = 1.5


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """How predictions are bent.

    Attributes:
        slope: a; above 0.
        biases: b, [c].
        loss: Negative log posterior of the labels it was fitted on, in nats; priors' constants left out.
    """

    slope: float
    biases: FloatArray
    loss: float

    def apply(self, log_probabilities: FloatArray) -> FloatArray:
        """Return bent probabilities, [n, c], from natural logarithms of probabilities, [n, c]."""
        logits = self.slope * log_probabilities + self.biases
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        bent: FloatArray = powers / powers.sum(axis=1, keepdims=True)
        return bent


def fit_recalibration(log_probabilities: FloatArray, counts: IntArray) -> Recalibration:
    """Fit slope and biases to labels; every labeled prompt weighs the same.

    Args:
        log_probabilities: Natural logarithms of a metamodel's probabilities, [m, c].
        counts: How often each outcome was drawn for each prompt, [m, c], at least one a row.

    >>> unsure = np.log(np.full((40, 2), 0.5))
    >>> bent = fit_recalibration(unsure, np.array([[1, 3]] * 40)).apply(unsure)
    >>> bool(0.7 < bent[0, 1] < 0.76)
    True
    """
    from scipy.optimize import minimize

    c = log_probabilities.shape[1]
    if not len(counts):
        return Recalibration(slope=1.0, biases=np.zeros(c), loss=0.0)
    shares = counts / counts.sum(axis=1, keepdims=True)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        log_slope, biases = parameters[0], parameters[1:]
        slope = np.exp(log_slope)
        logits = slope * log_probabilities + biases
        top = logits.max(axis=1, keepdims=True)
        norms = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        off = np.exp(logits - norms) - shares  # [m, c]
        value = -(shares * (logits - norms)).sum()
        value += 0.5 * (log_slope / SLOPE_SPREAD) ** 2 + 0.5 * float(np.square(biases / BIAS_SPREAD).sum())
        gradient = np.empty_like(parameters)
        gradient[0] = (off * log_probabilities).sum() * slope + log_slope / SLOPE_SPREAD**2
        gradient[1:] = off.sum(axis=0) + biases / BIAS_SPREAD**2
        return float(value), gradient

    found = minimize(loss, np.zeros(1 + c), jac=True, method="L-BFGS-B", bounds=[(-3, 3), *[(-12, 12)] * c])
    return Recalibration(slope=float(np.exp(found.x[0])), biases=found.x[1:], loss=float(found.fun))
