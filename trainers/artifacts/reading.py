"""Read an artifact's folder as what it is, somebody's files: every kind, shape and size is checked.

All that is wrong raises DataError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import NoReturn, TypeVar

from metamodel.errors import DataError
from metamodel.labels import LabelSpace, label_space_from_dict
from trainers.artifacts.artifact import (
    CALIBRATION_FILE,
    JSON,
    SCHEMA_VERSION,
    SPEC_FILE,
    WEIGHTS_FILE,
    Artifact,
    Tensor,
    TrainingFacts,
)
from trainers.fitting.calibration import Calibration

MOST_JSON_BYTES = 2**28
MOST_WEIGHTS_BYTES = 2**33
MOST_OUTCOMES = 100_000
_DTYPES = ("float32", "float64", "int32", "int64")


_Component = TypeVar("_Component")


def read_artifact(folder: Path, *, kind: str) -> Artifact:
    """Return the artifact in a folder; the tensors' shapes are left to whoever uses them.

    Args:
        folder: As `Artifact.save` wrote it.
        kind: The trainer's registered name, which the spec must repeat.

    Raises:
        DataError: A file is missing, too large or not what the schema says.
    """
    spec_path = folder / SPEC_FILE
    spec = _mapping(_read_json(spec_path), spec_path)
    if spec.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{spec_path}: schema_version is {spec.get('schema_version')!r}, this version of metamodel reads "
            f"{SCHEMA_VERSION}: train again or install the version that wrote it"
        )
    if spec.get("kind") != kind:
        raise DataError(f"{spec_path}: kind is {spec.get('kind')!r}, must be {kind!r}: load it with its own trainer")
    spaces = _spaces(spec.get("behaviors"), spec_path)
    return Artifact(
        kind=kind,
        fields=_mapping(spec.get("fields"), spec_path, "fields"),
        spaces=spaces,
        facts=_facts(spec.get("training"), spaces, spec_path),
        weights=_read_weights(folder / WEIGHTS_FILE),
        calibrations=_calibrations(folder / CALIBRATION_FILE, spaces),
        documents={stem: _read_json(folder / f"{stem}.json") for stem in _stems(spec.get("documents"), spec_path)},
        borrowed_bits=_sizes(spec.get("borrowed_bits"), spec_path, "borrowed_bits"),
        created_utc=_text(spec.get("created_utc"), spec_path, "created_utc"),
        packages=_versions(spec.get("packages"), spec_path),
    )


def component_from_fields(component: type[_Component], values: Mapping[str, JSON]) -> _Component:
    """Build a trainer from the fields of its spec, each of the type of its default.

    Raises:
        DataError: A field is unknown, missing, of another type or refused by the trainer.
    """
    known = {item.name: item for item in fields(component) if item.init}  # type: ignore[arg-type] # trainers are dataclasses
    if set(values) != set(known):
        raise DataError(f"{SPEC_FILE}: fields are {sorted(values)}, must be {sorted(known)}: train again")
    accepted: dict[str, object] = {}
    for name, item in known.items():
        default = item.default if item.default is not MISSING else None
        accepted[name] = _like(default, values[name], name)
    try:
        return component(**accepted)
    except ValueError as error:
        raise DataError(f"{SPEC_FILE}: {error}: train again") from error


def _like(default: object, value: JSON, name: str) -> object:
    """Return a value in the type of its field's default."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_like(default[0], item, name) if default else item for item in value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(default, float) and (is_whole or isinstance(value, float)):
        return float(value)  # type: ignore[arg-type] # a number, checked above
    if type(value) is type(default):
        return value
    raise DataError(f"{SPEC_FILE}: field {name} is {value!r}, must be like {default!r}: train again")


def _read_json(path: Path) -> JSON:
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise DataError(f"{path}: has {path.stat().st_size} bytes, at most {MOST_JSON_BYTES} are read")
        content: JSON = json.loads(
            path.read_text(encoding="utf-8"), parse_constant=_refuse_constant, parse_int=_small_int
        )
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}): train again or name another folder"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({error}): train again") from error
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _small_int(digits: str) -> int:
    """Return a whole number that fits 64 bits, as every number that is ever written does."""
    if len(digits) > 18:  # noqa: PLR2004 - 10^18 is below 2^63
        raise ValueError(f"a whole number has {len(digits)} digits, at most 18 are read")
    return int(digits)


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.stat().st_size > MOST_WEIGHTS_BYTES:
            raise DataError(f"{path}: has {path.stat().st_size} bytes, at most {MOST_WEIGHTS_BYTES} are read")
        weights: dict[str, Tensor] = load_file(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}): train again or name another folder"
        ) from error
    # The reader raises KeyError or TypeError for element types that numpy does not have.
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is no safetensors file that can be read ({error}): train again") from error
    for name, tensor in weights.items():
        if str(tensor.dtype) not in _DTYPES:
            raise DataError(f"{path}: {name} is {tensor.dtype}, must be one of {', '.join(_DTYPES)}: train again")
    return weights


