"""Boosted trees: the same as scikit-learn's, kept as plain tensors, read back with suspicion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from metamodel.errors import DataError
from metamodel.labels import Categorical, LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, TrainingFacts
from trainers.heads.logistic import fit_heads
from trainers.heads.outcomes import cross_entropy_bits, smoothed_prior
from trainers.heads.trees import TreeFamily, TreeHead, bin_edges, binned

FAMILY = TreeFamily(leaves=(3, 6), rounds=(5, 20), min_prompts=5, l2=1.0, feature_share=1.0)
NOTHING = LabeledPrompts(texts=(), domains=(), labels={})


def drawn(n_outcomes: int, n: int = 300) -> tuple[FloatArray, FloatArray]:
    """Return features, [n, 4], and shares, [n, c], that depend on a product of two features."""
    rng = np.random.default_rng(n_outcomes)
    features = rng.normal(size=(n, 4)).astype(np.float32).astype(np.float64)
    score = features[:, 0] * features[:, 1] + 0.3 * rng.normal(size=n)
    codes = np.searchsorted(np.quantile(score, np.arange(1, n_outcomes) / n_outcomes), score)
    return features, np.eye(n_outcomes)[codes]


def stored(head: TreeHead, n_outcomes: int) -> Artifact:
    """Return an artifact that holds one head."""
    space = Categorical(classes=tuple("abcdef"[:n_outcomes]))
    facts = TrainingFacts.of(NOTHING, NOTHING, FitContext())
    return Artifact(
        kind="surface", fields={}, spaces={"f": space}, facts=facts, weights=head.tensors(0), calibrations={}
    )


@pytest.mark.parametrize("n_outcomes", [2, 3])
def test_equal_to_scikit_learn(n_outcomes: int) -> None:
    """The plain tensors give scikit-learn's own probabilities, on training rows, new rows and far outside."""
    features, shares = drawn(n_outcomes)
    codes = shares.argmax(axis=1)
    weights = np.random.default_rng(1).random(len(codes))
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, min_samples_leaf=5, early_stopping=False)
    model.fit(features, codes, sample_weight=weights)
    head = TreeHead.from_sklearn(model, n_iterations=30)
    new = np.vstack([features, np.random.default_rng(2).normal(size=(200, 4)).astype(np.float32), np.full((1, 4), 1e6)])
    np.testing.assert_allclose(head.probabilities(new), model.predict_proba(new), rtol=0, atol=1e-12)
    tenth = list(model.staged_predict_proba(new))[9]
    head = TreeHead.from_sklearn(model, n_iterations=10)
    np.testing.assert_allclose(head.probabilities(new), tenth, rtol=0, atol=1e-12)


