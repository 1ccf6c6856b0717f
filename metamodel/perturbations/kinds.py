"""The ways to change a primary model's weights, as plain data; nothing here touches a weight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, TypeAlias, TypeGuard, TypeVar

from metamodel.config.components import build_plan, to_json
from metamodel.errors import nearest_name_hint
from metamodel.types import JSONObject

LEAST_BITS: Final = 2
_Number = TypeVar("_Number", int, float)

# Half precision is what weights are handed around in: from here on nothing is rounded.
UNROUNDED_BITS: Final = 16


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Gaussian noise, relative to the size of each tensor.

    Formula: W + scale * rms(W) * N(0, 1), with rms(W) the root of the mean square of the tensor's weights. The draws
    depend on the seed and the tensor's name alone, so that models of one seed and several scales lie on one line.

    Attributes:
        scale: Size of the noise relative to the weights; 0 changes nothing. A list stands for a model each.
        seed: Fixes the draws.
        tensors: Pattern of the names of the tensors that change, such as "*attn*".
    """

    scale: float | tuple[float, ...]
    seed: int = 0
    tensors: str = "*"

    def __post_init__(self) -> None:
        """Refuse a size that is none."""
        for scale in several(self.scale):
            if not (math.isfinite(scale) and scale >= 0):
                raise ValueError(f"scale is {scale}, must be 0 or more")

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger; None for a series."""
        return None if isinstance(self.scale, tuple) else self.scale

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        return f"{self.family}-{self.value_label}"

    @property
    def family(self) -> str:
        """What it shares with its siblings."""
        return "noise" if self.seed == 0 else f"noise{self.seed}"

    @property
    def value_label(self) -> str:
        """The size of the noise."""
        return _joined(several(self.scale))


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """Symmetric rounding to the nearest of 2^bits - 1 levels, simulated: weights stay floating-point numbers.

    Formula: s * round(W / s) with s = max |W| / (2^(bits - 1) - 1), over a tensor or each of its output channels.
    Matrices are rounded (linear maps, embeddings, convolutions); biases and the scales of norms are left, as in
    practice.

    Attributes:
        bits: Bits of a weight; 16 leaves the weights as they are. A list stands for a model each.
        per_channel: Whether every output channel has a scale of its own.
        tensors: Pattern of the names of the tensors that change.
    """

    bits: int | tuple[int, ...]
    per_channel: bool = True
    tensors: str = "*"

    def __post_init__(self) -> None:
        """Refuse bits that leave no level but zero, or more than there are."""
        for bits in several(self.bits):
            if not LEAST_BITS <= bits <= UNROUNDED_BITS:
                raise ValueError(
                    f"bits is {bits}, must be from {LEAST_BITS} to {UNROUNDED_BITS} (which rounds nothing)"
                )

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger; None for a series."""
        return None if isinstance(self.bits, tuple) else float(UNROUNDED_BITS - self.bits)

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        return f"{self.family}-{self.value_label}"

    @property
    def family(self) -> str:
        """What it shares with its siblings."""
        return "bits" if self.per_channel else "bits_per_tensor"

    @property
    def value_label(self) -> str:
        """The number of bits."""
        return _joined(several(self.bits))


@dataclass(frozen=True, kw_only=True)
class AblateHeads:
    """Heads of one layer that add nothing: attention heads, or the heads of a state space layer.

    The weights by which the layer's output projection reads them are set to zero.

    Attributes:
        layer: Number of the layer, from 0.
        heads: Numbers of the heads, from 0; none changes nothing.
    """

    layer: int
    heads: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse numbers below zero, and any twice."""
        _refuse_bad_places("layer", (self.layer,))
        _refuse_bad_places("heads", self.heads)

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger."""
        return float(len(self.heads))

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        return f"layer{self.layer}-without_heads{_joined(self.heads)}"


@dataclass(frozen=True, kw_only=True)
class AblateLayers:
    """Layers that hand on their input unchanged: every weight by which they write to the residual stream is zero.

    Attributes:
        layers: Numbers of the layers, from 0; none changes nothing.
    """

    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse numbers below zero, and any twice."""
        _refuse_bad_places("layers", self.layers)

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger."""
        return float(len(self.layers))

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        return f"without_layers{_joined(self.layers)}"


