"""The longest run of units that two texts share, for many pairs of texts at once.

Ground floor: nothing here imports another module of the project but ground floors.

Shapes in this file: n = rows, m = units, h = windows that may still grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metamodel.analysis.hash_sets import HashSet
from metamodel.analysis.ngrams import Hashes, Units, joined
from metamodel.types import IntArray


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Windows of one width on one side of the comparison.

    Attributes:
        hashes: Hash of the window that begins at each unit, [m] or a little less.
        begins: Windows that also stand on the other side, [h], rising.
        owners: What each of them is compared within: a row or a source, [h].
    """

    hashes: Hashes
    begins: IntArray
    owners: IntArray

    def doubled(self, width: int) -> _Windows:
        """Return windows of twice the width: two that stand side by side."""
        kept = _followed(self.begins, self.owners, width)
        hashes = joined(self.hashes[:-width], self.hashes[width:])
        return _Windows(hashes=hashes, begins=self.begins[kept], owners=self.owners[kept])

    def take(self, kept: NDArray[np.bool_]) -> _Windows:
        """Return some of the windows."""
        return replace(self, begins=self.begins[kept], owners=self.owners[kept])

    def keys(self, owners: IntArray) -> Hashes:
        """Return hashes that differ between owners too, [h]."""
        return joined(self.hashes[self.begins], owners.astype(np.uint64))


def longest_common_runs(outputs: Units, sources: Units, source_of_row: IntArray) -> IntArray:
    """Return how many units in a row each output shares with its source, at most, [n].

    The width doubles for as long as a row has windows in common with its source, and is then refined by halves
    (binary lifting): a window can be shared only if the shorter ones in it are, so few windows are left after the
    first steps. Time is linear in the units, times the logarithm of the longest run.

    Args:
        outputs: Units of the outputs.
        sources: Units of the texts that they may copy.
        source_of_row: Source of each output, [n].
    """
    longest = np.zeros(len(source_of_row), dtype=np.int64)
    mine = _Windows(hashes=outputs.codes, begins=np.arange(len(outputs.codes)), owners=outputs.rows)
    theirs = _Windows(hashes=sources.codes, begins=np.arange(len(sources.codes)), owners=sources.rows)
    mine, theirs = _shared(mine, theirs, source_of_row)
    width = 1
    while len(mine.begins):
        wider = _shared(mine.doubled(width), theirs.doubled(width), source_of_row)
        grows = np.zeros(len(longest), dtype=bool)
        grows[wider[0].owners] = True
        longest[mine.owners] = width
        done = mine.take(~grows[mine.owners])
        if len(done.begins) and width > 1:
            _refine(longest, done, _for_rows(theirs, np.unique(done.owners), source_of_row), width)
        mine, theirs = wider
        width *= 2
    return longest


def _shared(mine: _Windows, theirs: _Windows, source_of_row: IntArray) -> tuple[_Windows, _Windows]:
    """Return the windows of each side that stand on the other side too."""
    wanted, offered = mine.keys(source_of_row[mine.owners]), theirs.keys(theirs.owners)
    mine = mine.take(HashSet(offered).contains(wanted))
    return mine, theirs.take(HashSet(wanted).contains(offered))


def _for_rows(theirs: _Windows, rows: IntArray, source_of_row: IntArray) -> _Windows:
    """Return the windows of each row's source, owned by the row: two rows may go on with different widths."""
    sources = source_of_row[rows]
    first = np.searchsorted(theirs.owners, sources)
    counts = np.searchsorted(theirs.owners, sources, side="right") - first
    before = np.cumsum(counts) - counts
    places = np.arange(counts.sum()) + np.repeat(first - before, counts)
    return replace(theirs, begins=theirs.begins[places], owners=np.repeat(rows, counts))


def _refine(longest: IntArray, mine: _Windows, theirs: _Windows, width: int) -> None:
    """Widen rows that share windows of `width` but none of twice that, by width / 2, width / 4 and so on, in place."""
    step = width // 2
    while step:
        my_wider, my_keys = _widened(mine, longest, step, width)
        their_wider, their_keys = _widened(theirs, longest, step, width)
        my_shared = my_wider.take(HashSet(their_keys).contains(my_keys))
        their_shared = their_wider.take(HashSet(my_keys).contains(their_keys))
        grows = np.zeros(len(longest), dtype=bool)
        grows[my_shared.owners] = True
        longest[grows] += step
        mine = _merged(mine.take(~grows[mine.owners]), my_shared)
        theirs = _merged(theirs.take(~grows[theirs.owners]), their_shared)
        step //= 2


def _widened(windows: _Windows, longest: IntArray, step: int, width: int) -> tuple[_Windows, Hashes]:
    """Return the windows that may be `step` wider than their row's longest, with a hash of first and last part."""
    wider = windows.take(_followed(windows.begins, windows.owners, step))
    last = wider.begins + longest[wider.owners] + step - width
    return wider, joined(wider.keys(wider.owners), wider.hashes[last])


def _merged(one: _Windows, other: _Windows) -> _Windows:
    begins, owners = np.concatenate([one.begins, other.begins]), np.concatenate([one.owners, other.owners])
    order = np.lexsort((begins, owners))
    return replace(one, begins=begins[order], owners=owners[order])


def _followed(begins: IntArray, owners: IntArray, distance: int) -> NDArray[np.bool_]:
    """Return whether each window's owner has another one `distance` units further on, [h]."""
    if not len(begins):
        return np.zeros(0, dtype=bool)
    # Owners rise, and within an owner the begins do, so the places do too.
    span = int(begins.max()) + distance + 1
    places = owners * span + begins
    sought = places + distance
    found = np.searchsorted(places, sought)
    np.minimum(found, len(places) - 1, out=found)
    is_there: NDArray[np.bool_] = places[found] == sought
    return is_there
