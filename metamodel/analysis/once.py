"""What several featurizers compute of the same batch, computed once.

Ground floor: nothing here imports another module of the project but the types.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from metamodel.types import GenerationBatch

_Value = TypeVar("_Value")

# By the batch's address, for as long as it lives: a batch cannot be hashed, its columns may be lists.
_KEPT: Final[dict[int, dict[Hashable, Any]]] = {}


def once_a_batch(batch: GenerationBatch, key: Hashable, compute: Callable[[], _Value]) -> _Value:
    """Return what `compute` gives, from the first call with this batch and key on; kept while the batch lives.

    Args:
        batch: The rows that the value is about.
        key: Names what is computed, its options included.
        compute: Computes it.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["a b"])
    >>> once_a_batch(batch, "words", lambda: batch.texts[0].split()), once_a_batch(batch, "words", list)
    (['a', 'b'], ['a', 'b'])
    """
    address = id(batch)
    if address not in _KEPT:
        _KEPT[address] = {}
        weakref.finalize(batch, _KEPT.pop, address, None)
    kept = _KEPT[address]
    if key not in kept:
        kept[key] = compute()
    value: _Value = kept[key]
    return value
