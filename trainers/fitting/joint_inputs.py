"""The inputs that `joint` can read, by name.

Shapes: n = texts, d = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from metamodel.types import FloatArray
from trainers.inputs.dense import DenseInputs, computed

InputName = Literal["surface", "minilm"]


@dataclass(frozen=True, kw_only=True)
class JointInputs:
    """Several inputs side by side, those that are counted before those that a pretrained model gives.

    Attributes:
        counted: Inputs without pretrained weights.
        borrowed: Inputs with.
        borrowed_bits: Length of those weights, by name and content hash.
    """

    counted: tuple[DenseInputs, ...]
    borrowed: tuple[DenseInputs, ...]
    borrowed_bits: dict[str, float]

    @classmethod
    def named(cls, names: Sequence[str]) -> JointInputs:
        """Return the inputs of these names.

        Raises:
            MetamodelError: What one needs is not installed.
        """
        from trainers.inputs.surface_features import SurfaceFeatures

        counted: tuple[DenseInputs, ...] = (SurfaceFeatures(),) if "surface" in names else ()
        if "minilm" not in names:
            return cls(counted=counted, borrowed=(), borrowed_bits={})
        from trainers.inputs.encoder_states import EncoderStates

        states = EncoderStates()
        return cls(counted=counted, borrowed=(states,), borrowed_bits=states.borrowed_bits)

    @property
    def identity(self) -> str:
        """Identities of all parts."""
        return " + ".join(part.identity for part in (*self.counted, *self.borrowed))

    @property
    def n_borrowed(self) -> int:
        """Features that pretrained models give; they come last."""
        return sum(part.width for part in self.borrowed)

    @property
    def width(self) -> int:
        """Features of a text (d)."""
        return sum(part.width for part in self.counted) + self.n_borrowed

    def features(self, texts: Sequence[str]) -> FloatArray:
        """Return the features of each text, [n, d]."""
        return np.hstack([computed(part, texts) for part in (*self.counted, *self.borrowed)])


def require_input_names(names: Sequence[str]) -> None:
    """Refuse names that are unknown, none or twice there.

    Raises:
        ValueError: They are.
    """
    known = get_args(InputName)
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(f"inputs is {list(names)}, must be one or several of {', '.join(known)}, each once")
