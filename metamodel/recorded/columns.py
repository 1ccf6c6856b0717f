"""Which column of somebody's table holds what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

from metamodel.errors import DataError, nearest_name_hint
from metamodel.types import FinishReason

# A column's name, a list of names (attributes only), or null for "there is none, whatever the names say".
ColumnSpec: TypeAlias = Mapping[str, str | list[str] | None]

# What a column is looked for under where the config does not name it; the first that is there counts.
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "question", "instruction", "input", "text"),
    "output": ("output", "response", "completion", "generated_text", "generation"),
    "model": ("model", "primary", "generator", "model_name"),
    "domain": ("domain", "task", "category", "subject"),
    "references": ("references", "answer", "answers", "target", "reference"),
    "choices": ("choices",),
    "sample": ("sample", "epoch", "repeat"),
    "id": ("prompt_id", "id", "question_id", "doc_id"),
    "finish_reason": ("finish_reason", "stop_reason"),
    "n_tokens": ("n_tokens",),
    "token_ids": ("token_ids",),
    "logprobs": ("logprobs",),
}
FIELDS: Final = (*ALIASES, "attributes")

_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    **{reason: reason for reason in get_args(FinishReason)},
    "max_tokens": "length",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_string",
}


def known_finish_reason(value: object) -> FinishReason | None:
    """Return a log's word for what ended an output in ours; None where it says nothing that we have a word for."""
    return _FINISH_REASONS.get(value) if isinstance(value, str) else None


def check_columns(spec: ColumnSpec) -> str | None:
    """Say what is wrong with a column mapping's keys and values, or return None."""
    problems = [f"columns.{key}: unknown key, {nearest_name_hint(key, FIELDS)}" for key in spec if key not in FIELDS]
    for key, value in spec.items():
        if key != "attributes" and isinstance(value, list):
            problems.append(f"columns.{key} is {value!r}, must be the name of one column")
        if key == "attributes" and not isinstance(value, list):
            problems.append(f"columns.attributes is {value!r}, must be a list of columns")
    return "; ".join(problems) or None


@dataclass(frozen=True, kw_only=True)
class ColumnMapping:
    """The columns of one table.

    Attributes:
        named: Column of each field that the table has.
        attributes: Columns that speak of the prompt.
        metadata: All other columns; they speak of the output.
    """

    named: Mapping[str, str]
    attributes: tuple[str, ...]
    metadata: tuple[str, ...]


def map_columns(
    spec: ColumnSpec, present: Sequence[str], where: str, *, needed: Sequence[str], are_prompts: bool = False
) -> ColumnMapping:
    """Find the fields among a table's columns.

    Args:
        spec: What the config names.
        present: Columns of the table.
        where: The table, for messages.
        needed: Fields that it must have.
        are_prompts: Whether the table holds prompts alone: its other columns are attributes then.

    Raises:
        DataError: A named column is not there, or a needed field is not found.
    """
    problems = []
    named: dict[str, str] = {}
    listed = spec.get("attributes") or []
    attributes = [name for name in listed if name in present]
    for field, aliases in ALIASES.items():
        given = spec.get(field)
        if isinstance(given, str):
            if given in present:
                named[field] = given
            elif not are_prompts or field in needed:
                problems.append(f"no column {given!r} (columns.{field}): {nearest_name_hint(given, present)}")
            continue
        # A column of prompts that the config calls by another name must not be taken for something else.
        taken = {*named.values(), *attributes, *(value for value in spec.values() if isinstance(value, str))}
        found = (
            None if field in spec else next((name for name in aliases if name in present and name not in taken), None)
        )
        if found is not None:
            named[field] = found
        elif field in needed:
            tried = ", ".join(aliases)
            problems.append(
                f"no column for {field} (looked for {tried}): name it with columns: {{{field}: ...}}; "
                f"the table has {', '.join(present)}"
            )
    missing = [name for name in listed if name not in present]
    problems += [f"no column {name!r} (columns.attributes): {nearest_name_hint(name, present)}" for name in missing]
    if problems:
        raise DataError(f"{where}: {'; '.join(problems)}")
    used = {*named.values(), *attributes}
    others = tuple(name for name in present if name not in used)
    if are_prompts:
        return ColumnMapping(named=named, attributes=(*attributes, *others), metadata=())
    return ColumnMapping(named=named, attributes=tuple(attributes), metadata=others)
