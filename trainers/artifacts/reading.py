"""Read an artifact's folder as what it is, somebody's files: every kind, shape and size is checked.

All that is wrong raises DataError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TypeVar

from metamodel.errors import ConfigError, DataError
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
from trainers.artifacts.calibration_reading import read_calibrations
from trainers.artifacts.carried import read_files
from trainers.artifacts.checks import counts, is_finite, mapping, read_json, sizes, text, versions, whole
from trainers.artifacts.compression_packing import unpacked
from trainers.artifacts.members import read_members

MOST_WEIGHTS_BYTES = 2**33
MOST_OUTCOMES = 100_000
# Metadata of a field that holds specs of other components.
HOLDS_SPECS = "holds_specs"
_DTYPES = ("float32", "float64", "int32", "int64")


_Component = TypeVar("_Component")


def read_artifact(folder: Path, *, kind: str, has_members: bool = False) -> Artifact:
    """Return the artifact in a folder; the tensors' shapes are left to whoever uses them.

    Args:
        folder: As `Artifact.save` wrote it.
        kind: The trainer's registered name, which the spec must repeat.
        has_members: Whether it may be made of others, which are then read too.

    Raises:
        DataError: A file is missing, too large or not what the schema says.
    """
    spec_path = folder / SPEC_FILE
    spec = mapping(read_json(spec_path), spec_path)
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
        fields=mapping(spec.get("fields"), spec_path, "fields"),
        spaces=spaces,
        facts=_facts(spec.get("training"), spaces, spec_path),
        weights=_read_weights(folder / WEIGHTS_FILE),
        calibrations=read_calibrations(folder / CALIBRATION_FILE, spaces),
        documents={stem: read_json(folder / f"{stem}.json") for stem in _stems(spec.get("documents"), spec_path)},
        borrowed_bits=sizes(spec.get("borrowed_bits"), spec_path, "borrowed_bits"),
        members=read_members(folder, spec.get("n_members", 0), spaces) if has_members else (),
        files=read_files(folder, mapping(spec.get("files", {}), spec_path, "files")),
        created_utc=text(spec.get("created_utc"), spec_path, "created_utc"),
        packages=versions(spec.get("packages"), spec_path),
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
        if item.metadata.get(HOLDS_SPECS):
            accepted[name] = _specs(values[name], name)
            continue
        default = item.default if item.default is not MISSING else None
        accepted[name] = _like(default, values[name], name)
    try:
        return component(**accepted)
    except (ValueError, ConfigError) as error:
        raise DataError(f"{SPEC_FILE}: {error}: train again") from error


def _specs(value: JSON, name: str) -> object:
    """Return the spec, or the list of specs, of other components; whoever builds them checks the rest."""
    if isinstance(value, list) and all(isinstance(item, (str, dict)) for item in value):
        return tuple(value)
    if isinstance(value, (str, dict)):
        return value
    raise DataError(f"{SPEC_FILE}: field {name} is {value!r}, must hold a kind or a mapping with one: train again")


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


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.stat().st_size > MOST_WEIGHTS_BYTES:
            raise DataError(f"{path}: has {path.stat().st_size} bytes, at most {MOST_WEIGHTS_BYTES} are read")
        weights: Mapping[str, Tensor] = unpacked(load_file(path))
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
    descriptions = mapping(value, path, "behaviors")
    if not descriptions:
        raise DataError(f"{path}: behaviors is empty, must name at least one: train again")
    return {name: _space(mapping(item, path, f"behaviors.{name}"), path) for name, item in descriptions.items()}


def _space(description: Mapping[str, JSON], path: Path) -> LabelSpace:
    """Return a label space whose outcomes can be listed; the values are checked before anything is sized by them."""
    rules: dict[str, Callable[[JSON], bool]] = {
        "classes": lambda v: (
            isinstance(v, list) and 1 <= len(v) <= MOST_OUTCOMES and all(isinstance(i, str) for i in v)
        ),
        "edges": _is_rising,
        "low": is_finite,
        "high": is_finite,
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


def _facts(value: JSON, spaces: Mapping[str, LabelSpace], path: Path) -> TrainingFacts:
    facts = mapping(value, path, "training")
    wanted = {item.name for item in fields(TrainingFacts)}
    if set(facts) != wanted:
        raise DataError(f"{path}: training has {sorted(facts)}, must have {sorted(wanted)}: train again")
    n_labeled = counts(facts["n_labeled"], path, "training.n_labeled")
    if set(n_labeled) != set(spaces):
        raise DataError(f"{path}: training.n_labeled must count the labels of {sorted(spaces)}: train again")
    return TrainingFacts(
        name=text(facts["name"], path, "training.name"),
        seed=whole(facts["seed"], path, "training.seed"),
        n_prompts=whole(facts["n_prompts"], path, "training.n_prompts"),
        n_validation_prompts=whole(facts["n_validation_prompts"], path, "training.n_validation_prompts"),
        domains=counts(facts["domains"], path, "training.domains"),
        n_labeled=n_labeled,
    )


def _stems(value: JSON, path: Path) -> list[str]:
    """Return the names of further documents, none of which can point outside the folder."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.isidentifier() for item in value):
        raise DataError(f"{path}: documents is {value!r}, must be a list of plain names: train again")
    return [str(item) for item in value]
