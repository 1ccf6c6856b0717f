"""Loops in C that a pre-screen spends its time in, for where the package was installed with a C compiler.

Nothing needs them: each has a numpy twin, which a test holds equal to it.

Shapes: n = texts or rows, e = entries of all texts, b = rows of a table, w = width, t = trees, v = nodes, o = scores.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray


class Kernels(Protocol):
    """The compiled module. Arrays must be C-contiguous and of exactly the types named.

    All raise TypeError or BufferError for an array of another kind, and ValueError where arrays differ in length or
    what they hold points outside of another: nothing outside is ever read or written.
    """

    def count_ngrams(
        self, texts: list[str], n_buckets: int, word_lengths: tuple[int, ...], character_lengths: tuple[int, ...], /
    ) -> tuple[bytearray, bytearray, bytearray]:
        """Return offsets (int64), buckets and counts (int32), see `trainers.inputs.hashing.NGramCounts`."""
        ...

    def weigh_buckets(  # noqa: PLR0913, PLR0917 - an array each
        self,
        offsets: NDArray[np.int64],
        buckets: NDArray[np.int32],
        counts: NDArray[np.int32],
        column_of: NDArray[np.int32],
        idf: NDArray[np.float32],
        count_weights: NDArray[np.float32],
        kept_offsets: NDArray[np.int64],
        columns: NDArray[np.int32],
        weights: NDArray[np.float32],
        /,
    ) -> None:
        """Write into the last three, [n + 1], [e] and [e], what `BagFeatures` makes of counts."""
        ...

    def sum_rows(
        self,
        offsets: NDArray[np.int64],
        columns: NDArray[np.int32],
        weights: NDArray[np.float64],
        table: NDArray[np.float32],
        sums: NDArray[np.float64],
        width: int,
        /,
    ) -> None:
        """Write into `sums`, [n, w], what `trainers.heads.logistic.weighted_sums` returns for a table, [b, w]."""
        ...

    def walk_trees(  # noqa: PLR0913, PLR0917 - an array each
        self,
        roots: NDArray[np.int64],
        reads: NDArray[np.int64],
        numbers: NDArray[np.float64],
        children: NDArray[np.int64],
        baseline: NDArray[np.float64],
        inputs: NDArray[np.float64],
        scores: NDArray[np.float64],
        width: int,
        depth: int,
        /,
    ) -> None:
        """Write into `scores`, [n, o], what `trainers.heads.tree_walk.TreeWalk.scores` returns for inputs, [n, w]."""
        ...


def _compiled() -> Kernels | None:
    try:
        return cast("Kernels", import_module("trainers.native._kernels"))
    except ImportError:  # no compiler where the package was installed
        return None


kernels = _compiled()
