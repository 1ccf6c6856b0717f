"""A third party's behavior, as README prints it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.labels import Count
from metamodel.types import FloatArray, GenerationBatch


@dataclass(frozen=True, kw_only=True)
class Exclamations:
    """Number of exclamation marks of the output."""

    mark: str = "!"
    space: ClassVar = Count()
    reads_prompt: ClassVar = False
    needs: ClassVar = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return one value an output, [n]; NaN would be a missing label."""
        return np.array([float(text.count(self.mark)) for text in batch.texts])