@dataclass(frozen=True, kw_only=True)
class AblateUnits:
    """Units of an LSTM layer whose output is always zero: nothing is ever written to their cells.

    Attributes:
        layer: Number of the layer, from 0.
        units: Numbers of the units, from 0; none changes nothing.
    """

    layer: int
    units: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse numbers below zero, and any twice."""
        _refuse_bad_places("layer", (self.layer,))
        _refuse_bad_places("units", self.units)

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger."""
        return float(len(self.units))

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        shown = _joined(self.units) if len(self.units) <= 4 else f"_{len(self.units)}"  # noqa: PLR2004 - fits a name
        return f"layer{self.layer}-without_units{shown}"


@dataclass(frozen=True, kw_only=True)
class Average:
    """The weighted mean of the weights of several checkpoints of one architecture.

    Attributes:
        others: The other checkpoints, each a mapping as in `primaries`: {kind: transformers, model: FOLDER}.
        weights: Weight of the original, then of each of the others, summing to one; equal ones without.
    """

    others: tuple[Mapping[str, object], ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse weights that are no weighting of the checkpoints."""
        if not self.others:
            raise ValueError("others is empty, must hold at least one checkpoint")
        if self.weights is None:
            return
        if len(self.weights) != 1 + len(self.others):
            raise ValueError(
                f"weights has {len(self.weights)} numbers, must have {1 + len(self.others)}: the original's, then one "
                "for each of `others`"
            )
        if not all(math.isfinite(weight) for weight in self.weights) or abs(sum(self.weights) - 1) > 1e-6:  # noqa: PLR2004 - rounding
            raise ValueError(f"weights is {list(self.weights)}, must be numbers that sum to 1")

    @property
    def shares(self) -> tuple[float, ...]:
        """The weight of each checkpoint, the original first."""
        n_models = 1 + len(self.others)
        return self.weights if self.weights is not None else (1 / n_models,) * n_models

    @property
    def dose(self) -> float | None:
        """How strong it is, more is stronger: what is not the original's."""
        return 1 - self.shares[0]

    @property
    def label(self) -> str:
        """What tells it from its siblings."""
        return f"average-{_joined([round(share, 3) for share in self.shares])}"


Series: TypeAlias = Noise | Quantize
Perturbation: TypeAlias = Noise | Quantize | AblateHeads | AblateLayers | AblateUnits | Average

KINDS: Final[dict[str, type[Perturbation]]] = {
    "noise": Noise,
    "quantize": Quantize,
    "ablate_heads": AblateHeads,
    "ablate_layers": AblateLayers,
    "ablate_units": AblateUnits,
    "average": Average,
}


def read_perturbation(spec: Mapping[str, object]) -> Perturbation:
    """Return the perturbation that a mapping describes.

    Raises:
        ValueError: Everything that is wrong with it.

    >>> read_perturbation({"kind": "noise", "scale": 0.1})
    Noise(scale=0.1, seed=0, tensors='*')
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"perturbation.kind is {kind!r}: {nearest_name_hint(str(kind), KINDS)}")
    problems: list[str] = []
    options = {key: value for key, value in spec.items() if key != "kind"}
    found = build_plan(KINDS[kind], options, "perturbation", problems, extra_known=("kind",))
    if found is None:
        raise ValueError("; ".join(problems))
    return found


def perturbation_to_dict(perturbation: Perturbation) -> JSONObject:
    """Return a mapping that `read_perturbation` reads back."""
    kind = next(name for name, kind in KINDS.items() if isinstance(perturbation, kind))
    described = to_json({"kind": kind, **asdict(perturbation)})
    return described if isinstance(described, dict) else {}


def single_perturbations(perturbation: Series) -> Iterator[Series]:
    """Yield each perturbation of a series."""
    if isinstance(perturbation, Noise):
        for scale in several(perturbation.scale):
            yield replace(perturbation, scale=scale)
    else:
        for bits in several(perturbation.bits):
            yield replace(perturbation, bits=bits)


def is_series(perturbation: Perturbation) -> TypeGuard[Series]:
    """Whether it stands for several."""
    return isinstance(perturbation, Noise | Quantize) and perturbation.dose is None


def several(value: _Number | tuple[_Number, ...]) -> tuple[_Number, ...]:
    """Return one value as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def matches(name: str, pattern: str) -> bool:
    """Say whether a tensor's name fits a pattern of shell wildcards."""
    return fnmatchcase(name, pattern)


def _joined(values: Sequence[float]) -> str:
    return "_".join(f"{value:g}" for value in values) or "_none"


def _refuse_bad_places(name: str, places: Sequence[int]) -> None:
    if any(place < 0 for place in places):
        raise ValueError(f"{name} is {list(places)}, must be numbers from 0")
    if len(set(places)) < len(places):
        raise ValueError(f"{name} is {list(places)}, which names one twice")
