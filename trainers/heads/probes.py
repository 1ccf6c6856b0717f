"""Probes of a model's states: heads that look at some columns, and the difference-of-means direction.

Shapes: m = labeled prompts, n = prompts, d = features, s = outcomes seen in training, k = directions, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metamodel.types import FloatArray, IntArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.heads.family import Head, HeadFamily
from trainers.heads.logistic import LinearHead, fit_heads


@dataclass(frozen=True, kw_only=True)
class ColumnsHead:
    """A head that sees some of the features.

    Attributes:
        head: Fitted on these columns alone.
        columns: Their positions.
    """

    head: Head
    columns: tuple[int, ...]

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]."""
        return self.head.predict(np.ascontiguousarray(features[:, self.columns]), prior)

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        return self.head.tensors(index)


@dataclass(frozen=True, kw_only=True)
class ColumnsFamily:
    """A family that is shown some of the features.

    Attributes:
        family: Sees these columns alone.
        columns: Their positions.
    """

    family: HeadFamily
    columns: tuple[int, ...]

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:
        """Yield the family's heads."""
        shown = np.ascontiguousarray(features[:, self.columns])
        for head in self.family.fit(shown, shares, seed=seed):
            yield ColumnsHead(head=head, columns=self.columns)

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:  # noqa: ARG002 - the family's own width counts
        """Read back one head."""
        return ColumnsHead(
            head=self.family.read(artifact, index, width=len(self.columns)),
            columns=self.columns,
        )


@dataclass(frozen=True, kw_only=True)
class DifferenceFamily:
    """One direction an outcome: the mean state of prompts that show it minus the mean of those that do not.

    A logistic regression weighs the projections on these directions beside the first `n_plain` features. It is fitted
    on projections of each prompt on the direction that the *other* prompts give, in closed form: on its own direction
    a prompt projects too far, the more so the wider the states, and the weights would be too sure. The result is
    linear in the features and kept as a `LinearHead`.

    Source: Marks and Tegmark, The Geometry of Truth (2023), mass-mean probes, without their tilt by the covariance
    (features are standardized instead); leaving out the prompt itself is ours.

    Attributes:
        n_plain: Features before the states, which are weighed as they are.
        strengths: scikit-learn's C, rising: the inverse of the penalty on the weights of projections and features.
    """

    n_plain: int
    strengths: tuple[float, ...]

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:  # noqa: ARG002 - nothing is random
        """Yield one head a strength."""
        plain, states = features[:, : self.n_plain], features[:, self.n_plain :]
        seen = np.flatnonzero(shares.any(axis=0))
        directions = _directions(states, shares, seen)  # [d, k]
        projections = _left_out_projections(states, shares, seen)  # [m, k]
        spread = projections.std(axis=0) if len(projections) else np.zeros(projections.shape[1])
        scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)  # noqa: PLR2004 - rounding
        for head in fit_heads(np.hstack([plain, projections * scale]), shares, self.strengths):
            of_states = (directions * scale) @ head.coefficients[self.n_plain :].astype(np.float64)  # [d, s]
            coefficients = np.vstack([head.coefficients[: self.n_plain], of_states])
            yield head._replace(coefficients=np.ascontiguousarray(coefficients, dtype=np.float32))

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:
        """Read back one head."""
        return LinearHead.from_artifact(artifact, index, n_features=width)


def _told_apart(seen: IntArray) -> IntArray:
    """Return the outcomes that get a direction: of two, one says it all; one alone has none."""
    return seen if len(seen) > 2 else seen[1:]  # noqa: PLR2004 - two outcomes mirror each other


def _directions(states: FloatArray, shares: FloatArray, seen: IntArray) -> FloatArray:
    """Return the mean with each outcome minus the mean without it, [d, k]."""
    with_it = shares[:, _told_apart(seen)]  # [m, k]
    without = 1 - with_it
    difference: FloatArray = states.T @ (_normalized(with_it) - _normalized(without))
    return difference


def _left_out_projections(states: FloatArray, shares: FloatArray, seen: IntArray) -> FloatArray:
    """Return each prompt's projection on the directions that the other prompts give, [m, k].

    With weights p (sum P) and S = sum of p x: x_i . (S - p_i x_i) / (P - p_i) = (x_i . S - p_i |x_i|^2) / (P - p_i).
    """
    power = (states**2).sum(axis=1, keepdims=True)  # [m, 1]

    def part(weights: FloatArray) -> FloatArray:
        rest = weights.sum(axis=0) - weights
        own: FloatArray = (states @ (states.T @ weights) - weights * power) / np.maximum(rest, 1e-9)
        return np.where(rest > 1e-9, own, 0.0)  # noqa: PLR2004 - rounding

    with_it = shares[:, _told_apart(seen)]
    return part(with_it) - part(1 - with_it)


def _normalized(weights: FloatArray) -> FloatArray:
    total = weights.sum(axis=0)
    scaled: FloatArray = weights / np.where(total > 0, total, 1.0)
    return scaled
