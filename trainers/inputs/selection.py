"""Which features keep their association with the labels from one training domain to the next.

A cue that tells domains apart, or that works in a single domain, is the first thing to fail on a domain never seen.
Association is therefore measured within domains only, and counts as much as it does without the domains that speak for
it most: in the spirit of invariant prediction (Peters, Buehlmann and Meinshausen, Causal inference by using invariant
prediction, 2016), feature by feature.

Shapes: n = prompts, b = features, q = numbers that a behavior's labels come to, g = groups of domains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.labels import Categorical, LabeledPrompts, LabelTable
from metamodel.types import FloatArray, IntArray
from trainers.fitting.domain_folds import domain_folds
from trainers.heads.outcomes import outcome_shares

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Domains are left out in at most so many groups.
N_GROUPS = 8
# What more prompts would add to a ranking is not worth their time.
MOST_PROMPTS = 20_000


def spread_rows(n: int, most: int = MOST_PROMPTS) -> IntArray:
    """Return at most so many of the numbers below n, evenly spread.

    >>> spread_rows(5, 3).tolist(), spread_rows(2, 3).tolist(), spread_rows(0, 3).tolist()
    ([0, 2, 4], [0, 1], [])
    """
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, most)).astype(np.int64))


def most_stable(
    features: csr_array[np.float32], prompts: LabeledPrompts, *, most: int, expects_shift: bool, seed: int
) -> IntArray:
    """Return the columns that serve some behavior best across domains, rising; at most so many.

    Each behavior ranks all columns by how stable they are, and a column counts by its best rank: a behavior with few
    labels gets its share. Columns that serve none are dropped even where there is room.

    Args:
        features: What occurs in each prompt, [n, b]; only whether an entry is above 0 counts.
        prompts: The n prompts.
        most: Most columns.
        expects_shift: Whether domains are left out; else groups of prompts are, and what tells domains apart may stay.
        seed: Seed of the groups.
    """
    folds = domain_folds(prompts.texts, prompts.domains, expects_shift=expects_shift, seed=seed, n_folds=N_GROUPS)
    groups = [_Group.of(features, fold.judge) for fold in folds]
    strata = np.unique(prompts.domains, return_inverse=True)[1] if expects_shift else np.zeros(len(prompts), np.int64)
    best_rank = np.full(features.shape[1], features.shape[1], dtype=np.int64)
    for table in prompts.labels.values():
        scores = _stable_scores(groups, table, strata, width=features.shape[1])
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        best_rank[order] = np.minimum(best_rank[order], np.arange(len(order)))
    chosen = np.argsort(best_rank, kind="stable")[: min(most, np.count_nonzero(best_rank < len(best_rank)))]
    return np.sort(chosen)


class _Group(NamedTuple):
    """Some domains' prompts: their row numbers, and 1 where a feature occurs in one of them."""

    rows: IntArray
    present: csr_array[np.float32]

    @classmethod
    def of(cls, features: csr_array[np.float32], rows: IntArray) -> _Group:
        """Cut one group."""
        present = features[rows]
        present.data = (present.data > 0).astype(np.float32)
        return cls(rows, present)


def _stable_scores(groups: Sequence[_Group], table: LabelTable, strata: IntArray, *, width: int) -> FloatArray:
    """Return how surely each feature is associated with a behavior whichever group of domains is left out, [b].

    U_g = sum over the group's prompts with the feature of y - (mean y of the prompt's domain), V_g = its variance if
    the feature were dealt at random within the group, and Z(S) = sum over S of U_g / sqrt(sum over S of V_g), as the
    Cochran-Mantel-Haenszel statistic pools strata (Mantel and Haenszel, Statistical aspects of the analysis of data
    from retrospective studies of disease, 1959). The score is the smallest Z without one group, in the direction of Z
    over all, and 0 where leaving a group out turns the direction; over several numbers y it is the largest. Leaving out
    is ours; V_g takes the group for one stratum, which is too large, never too small, for a feature of few domains.

    Args:
        groups: Groups of domains; a single one leaves nothing out.
        table: One behavior's labels of the n prompts.
        strata: Number of each prompt's domain, [n].
        width: Number of features (b).
    """
    rows, shares = outcome_shares(table)
    is_labeled = np.zeros(len(strata), dtype=bool)
    is_labeled[rows] = True
    scores = np.zeros(width)
    for values in _numbers(table, shares):
        residuals = np.zeros(len(strata))
        residuals[rows] = _centred(values, strata[rows])
        found = [_association(group, residuals[group.rows], is_labeled[group.rows]) for group in groups]
        if found:
            scores = np.maximum(scores, _smallest_without_one(*map(np.array, zip(*found, strict=True))))
    return scores


def _numbers(table: LabelTable, shares: FloatArray) -> Iterator[FloatArray]:
    """Yield each prompt's labels as numbers: the share of each class, or of ordered outcomes the mean."""
    if isinstance(table.space, Categorical):
        yield from shares.T
    else:
        yield shares @ np.arange(shares.shape[1])


def _centred(values: FloatArray, strata: IntArray) -> FloatArray:
    """Return values less the mean of their stratum, [m]."""
    sizes = np.maximum(np.bincount(strata), 1)
    centred: FloatArray = values - (np.bincount(strata, weights=values) / sizes)[strata]
    return centred


def _association(group: _Group, residuals: FloatArray, is_labeled: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return U and V of each feature in a group, [b] each."""
    n = int(is_labeled.sum())
    mean = residuals.sum() / max(n, 1)
    around = np.where(is_labeled, residuals - mean, 0.0)
    columns = np.stack([is_labeled, around], axis=1).astype(np.float32)
    n_with, u = (group.present.T @ columns).T.astype(np.float64)  # [b] each
    return u, n_with * (n - n_with) / max(n - 1, 1) * (around**2).sum() / max(n, 1)


def _smallest_without_one(u: FloatArray, v: FloatArray) -> FloatArray:
    """Return the smallest Z without one group in the direction of Z over all, at least 0, [b]."""
    # A hundredth of the largest variance more, so that a feature of two prompts is never sure.
    floor = 0.01 * v.sum(axis=0).max(initial=0) + 1e-12
    direction = np.sign(u.sum(axis=0))
    if len(u) > 1:
        u, v = u.sum(axis=0) - u, v.sum(axis=0) - v
    smallest: FloatArray = (direction * u / np.sqrt(v + floor)).min(axis=0)
    return np.maximum(smallest, 0.0)
