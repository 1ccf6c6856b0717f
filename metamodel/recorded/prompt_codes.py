"""Which rows speak of the same prompt.

A prompt is its content: domain, text, references and choices, as `Prompt.create` hashes it, so that a log's prompts are
those of a prompt file with the same content. Where a log answers several prompts of its own (by its own ids) with the
same content, as an exam that asks a question twice, their ids enter the hash, so that their outputs are not taken for
one another's.
Shapes in this file: n = rows, p = prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from metamodel.recorded.digests import DigestArray, KeyArray, item_digest, keys_of
from metamodel.recorded.index import BoolArray, CodeArray
from metamodel.types import IntArray


class DistinctPrompts(NamedTuple):
    """The prompts of rows.

    Attributes:
        digests: Digest of each prompt, [p, 16].
        codes: Position of each row's prompt among them, [n]; 0 for rows that are not usable.
        first_rows: The first row with each prompt, [p].
    """

    digests: DigestArray
    codes: CodeArray
    first_rows: IntArray


def distinct_prompts(digests: DigestArray, usable: BoolArray) -> DistinctPrompts:
    """Return the prompts of the usable rows.

    Args:
        digests: Digest of each row's prompt, [n, 16].
        usable: Whether the row counts, [n].
    """
    rows = np.flatnonzero(usable)
    _, first, inverse = np.unique(keys_of(digests[rows]), return_index=True, return_inverse=True)
    codes = np.zeros(len(digests), dtype=np.int32)
    codes[rows] = inverse
    return DistinctPrompts(digests=digests[rows[first]], codes=codes, first_rows=rows[first])


def with_several_items(keys: KeyArray, items: Iterable[str | None]) -> KeyArray:
    """Return the keys that several ids of the log stand for, sorted.

    Args:
        keys: Key of each row's content, [n].
        items: The log's own id of each row's prompt, n of them; None where it has none.
    """
    found: dict[int, set[str]] = {}
    for key, item in zip(keys.tolist(), items, strict=True):
        if item is not None:
            found.setdefault(key, set()).add(item)
    several = sorted(key for key, ids in found.items() if len(ids) > 1)
    return np.array(several, dtype=np.uint64)


def told_apart(digests: DigestArray, items: Mapping[int, str | None]) -> None:
    """Let the log's own ids enter the digests of some rows, in place; a row without an id keeps its own."""
    for row, item in items.items():
        if item is not None:
            digests[row] = np.frombuffer(item_digest(digests[row].tobytes(), item), dtype=np.uint8)
