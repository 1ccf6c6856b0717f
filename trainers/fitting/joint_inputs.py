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
from trainers.inputs.encoder_onnx import OnnxStates

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
    def named(cls, names: Sequence[str], carried: OnnxStates | None = None) -> JointInputs:
        """Return the inputs of these names.

        Args:
            names: As `require_input_names` allows them.
            carried: The encoder to read with, where a metamodel carries it.

        Raises:
            MetamodelError: What one needs is not installed.
        """
        from trainers.inputs.surface_features import SurfaceFeatures

        counted: tuple[DenseInputs, ...] = (SurfaceFeatures(),) if "surface" in names else ()
        if "minilm" not in names:
            return cls(counted=counted, borrowed=(), borrowed_bits={})
        if carried is not None:
            return cls(counted=counted, borrowed=(carried,), borrowed_bits={})
        from trainers.inputs.encoder_states import EncoderStates

        states = EncoderStates()
        return cls(counted=counted, borrowed=(states,), borrowed_bits=states.borrowed_bits)

    @property
    def identity(self) -> str:
        """Identities of all parts; of a carried encoder that of what it stands for."""
        parts = [part.identity for part in self.counted]
        borrowed = [part.stands_for if isinstance(part, OnnxStates) else part.identity for part in self.borrowed]
        return " + ".join([*parts, *borrowed])

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
        parts = [computed(part, texts) for part in (*self.counted, *self.borrowed)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def require_input_names(names: Sequence[str]) -> None:
    """Refuse names that are unknown, none or twice there.

    Raises:
        ValueError: They are.
    """
    known = get_args(InputName)
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(f"inputs is {list(names)}, must be one or several of {', '.join(known)}, each once")


def exported_minilm() -> OnnxStates:
    """Return the encoder of the input `minilm`, to be carried along.

    Raises:
        MetamodelError: It, or a package of the extra `onnx`, is not installed.
    """
    from trainers.inputs.encoder_onnx_export import exported_states
    from trainers.inputs.encoder_states import EncoderStates

    states = EncoderStates()
    return exported_states(
        states.load(), pooling=states.pooling, add_spread=states.add_spread, stands_for=states.identity
    )
