"""A third party's behavior: how often an output exclaims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.labels import Count, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class Exclamations:
    """Number of exclamation marks of the output."""

    mark: str = "!"

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of marks, [n]."""
        return np.array([text.count(self.mark) for text in batch.texts], dtype=np.float64)
