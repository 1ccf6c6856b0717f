"""What is known of the training prompts as one safetensors file, and the checks of one that comes from anyone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from metamodel.errors import DataError
from metamodel.screen.familiarity_features import N_BUCKETS, N_FEATURES, N_KINDS, Codes
from metamodel.types import FloatArray

SCHEMA: Final = "metamodel.familiarity/1"
MOST_BYTES: Final = 1_000_000
N_STEPS: Final = 65

_FLOAT_SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "center": (N_FEATURES,),
    "spread": (N_FEATURES,),
    "whitening": (N_FEATURES, N_FEATURES),
    "steps": (2, N_STEPS),
    "held_out": (-1,),
}
_CODES_SHAPE: Final = (N_KINDS, N_BUCKETS)
# Far above what fit can write, and far below what would overflow in a product of a few.
_MOST: Final = 1e30


class FamiliarityContent(NamedTuple):
    """What the file of a `Familiarity` holds.

    Attributes:
        codes: Surprise of each bucket.
        floats: Its other tensors, by name.
        false_alarm_rate: Its rate.
    """

    codes: Codes
    floats: dict[str, FloatArray]
    false_alarm_rate: float


def write_familiarity(path: Path, *, tensors: Mapping[str, FloatArray | Codes], false_alarm_rate: float) -> None:
    """Write the tensors of a `Familiarity` and its rate."""
    from safetensors.numpy import save_file

    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(plain, path, metadata={"schema": SCHEMA, "false_alarm_rate": repr(false_alarm_rate)})


def read_familiarity(path: Path) -> FamiliarityContent:
    """Return what `write_familiarity` wrote.

    Raises:
        DataError: The file is missing, too large, or not what it must be.
    """
    tensors, metadata = _read(path)
    if metadata.get("schema") != SCHEMA:
        raise DataError(f"{path}: schema is {metadata.get('schema')!r}, must be {SCHEMA!r}: export again")
    if set(tensors) != {"codes", *_FLOAT_SHAPES}:
        raise DataError(f"{path}: holds {sorted(tensors)[:10]}, must hold codes, {', '.join(_FLOAT_SHAPES)}")
    codes: Codes = tensors.pop("codes")  # type: ignore[assignment] # checked here
    if codes.dtype != np.uint8 or codes.shape != _CODES_SHAPE:
        raise DataError(f"{path}: codes is {codes.dtype} {codes.shape}, must be uint8 {_CODES_SHAPE}")
    floats = {name: _floats(tensors[name], shape, f"{path}: {name}") for name, shape in _FLOAT_SHAPES.items()}
    checks: Mapping[str, Callable[[FloatArray], bool]] = {
        "spread": lambda values: bool((values > 0).all()),
        "steps": lambda values: bool((np.diff(values, axis=1) >= 0).all()),
        "held_out": lambda values: bool(len(values) > 0 and (np.diff(values) >= 0).all()),
    }
    for name, holds in checks.items():
        if not holds(floats[name]):
            raise DataError(f"{path}: {name} holds values that no fit writes: export again")
    return FamiliarityContent(codes, floats, _rate(metadata.get("false_alarm_rate"), path))


def _read(path: Path) -> tuple[dict[str, FloatArray | Codes], Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        n_bytes = path.stat().st_size
        if n_bytes > MOST_BYTES:
            raise DataError(f"{path}: has {n_bytes} bytes, at most {MOST_BYTES} are read")
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): export again") from error
    # The reader raises KeyError or TypeError for element types that numpy does not have.
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no safetensors file that can be read ({error}): export again") from error


def _floats(values: FloatArray | Codes, shape: tuple[int, ...], where: str) -> FloatArray:
    fits = values.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, values.shape, strict=True))
    if values.dtype != np.float64 or not fits:
        raise DataError(f"{where} is {values.dtype} {values.shape}, must be float64 {shape}")
    if not np.isfinite(values).all() or (np.abs(values) > _MOST).any():
        raise DataError(f"{where} holds values that are no finite numbers of a usual size")
    return values.astype(np.float64, copy=False)


def _rate(text: str | None, path: Path) -> float:
    try:
        rate = float(text or "")
    except ValueError:
        rate = float("nan")
    if not 0 < rate < 1:
        raise DataError(f"{path}: false_alarm_rate is {text!r}, must be above 0 and below 1")
    return rate