def test_single_precision_keeps_every_side() -> None:
    """Rounding for storage moves no row to another leaf, so that probabilities move by a rounding alone."""
    features, shares = drawn(2)
    model = HistGradientBoostingClassifier(max_iter=50, max_bins=255, min_samples_leaf=2, early_stopping=False)
    model.fit(features, shares.argmax(axis=1))
    head = TreeHead.from_sklearn(model, n_iterations=50)
    # Rows that stand on the thresholds and just beside them are those that rounding could move.
    splits = head.numbers[head.features == 0].astype(np.float32)
    edges = np.concatenate([splits, np.nextafter(splits, np.float32(9)), np.nextafter(splits, np.float32(-9))])
    rows = np.tile(features[:1], (len(edges), 1))
    rows[:, 0] = edges
    np.testing.assert_allclose(
        head.in_single_precision().probabilities(rows), head.probabilities(rows), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("n_outcomes", [2, 3])
def test_strengths_rise(n_outcomes: int) -> None:
    """Every strength is one head, the most regularized first, and one can be fitted without the others."""
    features, shares = drawn(n_outcomes)
    heads = list(FAMILY.fit(features, shares, seed=0))
    prior = smoothed_prior(shares)
    bits = [cross_entropy_bits(shares, head.predict(features, prior)) for head in heads]
    assert len(heads) == FAMILY.n_strengths == 4
    assert bits[0] == max(bits)
    assert bits[3] == min(bits)
    for position, head in enumerate(heads):
        alone = FAMILY.fit_one(features, shares, position, seed=0)
        np.testing.assert_array_equal(alone.numbers, head.numbers)


def test_finds_a_product() -> None:
    """Trees learn what depends on two features together, which no linear head can."""
    features, shares = drawn(2, n=600)
    fitting, judging, prior = slice(0, 400), slice(400, None), np.array([0.5, 0.5])
    *_, trees = FAMILY.fit(features[fitting], shares[fitting], seed=0)
    *_, linear = fit_heads(features[fitting], shares[fitting], (1.0,))
    bits = [cross_entropy_bits(shares[judging], head.predict(features[judging], prior)) for head in (trees, linear)]
    assert bits[0] < 0.93 < bits[1]


def test_shares_are_weighted_rows() -> None:
    """A prompt with two samples weighs as much as one with a single sample."""
    features, shares = drawn(2)
    soft = np.full_like(shares, 0.5)
    soft[:150] = shares[:150]
    *_, head = FAMILY.fit(features, soft, seed=0)
    prior = smoothed_prior(soft)
    predicted = head.predict(features, prior)
    assert cross_entropy_bits(soft, predicted) < cross_entropy_bits(soft, np.tile(prior, (300, 1)))


def test_one_outcome_learns_nothing() -> None:
    """Labels of one class leave the prior, and are kept and read back."""
    features, _ = drawn(2)
    shares = np.tile([0.0, 1.0], (300, 1))
    head = next(FAMILY.fit(features, shares, seed=0))
    prior = smoothed_prior(shares)
    again = TreeHead.from_artifact(stored(head, 2), 0, n_features=4)
    np.testing.assert_array_equal(again.predict(features, prior), np.tile(prior, (300, 1)))


def test_many_outcomes_cost_fewer_rounds() -> None:
    """The number of trees of a fit is bounded whatever the label space."""
    features, shares = drawn(6)
    family = replace(FAMILY, leaves=(3,), most_trees=24)
    assert [len(head.sizes) for head in family.fit(features, shares, seed=0)] == [24, 24]


def test_rows_do_not_depend_on_their_batch() -> None:
    """A row's probabilities are the same bits alone and among others."""
    features, shares = drawn(3)
    *_, head = FAMILY.fit(features, shares, seed=0)
    together = head.probabilities(features)
    alone = np.vstack([head.probabilities(features[row : row + 1]) for row in range(0, 300, 7)])
    np.testing.assert_array_equal(alone, together[::7])


def _set(name: str, place: int, value: float) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda tensors: tensors[f"{name}.0"].__setitem__(place, value)


def _first(
    name: str, kind: Callable[[np.ndarray], np.ndarray], value: int
) -> Callable[[dict[str, np.ndarray]], object]:
    """Set a tensor at the first node of a kind."""

    def corrupt(tensors: dict[str, np.ndarray]) -> None:
        tensors[f"{name}.0"][np.flatnonzero(kind(tensors["features.0"]))[0]] = value

    return corrupt


CORRUPTIONS: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "a missing tensor": lambda tensors: tensors.pop("rights.0"),
    "a tensor cut short": lambda tensors: tensors.update({"rights.0": tensors["rights.0"][:-1]}),
    "thresholds of NaN": _set("numbers", 0, float("nan")),
    "a huge value": _set("numbers", 0, 1e35),
    "a baseline of NaN": _set("baseline", 0, float("nan")),
    "a baseline too many": lambda tensors: tensors.update({"baseline.0": np.zeros(2, np.float32)}),
    "no baseline": lambda tensors: tensors.update({"baseline.0": np.zeros(0, np.float32)}),
    "a feature out of range": _set("features", 0, 4),
    "a feature below all": _set("features", 0, -2),
    "a cycle": _set("rights", 0, 0),
    "a step back": _set("rights", 2, -2),
    "a right child that is the left one": _set("rights", 0, 1),
    "a step out of the tree": _set("rights", 0, 10_000),
    "a leaf that goes on": _first("rights", lambda features: features < 0, 1),
    "a split without children": _first("features", lambda features: features < 0, 0),
    "a tree too large": _set("sizes", 0, 9999),
    "an empty tree": _set("sizes", 0, 0),
    "a tree too many": lambda tensors: tensors.update({"sizes.0": np.append(tensors["sizes.0"], np.int32(1))}),
    "sizes as floats": lambda tensors: tensors.update({"sizes.0": tensors["sizes.0"].astype(np.float32)}),
    "wide whole numbers": lambda tensors: tensors.update({"rights.0": tensors["rights.0"].astype(np.int64) + 2**40}),
    "an outcome too many": lambda tensors: tensors.update({"outcomes.0": np.arange(3, dtype=np.int32)}),
    "an outcome alone": lambda tensors: tensors.update({"outcomes.0": np.zeros(1, dtype=np.int32)}),
}


@pytest.fixture(scope="module")
def head() -> TreeHead:
    """One fitted head of two outcomes."""
    features, shares = drawn(2)
    *_, fitted = FAMILY.fit(features, shares, seed=0)
    return fitted


def test_read_back(head: TreeHead) -> None:
    """What is written is read back to the same bits."""
    features, _ = drawn(2)
    again = TreeHead.from_artifact(stored(head, 3), 0, n_features=4)
    np.testing.assert_array_equal(again.probabilities(features), head.probabilities(features))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_untrusted_trees_are_refused(corruption: str, head: TreeHead) -> None:
    """Tensors that describe no trees are refused before anything walks them."""
    tensors = {name: tensor.copy() for name, tensor in head.tensors(0).items()}
    CORRUPTIONS[corruption](tensors)
    artifact = replace(stored(head, 3), weights=tensors)
    with pytest.raises(DataError, match="train again"):
        TreeHead.from_artifact(artifact, 0, n_features=4)


def test_trees_of_bins_read_values() -> None:
    """Fitted to bins, trees send every value, seen or not, where scikit-learn sends its bin."""
    rng = np.random.default_rng(0)
    features = np.stack([rng.normal(size=600), rng.integers(0, 4, 600), rng.exponential(size=600)], axis=1)
    features = features.astype(np.float32).astype(np.float64)
    labels = (features[:, 0] * (features[:, 1] - 1.5) + rng.normal(size=600) > 0).astype(np.int64)
    edges = bin_edges(features, 31)
    assert edges.shape == (3, 30)
    assert np.isfinite(edges[1]).sum() == 3
    model = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=4, max_bins=31, early_stopping=False)
    model.fit(binned(features, edges), labels)
    head = TreeHead.from_sklearn(model, n_iterations=20, edges=edges).in_single_precision()
    new = np.concatenate([features, features + 0.01, features * 3]).astype(np.float32).astype(np.float64)
    wanted = model.predict_proba(binned(new, edges))
    np.testing.assert_allclose(head.probabilities(new), wanted, rtol=0, atol=1e-6)
