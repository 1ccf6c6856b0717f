"""Labeled prompts from a table that a user wrote: every value checked against its behavior's label space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from metamodel.errors import DataError, nearest_name_hint
from metamodel.labels import MISSING_CODE, Binary, Categorical, LabeledPrompts, LabelSpace, LabelTable, task_name
from metamodel.prompts.table_rows import read_rows
from metamodel.types import IntArray

_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_NO_LABEL = {"", "nan", "null", "none", "na"}
_SHOWN = 40
# More labels of one prompt than anyone draws, so that a broken file cannot size an array.
MOST_SAMPLES = 10_000


class _Cell(NamedTuple):
    """One label: where it stands, whose it is, and what it says."""

    where: str
    prompt: str
    domain: str
    behavior: str
    value: float | None


def read_labels(path: str, spaces: Mapping[str, LabelSpace], *, primary: str = "") -> LabeledPrompts:
    """Return the labeled prompts of a table.

    Args:
        path: A .jsonl, .csv or .parquet file with a column `prompt` and either a column `label` (of the behavior that a
            column `behavior` names, which one behavior does not need) or one column a behavior; a column `domain` may
            be there. Rows of one prompt are its samples; an empty label is a missing one.
        spaces: Label space of each behavior that may occur.
        primary: Name of the primary model; with one, tasks are named by `task_name`.

    Raises:
        DataError: A column or a value is not what it must be; the row is named.
    """
    labels: dict[str, dict[str, list[float]]] = {}
    domains: dict[str, str] = {}
    n_rows = 0
    for where, row in read_rows(path):
        n_rows += 1
        for cell in _cells(where, row, spaces):
            domains.setdefault(cell.prompt, cell.domain)
            mine = labels.setdefault(cell.behavior, {}).setdefault(cell.prompt, [])
            if cell.value is not None:
                mine.append(cell.value)
            if len(mine) > MOST_SAMPLES:
                raise DataError(f"{cell.where}: its prompt has more than {MOST_SAMPLES} labels")
    if not n_rows:
        raise DataError(f"{path}: has 0 rows, at least 1 labeled prompt is needed")
    if not any(values for prompts in labels.values() for values in prompts.values()):
        raise DataError(f"{path}: has {n_rows} rows and no label, at least 1 is needed")
    texts = tuple(domains)
    return LabeledPrompts(
        texts=texts,
        domains=tuple(domains[text] for text in texts),
        labels={
            task_name(primary, behavior) if primary else behavior: LabelTable(
                space=spaces[behavior], codes=_codes(labels[behavior], texts, spaces[behavior])
            )
            for behavior in spaces
            if behavior in labels
        },
    )


def _cells(where: str, row: Mapping[str, object], spaces: Mapping[str, LabelSpace]) -> Iterator[_Cell]:
    """Yield the labels of one row."""
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        shown = "has no column prompt" if "prompt" not in row else f"prompt is {prompt!r}"
        raise DataError(f"{where}: {shown}, columns are {', '.join(row)}: a column prompt must hold each prompt's text")
    domain = str(row.get("domain") or "")
    named: dict[str, object]
    if "label" in row:
        named = {_behavior(where, row, spaces): row["label"]}
    else:
        named = {name: row[name] for name in spaces if name in row}
    if not named:
        others = ", ".join(sorted(set(row) - {"prompt", "domain"})) or "none"
        raise DataError(
            f"{where}: needs a column label, or one named like a behavior ({', '.join(spaces)}); "
            f"other columns: {others}"
        )
    for behavior, raw in named.items():
        value = _value(raw, spaces[behavior], f"{where}: {behavior if 'label' not in row else 'label'}")
        yield _Cell(where=where, prompt=prompt, domain=domain, behavior=behavior, value=value)


def _behavior(where: str, row: Mapping[str, object], spaces: Mapping[str, LabelSpace]) -> str:
    named = row.get("behavior")
    if named is None and len(spaces) == 1:
        return next(iter(spaces))
    if named is None:
        raise DataError(
            f"{where}: the metamodel predicts several behaviors ({', '.join(spaces)}): say in a column behavior which "
            "one each label is of"
        )
    if str(named) not in spaces:
        raise DataError(f"{where}: behavior is {str(named)[:_SHOWN]!r}, {nearest_name_hint(str(named), spaces)}")
    return str(named)


def _value(raw: object, space: LabelSpace, where: str) -> float | None:
    """Return a label as the number that its space encodes; None where it is missing."""
    words = raw.strip().lower() if isinstance(raw, str) else ""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(space, Categorical) and isinstance(raw, str) and raw in space.classes:
        return float(space.classes.index(raw))
    if isinstance(raw, str) and words in _NO_LABEL:
        return None
    try:
        value = _WORDS[words] if isinstance(space, Binary) and words in _WORDS else float(raw)  # type: ignore[arg-type] # else a TypeError
        is_allowed = math.isfinite(value) and (space.kind != "count" or (value >= 0 and value == int(value)))
        space.encode(np.array([value if is_allowed else 0.0]))
    except (ValueError, TypeError, OverflowError):
        is_allowed, value = False, math.nan
    if not is_allowed:
        raise DataError(f"{where} is {str(raw)[:_SHOWN]!r}, must be {_allowed(space)}, or empty")
    return value


def _allowed(space: LabelSpace) -> str:
    if isinstance(space, Binary):
        return "0 or 1 (no or yes, false or true)"
    if isinstance(space, Categorical):
        shown = ", ".join(space.classes[:12]) + (", ..." if len(space.classes) > 12 else "")  # noqa: PLR2004 - a line's worth
        return f"one of {shown}, or its number from 0 to {len(space.classes) - 1}"
    return "a whole number of 0 or more" if space.kind == "count" else "a finite number"


def _codes(values: Mapping[str, list[float]], texts: tuple[str, ...], space: LabelSpace) -> IntArray:
    """Return outcome codes, [n, k], padded with missing ones."""
    most = max((len(samples) for samples in values.values()), default=1)
    codes = np.full((len(texts), max(most, 1)), MISSING_CODE, dtype=np.int64)
    for row, text in enumerate(texts):
        samples = values.get(text, [])
        if samples:
            codes[row, : len(samples)] = space.encode(np.array(samples))
    return codes
