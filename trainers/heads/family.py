"""Families of heads: from dense features to outcome probabilities, one head for each strength of regularization.

Shapes: m = labeled prompts, n = prompts, d = features, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.heads.logistic import LinearHead, fit_heads


class Head(Protocol):
    """One behavior's fitted head."""

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]; a row never depends on the others."""
        ...

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        ...


class HeadFamily(Protocol):
    """A kind of head with the strengths that are tried."""

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:
        """Yield one head a strength, the most regularized first, from [m, d] features and [m, c] outcome shares."""
        ...

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:
        """Read back what `Head.tensors` named; raises DataError where it does not fit."""
        ...


@dataclass(frozen=True, kw_only=True)
class LinearFamily:
    """Multinomial logistic regressions.

    Attributes:
        strengths: scikit-learn's C, rising: the inverse of the penalty.
    """

    strengths: tuple[float, ...]

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:  # noqa: ARG002 - nothing is random
        """Yield one regression a strength."""
        yield from fit_heads(features, shares, self.strengths)

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:
        """Read back one regression."""
        return LinearHead.from_artifact(artifact, index, n_features=width)
