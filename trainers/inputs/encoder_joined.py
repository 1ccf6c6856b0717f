"""Several dense inputs side by side.

Shapes: n = texts, d = numbers a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.inputs.dense import DenseInputs, computed


@dataclass(frozen=True, kw_only=True)
class JoinedInputs:
    """The numbers of each part, in their order; what a part has computed before is not computed again.

    Attributes:
        parts: At least one.
    """

    parts: tuple[DenseInputs, ...]

    @property
    def identity(self) -> str:
        """Identities of all parts."""
        return " + ".join(part.identity for part in self.parts)

    @property
    def width(self) -> int:
        """Numbers a text (d), all parts together."""
        return sum(part.width for part in self.parts)

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of each text, [n, d]."""
        return np.hstack([computed(part, texts) for part in self.parts]).astype(np.float32)
