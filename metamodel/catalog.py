"""What is registered, as people read it: names, fields with defaults, label spaces."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
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
        label_space: Kind of the label space, for featurizers with defaults for all fields.
        reads_prompt: Whether the label reads more than the output, for featurizers.
    """

    group: Group
    kind: str
    summary: str
    fields: dict[str, str]
    label_space: str | None = None
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
    """Return one table a group, for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    tables = []
    for group in dict.fromkeys(entry.group for entry in entries):
        table = Table(title=group, title_justify="left", show_lines=True)
        table.add_column("kind", style="bold", no_wrap=True)
        if group == "featurizers":
            table.add_column("label space")
        table.add_column("what")
        table.add_column("fields")
        for entry in entries:
            if entry.group == group:
                space = [entry.label_space or "by its fields"] if group == "featurizers" else []
                described = "\n".join(f"{name}: {about}" for name, about in entry.fields.items())
                # A type such as tuple[int, ...] would be read as markup.
                table.add_row(entry.kind, *space, escape(entry.summary), escape(described))
        tables.append(table)
    return tables


def _entry(group: Group, kind: str) -> CatalogEntry:
    component = component_class(group, kind)
    described = component_fields(component)
    entry = CatalogEntry(
        group=group, kind=kind, summary=(inspect.getdoc(component) or "").split("\n", 1)[0], fields=described
    )
    if group != "featurizers" or any(about.endswith("required") for about in described.values()):
        return entry
    featurizer = component()
    return CatalogEntry(
        **{**asdict(entry), "label_space": featurizer.space.kind, "reads_prompt": featurizer.reads_prompt}
    )
