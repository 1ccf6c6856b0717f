"""Read JSON that may come from anyone: bounded in size, and of the type that is expected.

All that is wrong raises DataError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from metamodel.errors import DataError
from trainers.artifacts.artifact import JSON

MOST_JSON_BYTES = 2**28


def read_json(path: Path) -> JSON:
    """Return a file's content."""
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


def is_finite(value: JSON) -> bool:
    """Say whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def mapping(value: JSON, path: Path, key: str = "content") -> Mapping[str, JSON]:
    """Return an object."""
    if not isinstance(value, dict):
        raise DataError(f"{path}: {key} is {type(value).__name__}, must be an object: train again")
    return value


def versions(value: JSON, path: Path) -> dict[str, str]:
    """Return texts by name."""
    return {name: text(version, path, f"packages.{name}") for name, version in mapping(value, path, "packages").items()}


def counts(value: JSON, path: Path, key: str) -> dict[str, int]:
    """Return whole numbers by name."""
    return {name: whole(count, path, f"{key}.{name}") for name, count in mapping(value, path, key).items()}


def sizes(value: JSON, path: Path, key: str) -> dict[str, float]:
    """Return numbers of 0 or more by name."""
    checked = {}
    for name, size in mapping(value, path, key).items():
        if not is_finite(size) or float(size) < 0:  # type: ignore[arg-type] # a number, as checked
            raise DataError(f"{path}: {key}.{name} is {size!r}, must be a number of 0 or more: train again")
        checked[name] = float(size)  # type: ignore[arg-type] # a number, as checked
    return checked


def text(value: JSON, path: Path, key: str) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} is {value!r}, must be text: train again")
    return value


def whole(value: JSON, path: Path, key: str) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{path}: {key} is {value!r}, must be a whole number: train again")
    return value
