"""Read plain dataclasses back from JSON, every value checked against its field's type."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from metamodel.errors import DataError

Plain = TypeVar("Plain")


def read_dataclass(kind: type[Plain], value: object, *, where: str) -> Plain:
    """Return the dataclass that `dataclasses.asdict` made JSON of.

    Fields are numbers, texts, literals, dataclasses, tuples of one kind, or None.

    Raises:
        DataError: The value says something else; `where` names it.

    >>> from metamodel.bootstrap import Interval
    >>> read_dataclass(Interval, {"low": 0, "value": 0.5, "high": 1}, where="x").high
    1.0
    """
    names = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    if not isinstance(value, Mapping) or set(value) != names:
        raise DataError(f"{where} must be a mapping with {', '.join(sorted(names))}")
    hints = get_type_hints(kind)
    read = {name: _read(hints[name], value[name], f"{where}.{name}") for name in names}
    try:
        return kind(**read)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _read(kind: object, value: object, where: str) -> object:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        wanted = next(part for part in parts if part is not type(None))
        return None if value is None and type(None) in parts else _read(wanted, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(parts[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if isinstance(kind, type) and is_dataclass(kind):
        return read_dataclass(kind, value, where=where)
    if kind is float and type(value) is int:
        value = float(value)
    is_number = kind is float and type(value) is float and math.isfinite(value)
    is_plain = kind in {str, int} and type(value) is kind
    if not (is_number or is_plain or (origin is Literal and value in parts)):
        raise DataError(f"{where} is {str(value)[:60]!r}, must be {getattr(kind, '__name__', kind)}")
    return value
