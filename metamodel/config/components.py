"""Build components and plans from plain data, every problem with its key path.

This is the only file that knows pydantic. A spec names a component by `kind`; the component's fields are its config.
A component may hold others (a template around a prompt source, a conjunction of behaviors): it keeps their specs as
fields and builds them here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, TypeVar

from metamodel.errors import ConfigError, MetamodelError, nearest_name_hint
from metamodel.primaries.capabilities import HasMembers
from metamodel.registry import Group, component_class
from metamodel.types import JSONValue

_Plan = TypeVar("_Plan")

NAME_ALLOWED = "letters, digits, '.', '_' and '-'"


def build_component(group: Group, spec: object, *, at: str) -> Any:  # noqa: ANN401 - what the group's protocol says
    """Build a component that another one holds.

    Args:
        group: Plug-in group.
        spec: A kind, or a mapping with `kind` and fields.
        at: Key path for messages.

    Raises:
        ConfigError: Everything that is wrong with it.
    """
    problems: list[str] = []
    named = build_named(group, spec, at, problems)
    if named is None:
        raise ConfigError(problems, source=at)
    return named.component


@dataclass(frozen=True, kw_only=True)
class NamedComponent:
    """A component with the name that the config gives it.

    Attributes:
        name: Its name.
        component: What its group's protocol says.
        resolved: Its spec with every default filled in, ready for JSON.
    """

    name: str
    component: Any  # what the group's protocol says; the protocols are checked where components are used
    resolved: JSONValue


def build_components(group: Group, entries: object, path: str, problems: list[str]) -> list[NamedComponent]:
    """Build the listed components; what is wrong with any goes to `problems`."""
    if not isinstance(entries, list) or not entries:
        given = "is missing" if entries is None else f"is {entries!r}"
        problems.append(f"{path}: {given}, must be a list with at least one {{kind: ...}}")
        return []
    built: list[NamedComponent] = []
    for position, entry in enumerate(entries):
        at = f"{path}.{position}"
        named = build_named(group, entry, at, problems)
        if named is None:
            continue
        if group != "prompts" and named.name in {other.name for other in built}:
            problems.append(f"{at}.name: {named.name} is taken by another entry, give this one a `name` of its own")
        built.append(named)
    return _with_members(built, path, problems) if group == "primaries" else built


def _with_members(entries: Sequence[NamedComponent], path: str, problems: list[str]) -> list[NamedComponent]:
    """Replace each primary model that stands for several by these, so that the resolved config names every one."""
    listed: list[NamedComponent] = []
    for position, entry in enumerate(entries):
        at = f"{path}.{position}"
        try:
            members = entry.component.members() if isinstance(entry.component, HasMembers) else {}
        except MetamodelError as error:
            problems.append(f"{at}: {error}")
            members = {}
        spec = entry.resolved if isinstance(entry.resolved, dict) else {}
        has_own_name = entry.name != spec.get("kind")
        for name, member in members.items():
            own = entry.name if len(members) == 1 else f"{entry.name}-{name}"
            full_name = own if has_own_name else name
            resolved = to_json({"kind": spec["kind"], "name": full_name, **_component_options(member)})
            listed.append(NamedComponent(name=full_name, component=member, resolved=resolved))
        listed += [] if members else [entry]
    names = [entry.name for entry in listed]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated and len(listed) > len(entries):
        problems.append(
            f"{path}: {', '.join(repeated)} occur in several logs: give those entries a `name` of their own"
        )
    return listed


def build_named(group: Group, entry: object, at: str, problems: list[str]) -> NamedComponent | None:
    """Build one component; returns None after adding to `problems` what is wrong."""
    if isinstance(entry, str):
        entry = {"kind": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        problems.append(f"{at}: got {entry!r}, must be a mapping with a `kind`")
        return None
    options = {str(key): value for key, value in entry.items() if key not in ("kind", "name")}
    try:
        component_type = component_class(group, entry["kind"])
    except MetamodelError as error:
        problems.append(f"{at}.kind: {error}")
        return None
    component: object | None = build_plan(component_type, options, at, problems, extra_known=("kind", "name"))
    if component is None:
        return None
    name = entry.get("name") or _default_name(group, entry["kind"], component)
    if not isinstance(name, str) or not _is_safe_name(name):
        problems.append(f"{at}.name: {name!r} is not a name, use {NAME_ALLOWED}")
        return None
    resolved = {"kind": entry["kind"], "name": name, **_component_options(component)}
    return NamedComponent(name=name, component=component, resolved=to_json(resolved))


def _default_name(group: Group, kind: str, component: object) -> str:
    """Name a primary model after its weights, everything else after its kind."""
    model = getattr(component, "model", None)
    if group == "primaries" and isinstance(model, str):
        return model.rstrip("/").rsplit("/", 1)[-1]
    return kind


def _component_options(component: object) -> dict[str, object]:
    return {item.name: getattr(component, item.name) for item in fields(component) if item.init}  # type: ignore[arg-type] # checked by the registry


def _is_safe_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)


def build_plan(
    plan_type: type[_Plan],
    options: Mapping[str, Any],
    path: str,
    problems: list[str],
    *,
    extra_known: Sequence[str] = (),
) -> _Plan | None:
    """Validate `options` into a dataclass; returns None after adding to `problems` what is wrong."""
    from pydantic import TypeAdapter, ValidationError

    prefix = f"{path}." if path else ""
    known = [item.name for item in fields(plan_type) if item.init]  # type: ignore[arg-type] # callers pass dataclasses
    unknown = [key for key in options if key not in known]
    hints = [*known, *extra_known]
    problems += [f"{prefix}{key}: unknown key, {nearest_name_hint(key, hints)}" for key in unknown]
    accepted = {key: value for key, value in options.items() if key in known}
    try:
        # JSON mode is strict about types, yet reads a list as a tuple and a whole number as a float.
        plan = TypeAdapter(plan_type).validate_json(json.dumps(accepted, default=str), strict=True)
    except ValidationError as error:
        problems += [_validation_problem(prefix, detail) for detail in error.errors(include_url=False)]
        return None
    except ConfigError as error:  # of a component that this one holds
        problems += [f"{prefix}{problem}" for problem in error.problems]
        return None
    return None if unknown else plan


def _validation_problem(prefix: str, detail: Any) -> str:  # noqa: ANN401 - pydantic's own error record
    at = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    key = f"{prefix}{at}" if at else prefix.removesuffix(".")
    if detail["type"] == "missing":
        return f"{key}: is missing and has no default"
    given = "" if detail["type"] == "value_error" else f", got {detail['input']!r}"
    return f"{key}: {message}{given}" if key else f"{message}{given}"


def to_json(value: Any) -> JSONValue:  # noqa: ANN401 - whatever a component's field holds
    """Return a component's field ready for JSON."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
