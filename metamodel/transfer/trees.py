"""Which models behave alike: average linkage over what transfer costs, or over how far labels agree.

Two distances of models A and B, both means over behaviors and over the two directions:

- transfer: (native bits - foreign bits) / H(F), the share of the label's entropy that is lost when the other's
  metamodel predicts; 0 where each stands in for the other;
- labels: 1 - kappa of the labels, where the two have labels on the same prompts.

A distance below zero, which noise alone makes, counts as zero. Support of a clade: in how many bootstrap draws of
prompts (of the groups into which they were dealt) the tree has a clade of exactly these models (Felsenstein 1985).

Shapes: n = models, g = groups, b = draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.types import FloatArray, IntArray

TREE_DRAWS: Final = 200
_LEAST_MODELS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Clade:
    """Two clades that join.

    Attributes:
        left: Number of one: a model, or n plus the number of an earlier join.
        right: Number of the other.
        distance: Mean distance between their models.
        n_models: Models in both.
        support: Share of draws in which exactly these models are a clade.
    """

    left: int
    right: int
    distance: float
    n_models: int
    support: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelTree:
    """A dendrogram.

    Attributes:
        kind: "transfer" or "labels".
        metamodel: Whose transfer; empty for labels.
        split: On which prompts.
        names: Models, n of them.
        distances: Between models, [n, n].
        clades: Joins, n - 1 of them, nearest first.
        order: Models as they stand side by side.
        n_draws: Draws behind the support.
        left_out: Models without a distance to some other.
    """

    kind: str
    metamodel: str
    split: str
    names: tuple[str, ...]
    distances: FloatArray
    clades: tuple[Clade, ...]
    order: tuple[int, ...]
    n_draws: int
    left_out: tuple[str, ...]


class Distances:
    """Adds up distances over behaviors, and the same in every bootstrap draw."""

    def __init__(self, names: Sequence[str], *, n_draws: int = TREE_DRAWS) -> None:
        """Begin with nothing.

        Args:
            names: Models.
            n_draws: Bootstrap draws.
        """
        n = len(names)
        self.names = tuple(names)
        self.n_draws = n_draws
        self._sum = np.zeros((n, n))
        self._times = np.zeros((n, n), dtype=np.int64)
        self._draws = np.zeros((n_draws, n, n), dtype=np.float32)

    def add(self, values: FloatArray, deviations: FloatArray, rows: IntArray, columns: IntArray, *, seed: int) -> None:
        """Add one behavior's distances from rows to columns; NaN adds nothing.

        Args:
            values: Distances, [rows, columns].
            deviations: Deviations of each group of prompts, [g, rows, columns]; unknown ones count as none.
            rows: Number of each row's model.
            columns: Number of each column's model.
            seed: Fixes the draws; the same prompts must get the same one.
        """
        known = ~np.isnan(values)
        place = np.ix_(rows, columns)
        self._sum[place] += np.where(known, values, 0)
        self._times[place] += known
        weights = group_weights(len(deviations), n_draws=self.n_draws, seed=seed)  # [b, g]
        moved = weights @ np.nan_to_num(deviations).reshape(len(deviations), -1)
        drawn = moved.reshape(self.n_draws, *values.shape) + np.nan_to_num(values)
        everywhere = np.ix_(np.arange(self.n_draws), rows, columns)
        self._draws[everywhere] += np.where(known, drawn, 0).astype(np.float32)

    def tree(self, *, kind: str, metamodel: str, split: str) -> ModelTree | None:
        """Return the dendrogram, None with fewer than three models that all have distances to one another."""
        both = self._times + self._times.T
        kept = _complete(both)
        if len(kept) < _LEAST_MODELS:
            return None
        inside = np.ix_(kept, kept)
        n_times = np.maximum(both[inside], 1)
        mean = _proper((self._sum + self._sum.T)[inside] / n_times)
        joins = average_linkage(mean)
        members = clade_members(joins, len(kept))
        times = np.zeros(len(members))
        for draw in self._draws:
            drawn = average_linkage(_proper((draw + draw.T)[inside] / n_times))
            found = set(clade_members(drawn, len(kept)))
            times += [one in found for one in members]
        from scipy.cluster.hierarchy import leaves_list

        return ModelTree(
            kind=kind,
            metamodel=metamodel,
            split=split,
            names=tuple(self.names[number] for number in kept),
            distances=mean,
            clades=tuple(
                Clade(
                    left=int(left),
                    right=int(right),
                    distance=float(distance),
                    n_models=int(size),
                    support=float(share),
                )
                for (left, right, distance, size), share in zip(joins, times / len(self._draws), strict=True)
            ),
            order=tuple(int(number) for number in leaves_list(joins)),
            n_draws=self.n_draws,
            left_out=tuple(name for number, name in enumerate(self.names) if number not in set(kept)),
        )


def group_weights(n_groups: int, *, n_draws: int, seed: int) -> FloatArray:
    """Return how much more than once each group is drawn, [b, g].

    >>> abs(group_weights(5, n_draws=2, seed=0).sum()) < 1e-9
    np.True_
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_draws)
    return drawn.astype(np.float64) - 1


def average_linkage(distances: FloatArray) -> FloatArray:
    """Return scipy's linkage matrix of a symmetric matrix of distances, [n - 1, 4]."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    return np.asarray(linkage(squareform(distances, checks=False), method="average"), dtype=np.float64)


def clade_members(joins: FloatArray, n_models: int) -> list[frozenset[int]]:
    """Return the models of each join, in order.

    >>> [sorted(one) for one in clade_members(np.array([[0, 1, 0.1, 2], [2, 3, 0.5, 3]]), 3)]
    [[0, 1], [0, 1, 2]]
    """
    members = [frozenset({number}) for number in range(n_models)]
    for left, right, *_ in joins:
        members.append(members[int(left)] | members[int(right)])
    return members[n_models:]


def _proper(values: FloatArray) -> FloatArray:
    """Return distances that are not negative, symmetric, and zero to oneself."""
    found: FloatArray = np.maximum(np.asarray(values + values.T, dtype=np.float64) / 2, 0)
    np.fill_diagonal(found, 0)
    return found


def _complete(times: IntArray) -> list[int]:
    """Return models that all have distances to one another: who lacks most is left out first."""
    kept = list(range(len(times)))
    while len(kept) > 1:
        lacking = (times[np.ix_(kept, kept)] == 0).sum(axis=1) - (np.diag(times)[kept] == 0)
        if lacking.max() == 0:
            break
        kept.pop(int(lacking.argmax()))
    return kept
