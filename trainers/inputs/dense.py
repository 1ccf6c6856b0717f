"""Numbers of a text that need no fitting, brought to one scale.

Shapes: n = texts, d = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.feature_cache import computed_once, is_kept
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor

# A feature that training hardly saw move must not throw a prediction far off.
FARTHEST = 6.0


@runtime_checkable
class DenseInputs(Protocol):
    """Turns texts into numbers; pretrained at most, never fitted here."""

    @property
    def identity(self) -> str:
        """Name all that the numbers depend on: kind, version, settings, content hash of pretrained weights."""
        ...

    @property
    def width(self) -> int:
        """Numbers a text (d)."""
        ...

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, d], all finite; a row is the same bits whatever texts come with it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Standardizer:
    """Subtracts the mean, divides by the deviation and keeps the result within FARTHEST deviations.

    Attributes:
        table: Mean and deviation of each feature in training, [2, d].
    """

    table: FloatArray

    @classmethod
    def of(cls, features: FloatArray) -> Standardizer:
        """Measure training features, [n, d]; one that never moves stays 0."""
        deviation = features.std(axis=0)
        deviation[deviation < 1e-9] = np.inf  # noqa: PLR2004 - rounding
        table = np.stack([features.mean(axis=0), 1 / deviation])
        # Stored in single precision, so used in single precision from the start.
        return cls(table=table.astype(np.float32).astype(np.float64))

    @classmethod
    def from_artifact(cls, artifact: Artifact, width: int) -> Standardizer:
        """Read the tensor that `tensors` named.

        Raises:
            DataError: It is missing or has another shape.
        """
        return cls(table=artifact.floats("standardizer", (2, width)))

    def tensors(self) -> dict[str, Tensor]:
        """Return what an artifact keeps."""
        return {"standardizer": self.table.astype(np.float32)}

    def apply(self, features: FloatArray) -> FloatArray:
        """Return features on one scale, [n, d]."""
        scaled: FloatArray = np.minimum(np.maximum((features - self.table[0]) * self.table[1], -FARTHEST), FARTHEST)
        return scaled


def computed(inputs: DenseInputs, texts: Sequence[str]) -> FloatArray:
    """Return the numbers of each text in double precision, [n, d].

    In a stage none is computed twice. Elsewhere cheap ones, which say `is_cheap`, are not kept, and inside
    `feature_cache.uncached` none is: what serves must not grow with what it is asked.
    """
    if not is_kept(is_cheap=bool(getattr(inputs, "is_cheap", False))):
        return inputs.compute(texts).astype(np.float64)
    return computed_once(inputs.identity, texts, inputs.compute, inputs.width).astype(np.float64)


def require_inputs(folder: Path, artifact: Artifact, identity: str) -> None:
    """Refuse a metamodel that was trained on other inputs than those here.

    Raises:
        DataError: It was.
    """
    trained_on = artifact.documents.get("inputs")
    if trained_on != identity:
        raise DataError(
            f"{folder}: was trained on inputs {trained_on!r}, those here are {identity!r}: train again, or install "
            "what it was trained with"
        )
