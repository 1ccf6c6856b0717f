"""Boosted trees beside the tower of `joint`: where difficulty bends, a straight line through it cannot follow.

Shapes: n = prompts, d = counted features, r = factors, k = factors with trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from metamodel.errors import DataError
from metamodel.types import FloatArray
from trainers.artifacts.artifact import WEIGHTS_FILE, Artifact, Tensor
from trainers.fitting.domain_folds import DomainFold
from trainers.heads.tree_walk import TreeWalk
from trainers.heads.trees import TreeHead, whole_numbers
from trainers.inputs.dense import Standardizer

# Few leaves, many rounds and strong shrinkage: what carries over to other domains is simple.
_ROUNDS, _LEAVES, _LEARNING_RATE, _L2, _LEAST_PROMPTS, _FEATURE_SHARE, _BINS = 100, 6, 0.08, 10.0, 60, 0.3, 63
# Fewer prompts than these leave trees nothing to tell apart.
FEWEST_PROMPTS = 500
# Weights of the trees' prediction beside the tower's that are tried.
SHARES = (0.0, 0.25, 0.5, 0.75)
_PARTS = ("baseline", "sizes", "features", "rights", "numbers")


@dataclass(frozen=True, kw_only=True)
class FactorTrees:
    """Trees for the leading factors.

    Attributes:
        heads: One regression a factor, k of them.
        shares: Weight of each in the mean with the tower's factor, [k].
    """

    heads: tuple[TreeHead, ...] = ()
    shares: FloatArray

    @classmethod
    def none(cls) -> FactorTrees:
        """Return no trees."""
        return cls(shares=np.zeros(0))

    @classmethod
    def from_artifact(cls, artifact: Artifact, *, n_features: int, n_factors: int) -> FactorTrees:
        """Read the tensors that `tensors` named.

        Raises:
            DataError: One is missing, or describes no trees.
        """
        shares = artifact.floats("tree_shares", (None,))
        if len(shares) > n_factors or (shares < 0).any() or (shares > 1).any():
            raise DataError(
                f"{WEIGHTS_FILE}: tree_shares must hold at most {n_factors} shares from 0 to 1: train again"
            )
        heads = tuple(_read_head(artifact, number, n_features) for number in range(len(shares)))
        return cls(heads=heads, shares=shares)

    def tensors(self) -> dict[str, Tensor]:
        """Return what an artifact keeps."""
        tensors: dict[str, Tensor] = {"tree_shares": self.shares.astype(np.float32)}
        for number, head in enumerate(self.heads):
            tensors |= {f"tree_{part}.{number}": head.tensors(0)[f"{part}.0"] for part in _PARTS}
        return tensors

    @cached_property
    def _walks(self) -> tuple[TreeWalk, ...]:
        return tuple(head.walk() for head in self.heads)

    def blended(self, factors: FloatArray, features: FloatArray) -> FloatArray:
        """Return the factors, [n, r], the leading ones averaged with what trees make of the features, [n, d]."""
        out = factors.copy()
        for number, walk in enumerate(self._walks):
            share = self.shares[number]
            out[:, number] = (1 - share) * factors[:, number] + share * walk.scores(features)[:, 0]
        return out


class TreesFit(NamedTuple):
    """Trees and the factors that they give where they had not been fitted.

    Attributes:
        trees: Fitted on all prompts.
        factors: Blended, each prompt's by trees that saw neither its text nor, under shift, its domain, [n, r].
    """

    trees: FactorTrees
    factors: FloatArray


def counted_features(standardizer: Standardizer, raw: FloatArray, n_counted: int) -> FloatArray:
    """Return what trees read: the features that are counted, on one scale, [n, d]."""
    return np.ascontiguousarray(standardizer.apply(raw)[:, :n_counted])


def fit_factor_trees(
    features: FloatArray,
    targets: FloatArray,
    tower_factors: FloatArray,
    folds: Sequence[DomainFold],
    *,
    n_factors: int,
    seed: int,
) -> TreesFit:
    """Fit trees for the leading factors; how much each counts has the least squared error on left-out folds.

    Args:
        features: Counted features, [n, d].
        targets: What the factors stand for, [n, r].
        tower_factors: The tower's, each predicted where it had not been fitted, [n, r].
        folds: They judge each prompt once.
        n_factors: Most factors that get trees.
        seed: Seed of the splits' choice of features.
    """
    kept = min(n_factors, targets.shape[1]) if len(features) >= FEWEST_PROMPTS and features.shape[1] else 0
    blended, heads, shares = tower_factors.copy(), [], []
    for number in range(kept):
        left_out = np.zeros(len(features))
        for fold in folds:
            head = _fitted(features[fold.fit], targets[fold.fit, number], seed)
            left_out[fold.judge] = head.scores(features[fold.judge])[:, 0]
        tower = tower_factors[:, number]
        mixes = [(1 - share) * tower + share * left_out for share in SHARES]
        best = int(np.argmin([((mix - targets[:, number]) ** 2).sum() for mix in mixes]))
        blended[:, number] = mixes[best]
        shares.append(SHARES[best])
        heads.append(_fitted(features, targets[:, number], seed))
    return TreesFit(trees=FactorTrees(heads=tuple(heads), shares=np.array(shares)), factors=blended)


def _fitted(features: FloatArray, target: FloatArray, seed: int) -> TreeHead:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(
        max_iter=_ROUNDS,
        max_leaf_nodes=_LEAVES,
        learning_rate=_LEARNING_RATE,
        l2_regularization=_L2,
        min_samples_leaf=_LEAST_PROMPTS,
        max_features=_FEATURE_SHARE,
        max_bins=_BINS,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    with threadpool_limits(limits=1, user_api="openmp"):
        model.fit(features.astype(np.float32), target)
    return TreeHead.from_sklearn(model, n_iterations=_ROUNDS).in_single_precision()


def _read_head(artifact: Artifact, number: int, n_features: int) -> TreeHead:
    whole = {part: whole_numbers(artifact, f"tree_{part}.{number}") for part in ("sizes", "features", "rights")}
    head = TreeHead(
        outcomes=np.arange(2, dtype=np.int32),
        baseline=artifact.floats(f"tree_baseline.{number}", (1,)),
        numbers=artifact.floats(f"tree_numbers.{number}", (None,)),
        **whole,
    )
    problem = head.problem(n_features)
    if problem:
        raise DataError(f"{WEIGHTS_FILE}: the trees of factor {number} {problem}: train again")
    return head
