"""What is registered, as people read it: names, fields with defaults, label spaces."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from metamodel.errors import UnknownNameError, nearest_name_hint
from metamodel.registry import GROUPS, Group, component_class, component_fields, component_names

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One registered component.

    Attributes:
        group: Plug-in group.
        kind: Its name there.
        summary: First line of its docstring.
        fields: Type and default of each field, by name.
        family: First words of its module's docstring, for featurizers: "Copying".
        label_space: Kind of the label space, for featurizers; None where their fields decide.
        needs: What the label is computed from, for featurizers; None where their fields decide.
        reads_prompt: Whether the label reads more than the output, for featurizers; None where their fields decide.
    """

    group: Group
    kind: str
    summary: str
    fields: dict[str, str]
    family: str | None = None
    label_space: str | None = None
    needs: tuple[str, ...] | None = None
    reads_prompt: bool | None = None

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)


def catalog(group: str | None = None) -> list[CatalogEntry]:
    """Return the registered components of one group, or of all.

    Raises:
        UnknownNameError: There is no such group.
    """
    chosen = [known for known in GROUPS if group in (None, known)]
    if not chosen:
        raise UnknownNameError(f"no component group is named {group!r}: {nearest_name_hint(str(group), GROUPS)}")
    return [_entry(known, kind) for known in chosen for kind in component_names(known)]


def catalog_tables(entries: list[CatalogEntry]) -> list[Table]:
    """Return one table a group, for the terminal; featurizers one a family."""
    tables = []
    for group in dict.fromkeys(entry.group for entry in entries):
        mine = [entry for entry in entries if entry.group == group]
        if group != "featurizers":
            tables.append(_table(group, mine))
            continue
        families = sorted({entry.family or "" for entry in mine})
        tables += [_table(f"featurizers: {name}", [one for one in mine if one.family == name]) for name in families]
    return tables


def family_of(component: type) -> str:
    """Return the name of a component's family: what its module's docstring says before the colon."""
    module = inspect.getmodule(component)
    first_line = (inspect.getdoc(module) or "").split("\n", 1)[0]
    return first_line.split(":", 1)[0].rstrip(".")


def _table(title: str, entries: list[CatalogEntry]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", show_lines=True)
    table.add_column("kind", style="bold", no_wrap=True)
    are_featurizers = entries[0].group == "featurizers"
    if are_featurizers:
        table.add_column("label space")
        table.add_column("needs", max_width=16)
    table.add_column("what")
    table.add_column("fields")
    for entry in entries:
        needs = "by its fields" if entry.needs is None else ", ".join(entry.needs)
        about = [entry.label_space or "by its fields", needs] if are_featurizers else []
        described = "\n".join(f"{name}: {about}" for name, about in entry.fields.items())
        # A type such as tuple[int, ...] would be read as markup.
        table.add_row(entry.kind, *about, escape(entry.summary), escape(described))
    return table


def _entry(group: Group, kind: str) -> CatalogEntry:
    component = component_class(group, kind)
    described = component_fields(component)
    entry = CatalogEntry(
        group=group, kind=kind, summary=(inspect.getdoc(component) or "").split("\n", 1)[0], fields=described
    )
    if group != "featurizers":
        return entry
    has_defaults = not any(about.endswith("required") for about in described.values())
    source = component() if has_defaults else component
    # Of a class, what its fields decide is still a property.
    space, needs, reads_prompt = (_decided(source, name) for name in ("space", "needs", "reads_prompt"))
    return replace(
        entry,
        family=family_of(component),
        label_space=getattr(space, "kind", None),
        needs=tuple(needs) if isinstance(needs, tuple) else None,
        reads_prompt=reads_prompt if isinstance(reads_prompt, bool) else None,
    )


def _decided(source: object, name: str) -> object:
    value = getattr(source, name, None)
    return None if isinstance(value, property | cached_property) else value
