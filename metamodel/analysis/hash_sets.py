"""A set of 64-bit hashes that answers millions of questions at once.

Ground floor: nothing here imports another module of the project.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_HASH_BITS: Final = 64
_MOST_BITS: Final = 30
# Slots a hash, as a power of two: at 4, one hash in nine shares its slot and moves to the next table.
_ROOM_BITS: Final = 2
# Flags a query, as a power of two, where a set is asked once: a byte each, so that they stay in cache.
_ONCE_ROOM_BITS: Final = 3
_SMALL: Final = 64
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


class HashSet:
    """Distinct hashes in tables of slots, one hash a slot; those that find theirs taken go to a further, smaller set.

    Building and asking take a few vector operations each, and linear time: a sorted array would take a search of
    log2(size) steps a question, each of which waits for memory.

    >>> known = HashSet(np.array([3, 1 << 63], dtype=np.uint64))
    >>> known.contains(np.array([1 << 63, 4, 3], dtype=np.uint64))
    array([ True, False,  True])
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        """Build the tables.

        Args:
            hashes: Well mixed in their highest bits, in any order, repeated or not, [m].
        """
        self._further: HashSet | None = None
        self._sorted: NDArray[np.uint64] | None = None
        if len(hashes) <= _SMALL:
            self._sorted = np.sort(hashes)
            return
        bits = min(len(hashes).bit_length() + _ROOM_BITS - 1, _MOST_BITS)
        self._shift = np.uint64(_HASH_BITS - bits)
        self._slots = np.zeros(1 << bits, dtype=np.uint64)
        slots = hashes >> self._shift
        self._slots[slots] = hashes
        homeless = hashes[self._slots[slots] != hashes]
        self._holds_zero = bool((hashes == 0).any())
        if len(homeless):
            self._further = HashSet(_spread_again(homeless))

    def contains(self, queries: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return whether each query is in the set, [q]."""
        if self._sorted is not None:
            return _in_sorted(self._sorted, queries)
        residents = self._slots[queries >> self._shift]
        found: NDArray[np.bool_] = residents == queries
        # An empty slot holds 0, so 0 itself is looked up by hand.
        if not self._holds_zero:
            found &= queries != 0
        if self._further is not None:
            unsure = np.flatnonzero(~found & ((residents != 0) | self._holds_zero))
            found[unsure] = self._further.contains(_spread_again(queries[unsure]))
        return found


def are_among(queries: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each query is among the known hashes, for a set that is asked once, [q].

    Most known hashes share their slot with no query: they are left out before a set is built.

    Args:
        queries: Well mixed in their highest bits, [q].
        known: The same, [m].

    >>> are_among(np.array([7, 8], dtype=np.uint64), np.array([8, 9, 8], dtype=np.uint64))
    array([False,  True])
    """
    shift = np.uint64(_HASH_BITS - min(len(queries).bit_length() + _ONCE_ROOM_BITS, _MOST_BITS))
    is_asked = np.zeros(1 << int(_HASH_BITS - shift), dtype=bool)
    is_asked[queries >> shift] = True
    return HashSet(known[is_asked[known >> shift]]).contains(queries)


def _in_sorted(known: NDArray[np.uint64], queries: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(queries), dtype=bool)
    places = np.searchsorted(known, queries)
    np.minimum(places, len(known) - 1, out=places)
    found: NDArray[np.bool_] = known[places] == queries
    return found


def _spread_again(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return other well-mixed hashes, different for different ones, so that those of one slot part."""
    # Lower bits to the top, then an odd factor: each step can be undone.
    turned = (hashes << np.uint64(32)) | (hashes >> np.uint64(32))
    spread: NDArray[np.uint64] = turned * _SPREAD
    return spread
