"""Find components by name through entry points: ours and a third party's in the same way."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeAlias, get_args, get_type_hints

from metamodel.errors import MetamodelError, UnknownNameError, nearest_name_hint

Group: TypeAlias = Literal["prompts", "primaries", "featurizers", "trainers"]

GROUPS: tuple[Group, ...] = get_args(Group)


@cache
def _entry_points(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"metamodel.{group}")}


def component_names(group: Group) -> list[str]:
    """Return the names registered in a group, sorted."""
    return sorted(_entry_points(group))


def component_class(group: Group, kind: str) -> type:
    """Return the class registered as `kind`.

    Raises:
        UnknownNameError: Nothing is registered under that name; the message names the nearest one.
        MetamodelError: The class cannot be imported or is no dataclass (a faulty plug-in).
    """
    points = _entry_points(group)
    if kind not in points:
        raise UnknownNameError(f"no {group} component is named {kind!r}: {nearest_name_hint(kind, points)}")
    try:
        component = points[kind].load()
    except (ImportError, AttributeError) as error:
        raise MetamodelError(f"{group} component {kind} ({points[kind].value}) cannot be loaded: {error}") from error
    if not (inspect.isclass(component) and is_dataclass(component)):
        raise MetamodelError(f"{group} component {kind} ({points[kind].value}) must be a dataclass, got {component!r}")
    return component


def component_fields(component: type) -> dict[str, str]:
    """Return each field of a component with its type and default, as a reader would write it.

    >>> component_fields(component_class("featurizers", "truncated"))
    {}
    """
    hints = get_type_hints(component)
    described = {}
    for field in fields(component):
        if not field.init:
            continue
        default = field.default if field.default is not MISSING else None
        if field.default_factory is not MISSING:
            default = field.default_factory()
        required = field.default is MISSING and field.default_factory is MISSING
        hint = hints[field.name]
        written = hint.__name__ if inspect.isclass(hint) and not get_args(hint) else str(hint).replace("typing.", "")
        described[field.name] = f"{written}, required" if required else f"{written} = {default!r}"
    return described