def _spaces(value: JSON, path: Path) -> dict[str, LabelSpace]:
    descriptions = _mapping(value, path, "behaviors")
    if not descriptions:
        raise DataError(f"{path}: behaviors is empty, must name at least one: train again")
    return {name: _space(_mapping(item, path, f"behaviors.{name}"), path) for name, item in descriptions.items()}


def _space(description: Mapping[str, JSON], path: Path) -> LabelSpace:
    """Return a label space whose outcomes can be listed; the values are checked before anything is sized by them."""
    rules: dict[str, Callable[[JSON], bool]] = {
        "classes": lambda v: (
            isinstance(v, list) and 1 <= len(v) <= MOST_OUTCOMES and all(isinstance(i, str) for i in v)
        ),
        "edges": _is_rising,
        "low": _is_finite,
        "high": _is_finite,
        "n_bins": lambda v: type(v) is int and 1 <= v <= MOST_OUTCOMES,
        "kind": lambda v: isinstance(v, str),
    }
    for key, value in description.items():
        if key not in rules or not rules[key](value):
            raise DataError(f"{path}: label space has {key} {value!r}, which no label space allows: train again")
    try:
        return label_space_from_dict(description)
    except ValueError as error:
        raise DataError(f"{path}: {error}: train again") from error


def _is_rising(value: JSON) -> bool:
    if not isinstance(value, list) or len(value) >= MOST_OUTCOMES or not all(type(item) is int for item in value):
        return False
    return all(low < high for low, high in zip([0, *value], value, strict=False))


def _is_finite(value: JSON) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _facts(value: JSON, spaces: Mapping[str, LabelSpace], path: Path) -> TrainingFacts:
    facts = _mapping(value, path, "training")
    wanted = {item.name for item in fields(TrainingFacts)}
    if set(facts) != wanted:
        raise DataError(f"{path}: training has {sorted(facts)}, must have {sorted(wanted)}: train again")
    n_labeled = _counts(facts["n_labeled"], path, "training.n_labeled")
    if set(n_labeled) != set(spaces):
        raise DataError(f"{path}: training.n_labeled must count the labels of {sorted(spaces)}: train again")
    return TrainingFacts(
        name=_text(facts["name"], path, "training.name"),
        seed=_whole(facts["seed"], path, "training.seed"),
        n_prompts=_whole(facts["n_prompts"], path, "training.n_prompts"),
        n_validation_prompts=_whole(facts["n_validation_prompts"], path, "training.n_validation_prompts"),
        domains=_counts(facts["domains"], path, "training.domains"),
        n_labeled=n_labeled,
    )


def _calibrations(path: Path, spaces: Mapping[str, LabelSpace]) -> dict[str, Calibration]:
    behaviors = _mapping(_mapping(_read_json(path), path).get("behaviors"), path, "behaviors")
    if set(behaviors) != set(spaces):
        raise DataError(f"{path}: calibrates {sorted(behaviors)}, must calibrate {sorted(spaces)}: train again")
    calibrations = {}
    for name in spaces:
        values = _mapping(behaviors[name], path, name)
        temperature, shrinkage = values.get("temperature"), values.get("shrinkage")
        if len(values) != 2 or not isinstance(temperature, float) or not isinstance(shrinkage, float):  # noqa: PLR2004 - temperature and shrinkage
            raise DataError(f"{path}: {name} must have the numbers temperature and shrinkage alone: train again")
        try:
            calibrations[name] = Calibration(temperature=temperature, shrinkage=shrinkage)
        except ValueError as error:
            raise DataError(f"{path}: {name}: {error}: train again") from error
    return calibrations


def _stems(value: JSON, path: Path) -> list[str]:
    """Return the names of further documents, none of which can point outside the folder."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.isidentifier() for item in value):
        raise DataError(f"{path}: documents is {value!r}, must be a list of plain names: train again")
    return [str(item) for item in value]


def _mapping(value: JSON, path: Path, key: str = "content") -> Mapping[str, JSON]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {key} is {type(value).__name__}, must be an object: train again")
    return value


def _versions(value: JSON, path: Path) -> dict[str, str]:
    return {
        name: _text(version, path, f"packages.{name}") for name, version in _mapping(value, path, "packages").items()
    }


def _counts(value: JSON, path: Path, key: str) -> dict[str, int]:
    return {name: _whole(count, path, f"{key}.{name}") for name, count in _mapping(value, path, key).items()}


def _sizes(value: JSON, path: Path, key: str) -> dict[str, float]:
    sizes = {}
    for name, size in _mapping(value, path, key).items():
        if not _is_finite(size) or float(size) < 0:  # type: ignore[arg-type] # a number, as checked
            raise DataError(f"{path}: {key}.{name} is {size!r}, must be a number of 0 or more: train again")
        sizes[name] = float(size)  # type: ignore[arg-type] # a number, as checked
    return sizes


def _text(value: JSON, path: Path, key: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} is {value!r}, must be text: train again")
    return value


def _whole(value: JSON, path: Path, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{path}: {key} is {value!r}, must be a whole number: train again")
    return value
