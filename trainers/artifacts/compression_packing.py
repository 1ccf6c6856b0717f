"""Weights kept in fewer bits: as 8-bit integers with scales, without what was set to zero, or both.

How a tensor `w` stands in weights.safetensors, and what it is when read:

- 8 bits: `w.int8`, whole numbers from -127 to 127, and `w.scale`, 32-bit floats that it is multiplied with: one for
  each index of the shortest axis with more than one (for the table that `static` carries, each row), the other axes of
  length 1.
- Pruned: `w.mask`, one bit an element in row-major order, set where it was kept; `w.shape`; and only the kept elements,
  as `w.kept` (32-bit floats) or as `w.int8` with `w.scale`.

Shapes: e = elements of a tensor, k = kept elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.protocols import Compression
from trainers.artifacts.compression_codes import float_bits, mask_bits, symbol_bits, whole_number_bits

AnyTensor: TypeAlias = NDArray[Any]

LARGEST_CODE = 127
# Smaller tensors and those of one axis (biases, thresholds) cost little and decide much.
LEAST_ELEMENTS = 64
LEAST_AXES = 2
# Inverse deviations lie far apart: with one scale for all, most would round to nothing.
KEPT_WHOLE = ("standardizer", "carried_weights")
# Rows of rare tokens lie far out: with one scale a column, all others would round to little.
SCALED_BY_ROW = ("carried_table",)
# One bit of a mask becomes a float of 32: what a file may unfold to is bounded apart from its own size.
MOST_UNPACKED_BYTES = 2**33
_PARTS = ("int8", "scale", "mask", "shape", "kept")


class PackedWeights(Mapping[str, AnyTensor]):
    """Named tensors as their packed form says, which is kept beside them.

    Attributes:
        stored: The tensors of the file.
    """

    def __init__(self, stored: Mapping[str, AnyTensor]) -> None:
        """Unpack; raises ValueError where the parts do not fit together."""
        self.stored = dict(stored)
        _refuse_bombs(self.stored)
        bases = _packed_names(self.stored)
        parts = {f"{base}.{part}" for base in bases for part in _PARTS}
        self._plain = {name: tensor for name, tensor in self.stored.items() if name not in parts}
        self._codes = {base: _codes(base, self.stored) for base in bases}
        self._tensors = {**self._plain, **{base: _unpacked(base, self.stored, self._codes[base]) for base in bases}}

    def __getitem__(self, name: str) -> AnyTensor:
        """Return one tensor, unpacked."""
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the unpacked tensors."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Return the number of unpacked tensors."""
        return len(self._tensors)

    @property
    def coded_bits(self) -> float:
        """Bits of all tensors, each under the code that fits its kind (`trainers.artifacts.compression_codes`)."""
        bits = coded_tensor_bits(self._plain)
        for base, codes in self._codes.items():
            if f"{base}.int8" in self.stored:
                # What was pruned is one more zero among the codes: their histogram pays for the mask.
                bits += symbol_bits(codes.astype(np.int64), low=-LARGEST_CODE, high=LARGEST_CODE)
                bits += float_bits(self.stored[f"{base}.scale"])
            else:
                kept = self.stored[f"{base}.kept"]
                bits += mask_bits(codes.size, len(kept)) + float_bits(kept)
        return bits


def coded_tensor_bits(tensors: Mapping[str, AnyTensor]) -> float:
    """Return the bits of tensors that are not packed: floats as they are, whole numbers coded."""
    return sum(
        (whole_number_bits(tensor) if tensor.dtype.kind in "iu" else float_bits(tensor)) for tensor in tensors.values()
    )


def unpacked(stored: Mapping[str, AnyTensor]) -> Mapping[str, AnyTensor]:
    """Return the tensors of a file as a metamodel reads them.

    Raises:
        ValueError: Parts of a packed tensor are missing or do not fit together.
    """
    return PackedWeights(stored) if _packed_names(stored) else stored


def stored_tensors(weights: Mapping[str, AnyTensor]) -> dict[str, AnyTensor]:
    """Return what a file of these weights holds."""
    return weights.stored if isinstance(weights, PackedWeights) else dict(weights)


def is_rounded(weights: Mapping[str, AnyTensor]) -> bool:
    """Say whether any tensor of these weights is kept in 8 bits."""
    return isinstance(weights, PackedWeights) and any(tensor.dtype == np.int8 for tensor in weights.stored.values())


def without(weights: Mapping[str, AnyTensor], prefix: str) -> Mapping[str, AnyTensor]:
    """Return the weights, packed as they are, but those whose name starts with `prefix`."""
    stored = {name: tensor for name, tensor in stored_tensors(weights).items() if not name.startswith(prefix)}
    return unpacked(stored)


def packed(weights: Mapping[str, AnyTensor], compression: Compression) -> PackedWeights:
    """Pack every tensor of weights: 32-bit floats with two or more axes and at least `LEAST_ELEMENTS` elements.

    Everything else (priors and scales in 64 bits, standardizers, biases, indices) stays as it is.

    Raises:
        ValueError: No tensor can be packed, or one is not finite.
    """
    stored: dict[str, AnyTensor] = {}
    n_packed = 0
    for name, tensor in weights.items():
        is_large = tensor.dtype == np.float32 and tensor.ndim >= LEAST_AXES and tensor.size >= LEAST_ELEMENTS
        if is_large and name not in KEPT_WHOLE:
            stored |= _pack(name, tensor, compression)
            n_packed += 1
        else:
            stored[name] = tensor
    if not n_packed:
        raise ValueError(
            f"no tensor of it can be compressed: that takes 32-bit floats with {LEAST_AXES} or more axes and "
            f"{LEAST_ELEMENTS} or more elements"
        )
    return PackedWeights(stored)


