"""Families of heads: from dense features to outcome probabilities, one head for each strength of regularization.

Shapes: m = labeled prompts, n = prompts, d = features, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

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


@runtime_checkable
class FitsOneStrength(Protocol):
    """A family that need not fit the strengths before the one that is wanted."""

    def fit_one(self, features: FloatArray, shares: FloatArray, position: int, *, seed: int) -> Head:
        """Return the head that `fit` yields at this position, or one as good."""
        ...


def fit_strength(family: HeadFamily, features: FloatArray, shares: FloatArray, position: int, *, seed: int) -> Head:
    """Return the head of one strength, by its position in what the family's `fit` yields."""
    if isinstance(family, FitsOneStrength):
        return family.fit_one(features, shares, position, seed=seed)
    return next(islice(family.fit(features, shares, seed=seed), position, None))


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


class Predictor(Protocol):
    """What a head is in use."""

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]; a row never depends on the others."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A head that predicts many times faster after some work done once."""

    def prepared(self) -> Predictor:
        """Return what predicts the same bits."""
        ...


class AverageHead(NamedTuple):
    """The mean of the probabilities of several heads whose tensors have different names.

    Attributes:
        parts: The heads, one or more.
    """

    parts: tuple[Head, ...]

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return mean probabilities, [n, c]."""
        total = self.parts[0].predict(features, prior)
        for part in self.parts[1:]:
            total = total + part.predict(features, prior)
        return total / len(self.parts)

    def prepared(self) -> PreparedAverage:
        """Return what predicts the same many times."""
        return PreparedAverage(tuple(part.prepared() if isinstance(part, Prepares) else part for part in self.parts))

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        return {name: tensor for part in self.parts for name, tensor in part.tensors(index).items()}


class PreparedAverage(NamedTuple):
    """The mean of the probabilities of several heads in use.

    Attributes:
        parts: The heads, one or more.
    """

    parts: tuple[Predictor, ...]

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return mean probabilities, [n, c]."""
        total = self.parts[0].predict(features, prior)
        for part in self.parts[1:]:
            total = total + part.predict(features, prior)
        return total / len(self.parts)
