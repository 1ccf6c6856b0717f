"""Boosted trees laid out for prediction: one step takes every prompt down one level of every tree at once.

Shapes: n = prompts, d = features, o = scores a prompt, t = trees, v = nodes of all trees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray
from trainers import native

LEAF = -1
# One step visits so many nodes at once: their arrays stay in a core's cache.
_VISITS = 2**16
_FEWEST_ROWS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class TreeWalk:
    """Trees whose nodes name their children by position; a leaf names itself, so that a walk may overstep.

    Attributes:
        baseline: Scores before the first tree, [o].
        roots: First node of each tree, [t]; tree i adds to score i mod o.
        reads: Feature that a node reads, 0 for a leaf, [v].
        numbers: A split's threshold, a leaf's value, [v].
        children: Left and right child of each node, one after the other, [2 v].
        depth: Steps to the deepest leaf.
    """

    baseline: FloatArray
    roots: IntArray
    reads: IntArray
    numbers: FloatArray
    children: IntArray
    depth: int

    @classmethod
    def of(
        cls,
        *,
        baseline: FloatArray,
        sizes: NDArray[np.int32],
        features: NDArray[np.int32],
        rights: NDArray[np.int32],
        numbers: FloatArray,
    ) -> TreeWalk:
        """Lay out trees that are kept as `TreeHead` says."""
        roots = np.cumsum(sizes.astype(np.int64)) - sizes
        is_split = features != LEAF
        places = np.arange(len(features))
        children = np.stack([places + is_split, places + rights], axis=1)  # [v, 2]
        depth, level = 0, roots[is_split[roots]]
        while len(level):
            depth += 1
            below = children[level].ravel()
            level = below[is_split[below]]
        return cls(
            baseline=baseline,
            roots=roots,
            reads=np.maximum(features, 0).astype(np.int64),
            numbers=numbers.astype(np.float64),
            children=children.ravel(),
            depth=depth,
        )

    def scores(self, features: FloatArray) -> FloatArray:
        """Return the sums of leaves, [n, o]; a row never depends on the others."""
        # As in training: single precision, where the thresholds are exact.
        inputs = features.astype(np.float32).astype(np.float64)
        n_rows = max(_VISITS // max(len(self.roots), 1), _FEWEST_ROWS)
        if len(inputs) <= n_rows:
            return self._scores(inputs)
        return np.concatenate([self._scores(inputs[start : start + n_rows]) for start in range(0, len(inputs), n_rows)])

    def _scores(self, inputs: FloatArray) -> FloatArray:
        """Return the sum of the leaves that each row falls into, [n, o]; summed in order, whatever the batch."""
        n, width = inputs.shape
        first = np.repeat(self.baseline[None], n, axis=0)
        if not len(self.roots) or not n:
            return first
        if native.kernels is not None:
            native.kernels.walk_trees(
                self.roots,
                self.reads,
                self.numbers,
                self.children,
                self.baseline,
                np.ascontiguousarray(inputs),
                first,
                width,
                self.depth,
            )
            return first
        flat = inputs.ravel()
        nodes = np.repeat(self.roots[None], n, axis=0)  # [n, t]
        offsets = (np.arange(n) * width)[:, None]
        for _ in range(self.depth):
            values = flat.take(self.reads.take(nodes) + offsets)
            goes_right = values > self.numbers.take(nodes)
            nodes += nodes
            nodes += goes_right
            nodes = self.children.take(nodes)
        leaves = self.numbers.take(nodes).reshape(n, -1, len(self.baseline))
        # An accumulation runs in order; a sum may not, and then rounds otherwise for another batch.
        terms = np.concatenate([first[:, None, :], leaves], axis=1)
        scores: FloatArray = np.add.accumulate(terms, axis=1)[:, -1]
        return scores
