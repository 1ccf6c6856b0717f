"""From what a metamodel predicts to bins of prompts, and what a partition that knows nothing would explain.

Shapes: n = prompts, c = outcomes of a behavior, b = bins, s = permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metamodel.labels import LabelSpace
from metamodel.output_information.estimator import CrossScores, Influenced, partitions_information
from metamodel.types import FloatArray, IntArray

# Numbers in one block of permuted partitions: 32 MB.
_BLOCK_NUMBERS = 4_000_000
_PROMPTS_A_BIN = 8


class Chance(NamedTuple):
    """What partitions with the same bin sizes, but shuffled prompts, explain.

    Attributes:
        mean: Their mean, with the mean influence of every prompt.
        bits: Each of them, [s].
    """

    mean: Influenced
    bits: FloatArray


def positions(probabilities: FloatArray, space: LabelSpace) -> FloatArray:
    """Return where predictions lie among a behavior's outcomes, one number a prompt, [n].

    Where outcomes have an order (binary, count, real) it is the expected number of the outcome, else the number of the
    likeliest outcome plus the doubt about it, so that prompts with one likeliest outcome lie together, surest first.

    Args:
        probabilities: Predicted distributions, [n, c].
        space: The behavior's label space.
    """
    outcomes = np.arange(probabilities.shape[1])
    if space.kind != "categorical":
        expected: FloatArray = probabilities @ outcomes
        return expected
    likeliest: FloatArray = probabilities.argmax(axis=1) + 1.0 - probabilities.max(axis=1)
    return likeliest


def quantile_bins(values: FloatArray, *, n_bins: int) -> IntArray:
    """Return the bin of each value by its rank, [n]: bins of equal size where values are distinct.

    Equal values share the bin of their mean rank, so that a constant fills one and a few others keep one of their own;
    where there are no more distinct values than bins, each has its own. Outputs are not looked at.

    >>> quantile_bins(np.array([0.1, 0.2, 0.3, 0.4]), n_bins=2).tolist()
    [0, 0, 1, 1]
    >>> quantile_bins(np.array([0.0] * 9 + [0.2, 0.3]), n_bins=2).tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    # Rounding of the last digits must not part prompts of which the same was predicted.
    distinct, places, times = np.unique(np.round(values, 9), return_inverse=True, return_counts=True)
    if len(distinct) <= n_bins:
        return places.astype(np.int64)
    mean_ranks = (times.cumsum() - times / 2) / len(values)
    return compact((n_bins * mean_ranks).astype(np.int64)[places])


def bins_within(values: FloatArray, groups: IntArray, *, n_bins: int) -> IntArray:
    """Return bins between the quantiles of each group's own values, numbered anew in every group, [n].

    Args:
        values: One a prompt, [n].
        groups: Group of each prompt, [n].
        n_bins: Most bins of a group; a small one has a bin for every eight prompts, but at least two.
    """
    bins = np.zeros(len(values), dtype=np.int64)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        bins[mine] = quantile_bins(values[mine], n_bins=_bins_of(len(mine), n_bins))
    return bins


def clustered_bins(features: FloatArray, *, n_bins: int, seed: int) -> IntArray:
    """Return the cluster of each prompt by several behaviors' predictions at once, [n].

    K-means of square roots of probabilities, whose Euclidean distance is Hellinger's up to a factor.

    Args:
        features: Square roots of all probabilities, [n, .].
        n_bins: Most clusters.
        seed: Fixes the clusters.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    n_distinct = len(np.unique(np.round(features, 9), axis=0))
    if n_distinct == 1:
        return np.zeros(len(features), dtype=np.int64)
    with threadpool_limits(limits=1):
        found = KMeans(n_clusters=min(n_bins, n_distinct), n_init=4, random_state=seed).fit(features)
    return compact(found.labels_.astype(np.int64))


def clustered_within(features: FloatArray, groups: IntArray, *, n_bins: int, seed: int) -> IntArray:
    """Return clusters of each group's own prompts, numbered anew in every group, [n]; sizes as of `bins_within`."""
    bins = np.zeros(len(features), dtype=np.int64)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        bins[mine] = clustered_bins(features[mine], n_bins=_bins_of(len(mine), n_bins), seed=seed)
    return bins


def _bins_of(n_prompts: int, n_bins: int) -> int:
    """Return into how many bins so many prompts of one group go."""
    return min(n_bins, max(2, n_prompts // _PROMPTS_A_BIN))


def compact(bins: IntArray) -> IntArray:
    """Number the bins that occur from 0.

    >>> compact(np.array([7, 3, 7])).tolist()
    [1, 0, 1]
    """
    return np.unique(bins, return_inverse=True)[1].astype(np.int64)


def joined(groups: IntArray, bins: IntArray) -> IntArray:
    """Return the partition by both, [n]."""
    return compact(groups * (int(bins.max()) + 1) + bins)


def by_chance(
    cross: CrossScores, bins: IntArray, *, groups: IntArray | None = None, n_permutations: int, seed: int
) -> Chance:
    """Return what B explains when its values are dealt out at random, bin sizes kept.

    Such a partition explains more than nothing: by the bias of small bins, and rightly so where an output nearly gives
    its prompt away, since any function of the prompt can then be read off the output.

    Args:
        cross: The matrix.
        bins: Value of B for each prompt, [n].
        groups: Prompts only change places within these, [n]; then it is the partition by group and B together.
        n_permutations: Shuffles s.
        seed: Fixes them.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(bins), dtype=np.int64) if groups is None else compact(groups)
    members: Sequence[IntArray] = [np.flatnonzero(held == group) for group in range(int(held.max()) + 1)]
    n_bins = int(joined(held, bins).max()) + 1
    at_once = max(1, _BLOCK_NUMBERS // (n_bins * max(cross.scores.shape)))
    bits, influence = [], np.zeros(cross.n_prompts)
    for start in range(0, n_permutations, at_once):
        shuffled = np.empty((min(at_once, n_permutations - start), len(bins)), dtype=np.int64)
        for row in shuffled:
            for mine in members:
                row[mine] = rng.permutation(bins[mine])
            row[:] = joined(held, row)
        found, contributions = partitions_information(cross, shuffled)
        bits.append(found)
        influence += contributions.sum(axis=0)
    all_bits = np.concatenate(bits)
    return Chance(Influenced(float(all_bits.mean()), influence / n_permutations), all_bits)
