"""Cheap features of any prompt, computed by counting: nothing is fitted, nothing is pretrained.

Shapes: n = texts, d = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.inputs import surface_characters, surface_options, surface_structure, surface_words
from trainers.inputs.surface_view import TextView

# Rises whenever a feature changes: what was trained on others must not be read with these.
VERSION = 1
_BLOCKS: Final = (surface_characters, surface_words, surface_structure, surface_options)
NAMES: Final[tuple[str, ...]] = tuple(name for block in _BLOCKS for name in block.NAMES)


@dataclass(frozen=True, kw_only=True)
class SurfaceFeatures:
    """Lengths, marks, words, numbers, structure and options of a text.

    Attributes:
        max_characters: Of a longer text the first and the last half of so many characters are read.
    """

    max_characters: int = 8_000

    @property
    def identity(self) -> str:
        """Name the version of the features and how much of a text they read."""
        return f"surface version {VERSION}, {self.max_characters} characters"

    @property
    def is_cheap(self) -> bool:
        """Whether computing them again costs about as much as finding them; see `trainers.inputs.dense.computed`."""
        return True

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature, d of them, in the order of the columns."""
        return NAMES

    @property
    def width(self) -> int:
        """Number of features (d)."""
        return len(NAMES)

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of each text, [n, d]; a row depends on its own text alone."""
        views = (TextView.of(text, self.max_characters) for text in texts)
        rows = [[value for block in _BLOCKS for value in block.values(view)] for view in views]
        return np.array(rows, dtype=np.float32).reshape(len(texts), len(NAMES))
