"""JSON in outputs, and JSON schemas: bounded parsing, no remote references, no pattern that hangs.

Ground floor: nothing here imports another module of the project but the patterns, the errors and the types.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from metamodel.analysis.patterns import PatternTimeoutError, compile_pattern, find_pattern
from metamodel.errors import MetamodelError
from metamodel.types import JSONValue

if TYPE_CHECKING:
    from jsonschema import ValidationError

    class _Validator(Protocol):
        """What a checker of a schema offers."""

        def is_type(self, instance: object, kind: str) -> bool: ...
        def is_valid(self, instance: object) -> bool: ...
        def descend(self, instance: object, schema: object) -> Iterator[ValidationError]: ...


Fences: TypeAlias = Literal["allow", "require", "refuse"]

FENCE: Final = "```"
BROKEN: Final = object()  # what is no JSON value; None is one

_DEEPEST: Final = 200
_LONGEST_INTEGER: Final = 4_000  # Python reads no longer ones
_STARTS: Final = frozenset('{["-0123456789tfn')
_NESTING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class UnusableSchemaError(Exception):
    """A schema that nothing can be checked against."""


def json_value(text: str, fences: Fences = "allow") -> object:
    r"""Return the JSON value that a text is, or BROKEN.

    Args:
        text: An output; whitespace around it does not count.
        fences: Whether one Markdown fence around the value, with or without the word json, is allowed, required or
            refused.

    >>> json_value('```json\n[1, null]\n```'), json_value("[NaN]") is BROKEN
    ([1, None], True)
    """
    text = text.strip()
    if text.startswith(FENCE) and fences != "refuse":
        first_line, _, rest = text.partition("\n")
        if not rest.endswith(FENCE) or first_line[len(FENCE) :].strip().lower() not in ("", "json"):
            return BROKEN
        text = rest[: -len(FENCE)].strip()
    elif fences == "require":
        return BROKEN
    if not text or text[0] not in _STARTS or _is_too_deep(text):
        return BROKEN
    try:
        value: object = json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return BROKEN
    return value


def schema_check(schema: Mapping[str, JSONValue]) -> Callable[[object], float]:
    """Return a function from a JSON value to 1 (valid), 0 (invalid) or NaN (cannot be told).

    Args:
        schema: JSON schema, by the draft that it names or else 2020-12. References to other documents than the drafts
            themselves are never followed.

    Raises:
        UnusableSchemaError: The schema is invalid, refers to what it does not hold, or has a pattern that is none.
        MetamodelError: The library jsonschema is missing.
    """
    try:
        from jsonschema_specifications import REGISTRY
        from referencing.exceptions import Unresolvable

        # Any, since the types of the library's own module are narrower than what it takes.
        library: Any = import_module("jsonschema.validators")
    except ImportError as error:
        raise MetamodelError("JSON schemas need the library jsonschema: pip install jsonschema") from error
    draft = library.validator_for(schema, default=library.Draft202012Validator)
    try:
        draft.check_schema(schema)
        _check_patterns(schema)
        bounded = library.extend(
            draft,
            {
                "pattern": _check_pattern,
                "patternProperties": _check_pattern_properties,
                "additionalProperties": _check_additional_properties,
                "uniqueItems": _check_unique_items,
            },
        )
        validator: _Validator = bounded(schema, registry=REGISTRY)
        validator.is_valid(None)
    except (library.exceptions.SchemaError, Unresolvable, RecursionError, ValueError) as error:
        raise UnusableSchemaError(str(error).split("\n", 1)[0]) from error

    def check(value: object) -> float:
        try:
            return float(validator.is_valid(value))
        except (PatternTimeoutError, RecursionError, Unresolvable):
            return math.nan

    return check


def _is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    depth = 0
    for mark in _NESTING.finditer(text):
        depth += (mark[0] in "[{") - (mark[0] in "]}")
        if depth > _DEEPEST:
            return True
    return False


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_patterns(schema: object) -> None:
    """Raise ValueError for a pattern that is none, and for what the library would search without a bound."""
    if isinstance(schema, list):
        for item in schema:
            _check_patterns(item)
    elif isinstance(schema, Mapping):
        by_pattern = schema.get("patternProperties")
        patterns = [schema.get("pattern"), *(by_pattern if isinstance(by_pattern, Mapping) else ())]
        for pattern in patterns:
            if isinstance(pattern, str):
                compile_pattern(pattern)
        if by_pattern and "unevaluatedProperties" in schema:
            raise ValueError("unevaluatedProperties beside patternProperties is not supported")
        for item in schema.values():
            _check_patterns(item)


# Keywords of a schema, as jsonschema calls them: (validator, the keyword's value, the instance, the schema).
# Any is that library's own type for values.


def _check_pattern(validator: _Validator, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:  # noqa: ANN401
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and find_pattern(pattern, instance) is None:
        yield ValidationError("does not match its pattern")


def _check_pattern_properties(
    validator: _Validator,
    by_pattern: Mapping[str, Any],
    instance: Any,  # noqa: ANN401
    _: Any,  # noqa: ANN401
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, schema in by_pattern.items():
            for key, value in instance.items():
                if find_pattern(pattern, key) is not None:
                    yield from validator.descend(value, schema)


def _check_additional_properties(
    validator: _Validator,
    allowed: Any,  # noqa: ANN401
    instance: Any,  # noqa: ANN401
    schema: Mapping[str, Any],
) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in schema.get("properties", {}) or any(find_pattern(pattern, key) is not None for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError("has a property that is not allowed")
        else:
            yield from validator.descend(value, allowed)


def _check_unique_items(
    validator: _Validator,
    must_differ: bool,  # noqa: FBT001 - the keyword's value
    instance: Any,  # noqa: ANN401
    _: Any,  # noqa: ANN401
) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    # The library compares every pair.
    if must_differ and validator.is_type(instance, "array") and len({_key(item) for item in instance}) < len(instance):
        yield ValidationError("has equal items")


def _key(value: object) -> Hashable:
    """Return what two JSON values share exactly if they are equal: 1 equals 1.0, and neither equals true."""
    if isinstance(value, list):
        return ("list", *map(_key, value))
    if isinstance(value, dict):
        return frozenset((key, _key(item)) for key, item in value.items())
    return (isinstance(value, bool), value)