def _pack(name: str, tensor: AnyTensor, compression: Compression) -> dict[str, AnyTensor]:
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} holds values that are not finite")
    parts: dict[str, AnyTensor] = {}
    is_kept = np.ones(tensor.size, dtype=bool)
    if compression.prune_share > 0:
        n_zeros = int((tensor == 0).sum())
        n_dropped = n_zeros + round(compression.prune_share * (tensor.size - n_zeros))
        is_kept[np.argsort(np.abs(tensor).ravel(), kind="stable")[:n_dropped]] = False
        parts |= {f"{name}.mask": np.packbits(is_kept), f"{name}.shape": np.array(tensor.shape, dtype=np.int64)}
    if not compression.int8:
        return {**parts, f"{name}.kept": tensor.ravel()[is_kept]} if parts else {name: tensor}
    pruned = np.where(is_kept.reshape(tensor.shape), tensor, np.float32(0))
    # An axis of one index would leave one scale for all.
    shortest = min(range(tensor.ndim), key=lambda axis: (tensor.shape[axis] == 1, tensor.shape[axis]))
    scaled = 0 if name in SCALED_BY_ROW else shortest
    others = tuple(axis for axis in range(tensor.ndim) if axis != scaled)
    scale = (np.abs(pruned).max(axis=others, keepdims=True) / np.float32(LARGEST_CODE)).astype(np.float32)
    # A scale of zero belongs to a slice of zeros; subnormal ones round to it too.
    ratio = np.divide(pruned, scale, out=np.zeros_like(pruned), where=scale > 0)
    codes = np.clip(np.rint(ratio), -LARGEST_CODE, LARGEST_CODE).astype(np.int8)
    kept_codes = codes.ravel()[is_kept] if parts else codes
    return {**parts, f"{name}.int8": kept_codes, f"{name}.scale": scale}


def _packed_names(stored: Mapping[str, AnyTensor]) -> list[str]:
    """Return the names of the packed tensors; only their element types, which no other tensor has, mark them."""
    marks = {".int8": np.dtype(np.int8), ".mask": np.dtype(np.uint8)}
    names = {
        name.removesuffix(ending)
        for ending, dtype in marks.items()
        for name, tensor in stored.items()
        if name.endswith(ending) and tensor.dtype == dtype
    }
    return sorted(names)


def _codes(base: str, stored: Mapping[str, AnyTensor]) -> AnyTensor:
    """Return a packed tensor in its shape, before it is scaled: codes or kept floats, 0 where it was pruned."""
    mask, values = stored.get(f"{base}.mask"), stored.get(f"{base}.int8", stored.get(f"{base}.kept"))
    if values is None or base in stored or values.dtype not in (np.int8, np.float32):
        raise ValueError(f"{base} is packed, but its values are missing, twice there or of another type")
    if mask is None:
        return values
    shape = tuple(_part(base, "shape", stored, np.dtype(np.int64)).tolist())
    n_elements = _n_elements(shape)
    if values.ndim != 1 or mask.ndim != 1 or len(mask) != -(-n_elements // 8):
        raise ValueError(f"{base}.mask has shape {list(mask.shape)}, which does not fit {list(shape)}")
    is_kept = np.unpackbits(mask, count=n_elements).astype(bool)
    if int(is_kept.sum()) != len(values):
        raise ValueError(f"{base}.mask keeps {int(is_kept.sum())} elements, {len(values)} are stored")
    codes = np.zeros(n_elements, dtype=values.dtype)
    codes[is_kept] = values
    return codes.reshape(shape)


def _unpacked(base: str, stored: Mapping[str, AnyTensor], codes: AnyTensor) -> AnyTensor:
    if f"{base}.int8" not in stored:
        return codes
    scale = _part(base, "scale", stored, np.dtype(np.float32))
    fits = scale.ndim == codes.ndim and all(
        length in (1, full) for length, full in zip(scale.shape, codes.shape, strict=False)
    )
    if not fits or not np.isfinite(scale).all():
        raise ValueError(f"{base}.scale has shape {list(scale.shape)} or is not finite, {list(codes.shape)} is scaled")
    return codes.astype(np.float32) * scale


def _part(base: str, part: str, stored: Mapping[str, AnyTensor], dtype: np.dtype[Any]) -> AnyTensor:
    tensor = stored.get(f"{base}.{part}")
    if tensor is None or tensor.dtype != dtype:
        raise ValueError(f"{base} is packed, but {base}.{part} is missing or not {dtype}")
    return tensor


def _n_elements(shape: tuple[int, ...]) -> int:
    if any(length < 0 for length in shape):
        raise ValueError(f"a packed tensor has shape {list(shape)}")
    return math.prod(shape)


def _refuse_bombs(stored: Mapping[str, AnyTensor]) -> None:
    """Refuse a file that unfolds to more than is read: checked by sizes alone, before anything is unfolded."""
    n_elements = sum(
        8 * tensor.size if name.endswith(".mask") and tensor.dtype == np.uint8 else tensor.size
        for name, tensor in stored.items()
    )
    if n_elements * np.dtype(np.float32).itemsize > MOST_UNPACKED_BYTES:
        raise ValueError(f"unfolds to {4 * n_elements} bytes, at most {MOST_UNPACKED_BYTES} are read")
