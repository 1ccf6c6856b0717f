"""Smooth functions of a prompt's length.

Shapes: n = texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metamodel.errors import DataError
from metamodel.types import FloatArray

N_LENGTHS = 2


def log_lengths(texts: Sequence[str]) -> FloatArray:
    """Return log(1 + characters) and log(1 + words) of each text, [n, 2]."""
    counts = np.empty((len(texts), N_LENGTHS))
    # Straight into the array: a million pairs of Python numbers would take more room than the prompts.
    counts[:, 0] = np.fromiter(map(len, texts), dtype=np.float64, count=len(texts))
    counts[:, 1] = np.fromiter((len(text.split()) for text in texts), dtype=np.float64, count=len(texts))
    return np.log1p(counts)


@dataclass(frozen=True, kw_only=True)
class LengthScale:
    """Standardizes log lengths; beyond the lengths seen in training nothing changes any more.

    Attributes:
        table: Mean, spread, lowest and highest of both log lengths, [4, 2].
    """

    table: FloatArray

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> LengthScale:
        """Measure the training texts, at least one."""
        lengths = log_lengths(texts)
        # Equal lengths have no spread to divide by; any positive number does, since what it divides is zero.
        spread = np.maximum(lengths.std(axis=0), 1e-3)
        return cls(table=np.stack([lengths.mean(axis=0), spread, lengths.min(axis=0), lengths.max(axis=0)]))

    def __post_init__(self) -> None:
        """Refuse a scale that divides by zero or whose range is upside down."""
        if (self.table[1] <= 0).any() or (self.table[2] > self.table[3]).any():
            raise DataError(
                "length_scale must have a positive spread and a lowest length below the highest: train again"
            )

    def features(self, texts: Sequence[str]) -> FloatArray:
        """Return both standardized log lengths, [n, 2]."""
        mean, spread, lowest, highest = self.table
        scaled: FloatArray = (np.minimum(np.maximum(log_lengths(texts), lowest), highest) - mean) / spread
        return scaled
