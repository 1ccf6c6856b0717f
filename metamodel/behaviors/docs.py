"""The catalog of behaviors as a Markdown page, docs/behaviors.md, written from the featurizers' docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.catalog import family_of
from metamodel.errors import MetamodelError
from metamodel.registry import component_class, component_fields, component_names

_HEAD: Final = """# Behaviors

Every behavior that a config can name, by family. Each is a label of one output: its definition, its label space, what
it is computed from, where it comes from, and an example that the tests run. `Needs` names what must be known of an
output; where it is not, the label is missing. A behavior that reads the prompt is no function of the output alone, so
equation 3's bound on the output's information is not claimed for it.

This page is written from the docstrings: `metamodel components --group featurizers --markdown > docs/behaviors.md`.
"""
_LABEL_SPACE: Final = re.compile(r"Label space:\s*(?P<space>.*?)\.\s+Needs:\s*(?P<needs>.*?)\.(?:\s|$)", re.DOTALL)
_SOURCE: Final = re.compile(r"Source:\s*(?P<source>.*?)(?:\n\n|\Z)", re.DOTALL)
_EXAMPLE: Final = re.compile(r"^>>> .*", re.DOTALL | re.MULTILINE)
_FIELD: Final = re.compile(r"^ {4}(?P<name>\w+): (?P<about>.*(?:\n {8}.*)*)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BehaviorDoc:
    """One featurizer, as its docstring describes it.

    Attributes:
        kind: Its registered name.
        family: Heading of its module.
        summary: First sentence.
        definition: Rule or formula, in paragraphs.
        space: Its label space, in words.
        needs: What it is computed from, in words.
        source: Where the definition comes from.
        fields: Each field with type, default and meaning.
        example: Lines of an interactive session.
        reads_prompt: Whether it reads more than the output; None where its fields decide.
    """

    kind: str
    family: str
    summary: str
    definition: str
    space: str
    needs: str
    source: str
    fields: Sequence[tuple[str, str, str]]
    example: str
    reads_prompt: bool | None


def behaviors_markdown(*, packages: Sequence[str] | None = None) -> str:
    """Return the page.

    Args:
        packages: Import packages whose featurizers are listed; None lists all that are registered.

    Raises:
        MetamodelError: A docstring lacks a part.
    """
    docs = [
        read_docstring(kind, component)
        for kind in component_names("featurizers")
        if (component := component_class("featurizers", kind))
        and (packages is None or component.__module__.split(".", 1)[0] in packages)
    ]
    families = sorted({doc.family for doc in docs})
    parts = [_HEAD, _contents(docs, families)]
    for family in families:
        parts.append(f"## {family}\n")
        parts += [_section(doc) for doc in docs if doc.family == family]
    return "\n".join(parts)


def read_docstring(kind: str, component: type) -> BehaviorDoc:
    """Read a featurizer's docstring.

    Raises:
        MetamodelError: It lacks the label space, the needs, the source or the example.
    """
    text = inspect.getdoc(component) or ""
    space, source, example = _LABEL_SPACE.search(text), _SOURCE.search(text), _EXAMPLE.search(text)
    if space is None or source is None or example is None:
        raise MetamodelError(
            f"the docstring of featurizer {kind} ({component.__qualname__}) must give 'Label space: ... Needs: ...', "
            "'Source: ...' and an example after '>>> '"
        )
    summary, _, rest = text[: space.start()].partition("\n")
    about = {found["name"]: _joined(found["about"]) for found in _FIELD.finditer(_attributes(text))}
    reads_prompt = getattr(component, "reads_prompt", None)
    return BehaviorDoc(
        kind=kind,
        family=family_of(component),
        summary=summary.strip(),
        definition=rest.strip(),
        space=_joined(space["space"]),
        needs=_joined(space["needs"]),
        source=_joined(source["source"].split("\nAttributes:")[0]),
        fields=[(name, kind_of, about.get(name, "")) for name, kind_of in component_fields(component).items()],
        example=example[0].rstrip(),
        reads_prompt=reads_prompt if isinstance(reads_prompt, bool) else None,
    )


def _attributes(text: str) -> str:
    _, _, after = text.partition("\nAttributes:\n")
    return after.split("\n\n", 1)[0]


def _joined(text: str) -> str:
    return " ".join(text.split())


def _contents(docs: Sequence[BehaviorDoc], families: Sequence[str]) -> str:
    lines = ["| family | behaviors |", "| --- | --- |"]
    for family in families:
        kinds = ", ".join(f"[{doc.kind}](#{doc.kind})" for doc in docs if doc.family == family)
        lines.append(f"| {family} | {kinds} |")
    return "\n".join(lines) + "\n"


def _section(doc: BehaviorDoc) -> str:
    reads = {True: "yes", False: "no", None: "as its fields decide"}[doc.reads_prompt]
    lines = [
        f"### {doc.kind}\n",
        f"{doc.summary}\n",
        *([f"{doc.definition}\n"] if doc.definition else []),
        f"- Label space: {doc.space}",
        f"- Needs: {doc.needs}",
        f"- Reads the prompt: {reads}",
        f"- Source: {doc.source}",
    ]
    if doc.fields:
        lines += ["\n| field | type and default | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | `{_cell(kind)}` | {_cell(about)} |" for name, kind, about in doc.fields]
    lines.append(f"\n```python\n{doc.example}\n```\n")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
