"""Gradient boosted trees on outcome shares, fitted by scikit-learn, kept as plain tensors, predicted by numpy.

Shapes: n = prompts, m = prompts with at least one label, d = features, s = outcomes seen in training, c = outcomes,
o = scores a prompt (1 for two outcomes, else s), t = trees, v = nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.types import FloatArray, IntArray
from trainers.artifacts.artifact import WEIGHTS_FILE, Artifact, Tensor
from trainers.heads.outcomes import softmax
from trainers.heads.tree_walk import LEAF, TreeWalk

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

# Values that a feature is told apart by: more cost time and fit noise.
_BINS = 31
# Beyond it a sum of leaves could leave the range of numbers.
_LARGEST = 1e30


class TreeHead(NamedTuple):
    """One behavior's boosted trees, all nodes one after the other, each tree in preorder.

    The left child of a split is the next node, so only the right one is kept, and a walk can never turn back.

    Attributes:
        outcomes: The outcomes that training had, rising, [s].
        baseline: Scores before the first tree, [o]; empty where nothing was learned.
        sizes: Nodes of each tree, [t]; tree i adds to score i mod o.
        features: Feature that a split reads, -1 for a leaf, [v].
        rights: Steps from a split to its right child, 0 for a leaf, [v].
        numbers: A split's threshold (a feature up to it goes left), a leaf's value, [v].
    """

    outcomes: NDArray[np.int32]
    baseline: FloatArray
    sizes: NDArray[np.int32]
    features: NDArray[np.int32]
    rights: NDArray[np.int32]
    numbers: FloatArray

    @classmethod
    def from_sklearn(
        cls,
        model: HistGradientBoostingClassifier | HistGradientBoostingRegressor,
        *,
        n_iterations: int,
        edges: FloatArray | None = None,
    ) -> TreeHead:
        """Read the first `n_iterations` rounds of a fitted model: the same scores as its own.

        A regression's one score is that of the second of two outcomes.

        Args:
            model: Fitted to features, or to their bins.
            n_iterations: Rounds to read.
            edges: Where the model was fitted to bins: highest value of each bin, [d, bins]; None else.
        """
        # scikit-learn has no public access to its trees; a test compares the predictions.
        trees = [tree.nodes for round_ in model._predictors[:n_iterations] for tree in round_]  # noqa: SLF001 - see above
        nodes = np.concatenate(trees)
        sizes = np.array([len(tree) for tree in trees], dtype=np.int32)
        is_leaf = nodes["is_leaf"].astype(bool)
        within = np.arange(len(nodes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        thresholds = nodes["num_threshold"]
        if edges is not None:  # a bin up to t is a value up to the highest of bin floor(t)
            bins = np.where(is_leaf, 0, thresholds).astype(np.int64)
            thresholds = edges[np.where(is_leaf, 0, nodes["feature_idx"]), bins]
        return cls(
            outcomes=np.asarray(getattr(model, "classes_", (0, 1)), dtype=np.int32),
            baseline=np.ravel(model._baseline_prediction).astype(np.float64),  # noqa: SLF001 - see above
            sizes=sizes,
            features=np.where(is_leaf, LEAF, nodes["feature_idx"]).astype(np.int32),
            rights=np.where(is_leaf, 0, nodes["right"].astype(np.int64) - within).astype(np.int32),
            numbers=np.where(is_leaf, nodes["value"], thresholds).astype(np.float64),
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact, index: int, *, n_features: int) -> TreeHead:
        """Read the tensors that `tensors` named.

        Raises:
            DataError: One is missing, of another type or shape, or describes no trees.
        """
        n_outcomes = len(list(artifact.spaces.values())[index].outcomes)
        outcomes = artifact.indices(f"outcomes.{index}", (None,), below=n_outcomes)
        head = cls(
            outcomes=outcomes.astype(np.int32),
            baseline=artifact.floats(f"baseline.{index}", (None,)),
            sizes=whole_numbers(artifact, f"sizes.{index}"),
            features=whole_numbers(artifact, f"features.{index}"),
            rights=whole_numbers(artifact, f"rights.{index}"),
            numbers=artifact.floats(f"numbers.{index}", (None,)),
        )
        problem = head.problem(n_features)
        if problem:
            raise DataError(f"{WEIGHTS_FILE}: the trees of behavior {index} {problem}: train again")
        return head

    def problem(self, n_features: int) -> str:
        """Return what makes these no trees over so many features; nothing where they are."""
        sizes, rights = self.sizes.astype(np.int64), self.rights.astype(np.int64)
        n_nodes, n_scores = len(self.features), len(self.baseline)
        fits = ((sizes >= 1) & (sizes <= n_nodes)).all() and sizes.sum() == n_nodes
        if not fits or len(rights) != n_nodes or len(self.numbers) != n_nodes:
            return "differ in their numbers of nodes"
        wanted = (len(self.outcomes),) if len(self.outcomes) > 2 else (0, 1)  # noqa: PLR2004 - two outcomes share a score
        if n_scores not in (0, *wanted) or (n_scores and len(self.outcomes) < 2) or len(sizes) % max(n_scores, 1):  # noqa: PLR2004 - one outcome needs none
            return "do not fit the outcomes"
        if not n_scores and n_nodes:
            return "add to no score"
        if (self.features < LEAF).any() or (self.features >= n_features).any():
            return f"read a feature that is not among {n_features}"
        if (abs(self.numbers) > _LARGEST).any() or (abs(self.baseline) > _LARGEST).any():
            return "hold numbers too large to sum"
        return "" if _are_preorder(sizes, self.features, rights) else "do not branch as trees do"

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        return {
            f"outcomes.{index}": self.outcomes,
            f"baseline.{index}": self.baseline.astype(np.float32),
            f"sizes.{index}": self.sizes,
            f"features.{index}": self.features,
            f"rights.{index}": self.rights,
            f"numbers.{index}": self.numbers.astype(np.float32),
        }

    def in_single_precision(self) -> TreeHead:
        """Return the trees with numbers as they are stored, so that they predict the same before and after.

        Thresholds are rounded down: a feature that is itself in single precision stays on its side.
        """
        rounded = self.numbers.astype(np.float32)
        too_high = (self.features != LEAF) & (rounded > self.numbers)
        rounded[too_high] = np.nextafter(rounded[too_high], np.float32(-np.inf))
        baseline = self.baseline.astype(np.float32).astype(np.float64)
        return self._replace(numbers=rounded.astype(np.float64), baseline=baseline)

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]: outcomes never seen in training keep their prior, the others share the rest."""
        return self.prepared().predict(features, prior)

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the probabilities of the outcomes that training had, [n, s]."""
        return self.prepared().probabilities(features)

    def scores(self, features: FloatArray) -> FloatArray:
        """Return the sums of leaves, [n, o]; a row never depends on the others."""
        return self.walk().scores(features)

    def walk(self) -> TreeWalk:
        """Return the trees laid out for prediction."""
        return TreeWalk.of(
            baseline=self.baseline,
            sizes=self.sizes,
            features=self.features,
            rights=self.rights,
            numbers=self.numbers,
        )

    def prepared(self) -> PreparedTrees:
        """Return what predicts the same many times."""
        return PreparedTrees(outcomes=self.outcomes, walk=self.walk())


class PreparedTrees(NamedTuple):
    """Trees laid out once, for many predictions.

    Attributes:
        outcomes: The outcomes that training had, rising, [s].
        walk: The trees.
    """

    outcomes: NDArray[np.int32]
    walk: TreeWalk

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c], see `TreeHead.predict`."""
        probabilities = np.repeat(prior[None], len(features), axis=0)
        if len(self.walk.baseline):
            probabilities[:, self.outcomes] = self.probabilities(features) * prior[self.outcomes].sum()
        return probabilities

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the probabilities of the outcomes that training had, [n, s]."""
        scores = self.walk.scores(features)
        if scores.shape[1] == 1:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        return softmax(scores)


@dataclass(frozen=True, kw_only=True)
class TreeFamily:
    """Boosted trees by scikit-learn (Ke et al., LightGBM, 2017), few leaves and many rounds.

    A strength is a number of leaves with a number of rounds. The rounds of one fit are its own first rounds, so that
    several strengths cost one fit.

    Attributes:
        leaves: Most leaves of a tree, rising.
        rounds: Rounds of boosting, rising.
        learning_rate: Step of each round.
        l2: Penalty of leaf values.
        min_prompts: Fewest rows of a leaf.
        feature_share: Share of features that a split may choose from.
        most_trees: Most trees of a fit: with many outcomes, each of which needs one a round, there are fewer rounds.
    """

    leaves: tuple[int, ...]
    rounds: tuple[int, ...]
    learning_rate: float = 0.1
    l2: float = 50.0
    min_prompts: int = 50
    feature_share: float = 0.3
    most_trees: int = 600

    @property
    def n_strengths(self) -> int:
        """Number of strengths."""
        return len(self.leaves) * len(self.rounds)

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[TreeHead]:
        """Yield one head a strength, fewest leaves first and of these fewest rounds first."""
        for n_leaves in self.leaves:
            yield from self._fit_rounds(features, shares, n_leaves, self.rounds, seed)

    def fit_one(self, features: FloatArray, shares: FloatArray, position: int, *, seed: int) -> TreeHead:
        """Return the head of one strength, by its position in what `fit` yields."""
        n_leaves, n_rounds = divmod(position, len(self.rounds))
        return next(
            self._fit_rounds(features, shares, self.leaves[n_leaves], self.rounds[n_rounds : n_rounds + 1], seed)
        )

    def read(self, artifact: Artifact, index: int, *, width: int) -> TreeHead:
        """Read back one head."""
        return TreeHead.from_artifact(artifact, index, n_features=width)

    def _fit_rounds(
        self, features: FloatArray, shares: FloatArray, n_leaves: int, rounds: tuple[int, ...], seed: int
    ) -> Iterator[TreeHead]:
        """Yield one head for each number of rounds of a single fit."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        rows, labels = np.nonzero(shares)
        outcomes = np.unique(labels)
        if len(outcomes) < 2 or not features.shape[1]:  # noqa: PLR2004 - one class leaves nothing to learn
            for _ in rounds:
                yield _nothing_learned(outcomes)
            return
        n_scores = 1 if len(outcomes) == 2 else len(outcomes)  # noqa: PLR2004 - two classes share a score
        affordable = max(self.most_trees // n_scores, 1)
        model = HistGradientBoostingClassifier(
            max_iter=min(rounds[-1], affordable),
            max_leaf_nodes=n_leaves,
            learning_rate=self.learning_rate,
            l2_regularization=self.l2,
            min_samples_leaf=self.min_prompts,
            max_features=self.feature_share,
            max_bins=_BINS,
            early_stopping=False,
            random_state=seed % 2**32,
        )
        # A prompt becomes one row an outcome that it showed, weighted by its share, as for the linear heads.
        # Threads that wait for each other cost such small fits more time than they save.
        edges = bin_edges(features, _BINS)
        bins = binned(features, edges)
        with threadpool_limits(limits=1, user_api="openmp"):
            model.fit(bins[rows], labels, sample_weight=shares[rows, labels])
        for n_rounds in rounds:
            head = TreeHead.from_sklearn(model, n_iterations=min(n_rounds, affordable), edges=edges)
            yield head.in_single_precision()


def bin_edges(features: FloatArray, n_bins: int) -> FloatArray:
    """Return the highest value of each feature's bins but the last, [d, n_bins - 1]; infinite where there are fewer.

    scikit-learn finds bins of weighted rows one by one, which costs several times what the trees cost; given bins, it
    has nothing to find.
    """
    edges = np.full((features.shape[1], n_bins - 1), np.inf)
    shares = np.arange(1, n_bins) / n_bins
    for column, values in enumerate(features.astype(np.float32).T):
        distinct = np.unique(values)
        found = distinct[:-1]
        if len(found) >= n_bins:
            found = np.unique(np.quantile(values, shares, method="lower"))
            found = found[found < distinct[-1]]
        edges[column, : len(found)] = found
    return edges


def binned(features: FloatArray, edges: FloatArray) -> NDArray[np.float32]:
    """Return the number of each value's bin, [n, d]."""
    narrow = features.astype(np.float32)
    columns = [np.searchsorted(edges[column], narrow[:, column]) for column in range(narrow.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def _nothing_learned(outcomes: IntArray) -> TreeHead:
    empty = np.zeros(0, dtype=np.int32)
    return TreeHead(
        outcomes=outcomes.astype(np.int32),
        baseline=np.zeros(0),
        sizes=empty,
        features=empty,
        rights=empty,
        numbers=np.zeros(0),
    )


def _are_preorder(sizes: IntArray, features: NDArray[np.int32], rights: IntArray) -> bool:
    """Say whether each tree's nodes are a binary tree in preorder: a left child next, a right one where that ends.

    One pass over the nodes: `open_rights` holds where the subtrees that are still to come must begin.
    """
    start = 0
    for size in sizes.tolist():
        open_rights: list[int] = []
        end = start + size
        splits, steps = (features[start:end] != LEAF).tolist(), rights[start:end].tolist()
        for place, (is_split, step) in enumerate(zip(splits, steps, strict=True)):
            if is_split:
                limit = open_rights[-1] if open_rights else size
                if not 1 < step < limit - place:
                    return False
                open_rights.append(place + step)
            elif step != 0 or place + 1 != (open_rights.pop() if open_rights else size):
                return False
        start = end
    return True


def whole_numbers(artifact: Artifact, name: str) -> NDArray[np.int32]:
    """Return a list of whole numbers in any order.

    Raises:
        DataError: It is missing, of another type or shape, or does not fit 32 bits.
    """
    tensor = artifact.weights.get(name)
    if tensor is None or tensor.dtype.kind != "i" or tensor.ndim != 1:
        raise DataError(f"{WEIGHTS_FILE}: {name} is missing or no list of whole numbers: train again")
    narrow = tensor.astype(np.int32)
    if (narrow != tensor).any():
        raise DataError(f"{WEIGHTS_FILE}: {name} holds numbers that need more than 32 bits: train again")
    return narrow
