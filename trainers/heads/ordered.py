"""Heads for ordered outcomes: counts and reals, whose neighbouring bins have much in common.

A multinomial regression has one slope a bin and feature, which two dozen bins can hardly fill with evidence. Here a
prompt bends the whole distribution by a few smooth shapes: toward high bins, toward both ends, and so on.

Bits refer to the label space's own bins, as for every head: for `Count` those between its edges (by default single
counts up to 4, then two bins an octave), for `Real` bins of width (high - low) / n_bins, the outer two open-ended.

Shapes: m = labeled prompts, n = prompts, d = features, r = shapes, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.labels import Count, LabelSpace, Real
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.heads.family import Head
from trainers.heads.logistic import rowwise_product
from trainers.heads.outcomes import smoothed_prior, softmax

N_SHAPES = 5
_MOST_ITERATIONS = 200
_LARGEST = 1e6


def is_ordered(space: LabelSpace) -> bool:
    """Say whether neighbouring outcomes of a label space have something in common."""
    return isinstance(space, (Count, Real))


class OrderedHead(NamedTuple):
    """One behavior's distribution: prior_j * exp(offset_j + sum over shapes of shape_rj * (x . slope_r)), normalized.

    An exponential tilt of the prior; with one shape and no offsets it is the adjacent-categories logit model (Agresti,
    Analysis of Ordinal Categorical Data, 2010, section 4.1) scored by ranks, whose further shapes are ours.

    Attributes:
        shapes: [r, c].
        offsets: [c].
        slopes: [d, r].
    """

    shapes: NDArray[np.float32]
    offsets: NDArray[np.float32]
    slopes: NDArray[np.float32]

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]."""
        base = np.log(prior) + self.offsets.astype(np.float64)
        bends = rowwise_product(features, self.slopes)  # [n, r]
        return softmax(base + rowwise_product(bends, self.shapes))

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        return {
            f"ordered_shapes.{index}": self.shapes,
            f"ordered_offsets.{index}": self.offsets,
            f"ordered_slopes.{index}": self.slopes,
        }


@dataclass(frozen=True, kw_only=True)
class OrderedFamily:
    """Exponential tilts of the prior by a few smooth shapes over the bins.

    Attributes:
        strengths: Inverse penalties of the slopes, rising: C in |slopes|^2 / 2 + C * nats, as in scikit-learn.
        n_shapes: Shapes; 1 only moves the distribution, 2 also widens it.
    """

    strengths: tuple[float, ...]
    n_shapes: int = N_SHAPES

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:  # noqa: ARG002 - nothing is random
        """Yield one head a strength, each fit starting from the one before."""
        yield from self._fits(features, shares, self.strengths)

    def fit_one(self, features: FloatArray, shares: FloatArray, position: int, *, seed: int) -> Head:  # noqa: ARG002 - nothing is random
        """Return the head of one strength: the cost has one minimum, wherever the fit starts."""
        return next(self._fits(features, shares, (self.strengths[position],)))

    def _fits(self, features: FloatArray, shares: FloatArray, strengths: tuple[float, ...]) -> Iterator[Head]:
        prior = smoothed_prior(shares)
        shapes = smooth_shapes(prior, self.n_shapes)
        point = np.zeros(shapes.shape[1] + features.shape[1] * len(shapes))
        for strength in strengths:
            point = _fitted(point, features, shares, np.log(prior), shapes, strength)
            offsets, slopes = _parts(point, features.shape[1], shapes)
            yield OrderedHead(
                shapes=shapes.astype(np.float32),
                offsets=offsets.astype(np.float32),
                slopes=np.ascontiguousarray(slopes, dtype=np.float32),
            )

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:
        """Read back one head.

        Raises:
            DataError: A tensor is missing, has another type or shape, or is too large to sum.
        """
        n_outcomes = len(list(artifact.spaces.values())[index].outcomes)
        shapes = artifact.floats(f"ordered_shapes.{index}", (None, n_outcomes))
        head = OrderedHead(
            shapes=shapes.astype(np.float32),
            offsets=artifact.floats(f"ordered_offsets.{index}", (n_outcomes,)).astype(np.float32),
            slopes=artifact.floats(f"ordered_slopes.{index}", (width, len(shapes))).astype(np.float32),
        )
        if any((np.abs(tensor) > _LARGEST).any() for tensor in head):
            raise DataError(f"weights.safetensors: ordered head {index} is too large to sum: train again")
        return head


def smooth_shapes(prior: FloatArray, n_shapes: int) -> FloatArray:
    """Return Legendre polynomials of degrees 1 to r at the bins' mid-ranks under the prior, [r, c].

    Ranks are bounded, so that a rare outermost bin is never thrown far; degrees beyond c - 1 would repeat others.
    """
    mid_ranks = np.cumsum(prior) - prior / 2  # [c], from 0 to 1
    degrees = range(1, min(n_shapes, len(prior) - 1) + 1)
    shapes = [np.polynomial.legendre.Legendre.basis(degree)(2 * mid_ranks - 1) for degree in degrees]
    return np.stack(shapes) if shapes else np.zeros((0, len(prior)))


def _fitted(
    start: FloatArray,
    features: FloatArray,
    shares: FloatArray,
    log_prior: FloatArray,
    shapes: FloatArray,
    strength: float,
) -> FloatArray:
    """Minimize (|slopes|^2 + C |offsets|^2) / 2 + C * nats; convex. An outcome never seen keeps about its prior."""
    from scipy.optimize import minimize

    if not len(shares):
        return start

    def cost(point: FloatArray) -> tuple[float, FloatArray]:
        offsets, slopes = _parts(point, features.shape[1], shapes)
        logits = log_prior + offsets + (features @ slopes) @ shapes  # [m, c]
        top = logits.max(axis=1, keepdims=True)
        log_sum = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        nats = float((shares * (log_sum - logits)).sum())
        residual = np.exp(logits - log_sum) - shares  # [m, c]
        by_slopes = slopes + strength * (features.T @ (residual @ shapes.T))
        by_offsets = strength * (residual.sum(axis=0) + offsets)
        penalty = (float((slopes**2).sum()) + strength * float(offsets @ offsets)) / 2
        return penalty + strength * nats, np.concatenate([by_offsets, by_slopes.ravel()])

    found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_ITERATIONS})
    point: FloatArray = found.x
    return point


def _parts(point: FloatArray, n_features: int, shapes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return offsets, [c], and slopes, [d, r]."""
    n_outcomes = shapes.shape[1]
    return point[:n_outcomes], point[n_outcomes:].reshape(n_features, len(shapes))
