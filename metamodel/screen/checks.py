"""Read what a stranger's pre-screen says: JSON bounded in size, label spaces bounded in outcomes, kinds that are known.

Nothing here sizes anything by a number that was not checked, and all that is wrong raises DataError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import NoReturn

from metamodel.errors import DataError
from metamodel.labels import LabelSpace, label_space_from_dict
from metamodel.registry import component_class, component_names

MOST_JSON_BYTES = 2**26
MOST_BEHAVIORS = 10_000
MOST_OUTCOMES = 100_000
MOST_PATH_CHARACTERS = 1000
MOST_NAME_BYTES = 255
# screen.json, metamodel/, and members of members: what is nested deeper nobody exports.
MOST_PARTS = 16
# The field metadata that marks specs of other components, see `trainers.artifacts.reading`.
_HOLDS_SPECS = "holds_specs"


def read_json(path: Path) -> object:
    """Return the content of a JSON file."""
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MOST_JSON_BYTES:
            raise DataError(f"{path}: has {n_bytes} bytes, at most {MOST_JSON_BYTES} are read")
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): export again") from error
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}): export again") from error


def parse_json(text: str) -> object:
    """Return what a JSON text says; raises ValueError for anything that JSON does not allow, nesting too deep included.

    >>> parse_json('{"prompt": "a"}')
    {'prompt': 'a'}
    """
    try:
        content: object = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def mapping(value: object, where: str) -> Mapping[str, object]:
    """Return an object of JSON."""
    if not isinstance(value, dict):
        raise DataError(f"{where} is {type(value).__name__}, must be a mapping: export again")
    return value


def label_spaces(value: object, where: str) -> dict[str, LabelSpace]:
    """Return label spaces by behavior, none with more outcomes than `MOST_OUTCOMES`."""
    descriptions = mapping(value, where)
    if not 1 <= len(descriptions) <= MOST_BEHAVIORS:
        raise DataError(f"{where} names {len(descriptions)} behaviors, must name from 1 to {MOST_BEHAVIORS}")
    return {name: _label_space(item, f"{where}.{name}") for name, item in descriptions.items()}


def _label_space(value: object, where: str) -> LabelSpace:
    rules: dict[str, Callable[[object], bool]] = {
        "kind": lambda given: isinstance(given, str),
        "classes": lambda given: _is_list(given) and all(isinstance(item, str) for item in _items(given)),
        "edges": lambda given: _is_list(given) and _rises(_items(given)),
        "low": _is_number,
        "high": _is_number,
        "n_bins": lambda given: type(given) is int and 1 <= given <= MOST_OUTCOMES,
    }
    description = mapping(value, where)
    for key, item in description.items():
        if key not in rules or not rules[key](item):
            raise DataError(f"{where}: {key} is {str(item)[:80]!r}, which no label space allows: export again")
    try:
        return label_space_from_dict(description)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _is_list(value: object) -> bool:
    return isinstance(value, list) and 1 <= len(value) < MOST_OUTCOMES


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _rises(values: list[object]) -> bool:
    whole = [item for item in values if type(item) is int]
    return len(whole) == len(values) and all(low < high for low, high in zip([0, *whole], whole, strict=False))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300  # noqa: PLR2004 - room for differences


def plain_path(name: str, where: str) -> PurePosixPath:
    """Return a path that stays below the folder it is joined to, on every system."""
    parts = name.split("/")
    is_plain = (
        len(name) <= MOST_PATH_CHARACTERS
        and len(parts) <= MOST_PARTS
        and all(part not in ("", ".", "..") for part in parts)
        and all(len(part.encode("utf-8", errors="surrogatepass")) <= MOST_NAME_BYTES for part in parts)
        and name.isprintable()
        and not any(sign in name for sign in "\\:")
    )
    if not is_plain:
        raise DataError(f"{where} names the file {name[:80]!r}, must name files inside the pre-screen by plain names")
    return PurePosixPath(name)


def require_self_contained(spec_files: Iterator[Path]) -> None:
    """Refuse saved metamodels that cannot predict from their own files.

    Args:
        spec_files: spec.json of the metamodel and of each of its members.

    Raises:
        DataError: One asks another component: a primary model that reads, a judge behind an endpoint.
        UnknownNameError: No installed trainer has its kind.
    """
    for path in spec_files:
        spec = mapping(read_json(path), str(path))
        kind = spec.get("kind")
        if not isinstance(kind, str):
            raise DataError(f"{path}: kind is {kind!r}, must name a trainer: train again")
        values = mapping(spec.get("fields", {}), f"{path}: fields")
        trainer = component_class("trainers", kind)
        # A trainer is a dataclass, as the registry has checked.
        for item in fields(trainer):
            if item.metadata.get(_HOLDS_SPECS):
                for asked in _kinds(values.get(item.name)):
                    _require_trainer(asked, f"{path}: {item.name}", kind)


def _kinds(value: object) -> Iterator[object]:
    """Yield the kind of each component that a field's specs name."""
    for one in value if isinstance(value, list) else [value]:
        yield one.get("kind") if isinstance(one, dict) else one


def _require_trainer(asked: object, where: str, kind: str) -> None:
    if asked not in component_names("trainers"):
        raise DataError(
            f"{where} is {asked!r}: a metamodel of kind {kind} asks another model about every prompt, and a pre-screen "
            "predicts from its own folder alone; export one that reads the prompt's text itself"
        )
