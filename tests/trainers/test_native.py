"""The compiled loops against their numpy twins, and against arrays that no caller of ours would give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from trainers import native
from trainers.bag import Bag
from trainers.heads.logistic import weighted_sums
from trainers.heads.tree_walk import TreeWalk
from trainers.inputs.bag_features import BagFeatures
from trainers.inputs.hashing import NGramCounts, NGramScheme, count_ngrams
from trainers.surface import Surface

kernels = native.kernels
pytestmark = pytest.mark.skipif(kernels is None, reason="the package was installed without a C compiler")
TEXTS = ["The cat sat on the mat.", "", " ", "ÀÉ日本🦜\u2003x", "\ud800 lone", "A" * 700, "a b\ta\nb", "12,5-7?!"]


@contextmanager
def numpy_alone() -> Iterator[None]:
    """Let numpy do it, as where nothing is compiled."""
    native.kernels = None
    try:
        yield
    finally:
        native.kernels = kernels


def counted(texts: Sequence[str], scheme: NGramScheme) -> list[NGramCounts]:
    """Return all pieces."""
    return list(count_ngrams(list(texts), scheme))


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec=None), max_size=40) | st.sampled_from(TEXTS), max_size=6),
    n_buckets=st.sampled_from([1, 2, 3, 1000, 2**11, 2**12, 2**18, 5_000_011, 2**24]),
    words=st.sets(st.integers(1, 5), max_size=3),
    characters=st.sets(st.integers(1, 9), min_size=1, max_size=3),
)
def test_counts_equal_numpy(texts: list[str], n_buckets: int, words: set[int], characters: set[int]) -> None:
    """Buckets and counts are those of numpy for any text, lone surrogates too, and any scheme."""
    scheme = NGramScheme(
        n_buckets=n_buckets, word_ngrams=tuple(words), character_ngrams=tuple(characters), max_characters=30
    )
    compiled = counted(texts, scheme)
    with numpy_alone():
        plain = counted(texts, scheme)
    for one, other in zip(compiled, plain, strict=True):
        for found, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_weights_equal_numpy() -> None:
    """Rows of the bag agree, with texts of which nothing is kept and with counts beyond the table of logarithms."""
    scheme = NGramScheme(n_buckets=4096, word_ngrams=(1,), character_ngrams=(2, 3), max_characters=10_000)
    features, _ = BagFeatures.fit([*TEXTS, *TEXTS[:3]], scheme, min_prompts=2)
    texts = [*TEXTS, "ab " * 3000, "qzx"]
    compiled = features.inputs(texts).ngrams
    with numpy_alone():
        plain = features.inputs(texts).ngrams
    np.testing.assert_array_equal(compiled.indptr, plain.indptr)
    np.testing.assert_array_equal(compiled.indices, plain.indices)
    np.testing.assert_allclose(compiled.data, plain.data, rtol=3e-7)


def test_sums_equal_numpy() -> None:
    """Sums over a table in single precision are those in double precision, empty rows too."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 33)).astype(np.float32)
    sizes = np.array([0, 3, 700, 0, 1])
    offsets = np.concatenate([[0], sizes.cumsum()])
    columns, weights = rng.integers(0, 50, offsets[-1]), rng.normal(size=offsets[-1])
    found = weighted_sums(offsets, columns, weights, table)
    expected = weighted_sums(offsets, columns, weights, table.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def random_trees(rng: np.random.Generator, *, n_trees: int, n_scores: int) -> TreeWalk:
    """Grow trees in preorder."""
    features: list[int] = []
    rights: list[int] = []

    def grow(depth: int) -> int:
        place = len(features)
        features.append(-1)
        rights.append(0)
        if not depth or rng.random() < 0.2:
            return 1
        features[place] = int(rng.integers(4))
        rights[place] = 1 + grow(depth - 1)
        return rights[place] + grow(depth - 1)

    sizes = [grow(5) for _ in range(n_trees)]
    return TreeWalk.of(
        baseline=rng.normal(size=n_scores),
        sizes=np.array(sizes, dtype=np.int32),
        features=np.array(features, dtype=np.int32),
        rights=np.array(rights, dtype=np.int32),
        numbers=rng.normal(size=len(features)),
    )


@pytest.mark.parametrize("n_scores", [1, 3])
def test_trees_equal_numpy(n_scores: int) -> None:
    """Scores are equal to the last bit, missing values included, for none, one and many rows."""
    rng = np.random.default_rng(n_scores)
    walk = random_trees(rng, n_trees=12 * n_scores, n_scores=n_scores)
    inputs = rng.normal(size=(300, 4))
    inputs[5, 2] = np.nan
    for rows in (inputs, inputs[:1], inputs[:0]):
        compiled = walk.scores(rows)
        with numpy_alone():
            np.testing.assert_array_equal(compiled, walk.scores(rows))


def test_metamodels_agree_without_it(planted: Callable[..., LabeledPrompts]) -> None:
    """What was fitted with it predicts the same where nothing is compiled."""
    train, validation = planted(200, 0), planted(40, 1)
    for trainer in (Bag(max_epochs=2), Surface()):
        metamodel = trainer.fit(train, validation, context=FitContext())
        compiled = metamodel.predict(train.texts)
        with numpy_alone():
            plain = metamodel.predict(train.texts)
        for name, values in compiled.items():
            np.testing.assert_allclose(values, plain[name], atol=1e-6)


def test_refused_arrays() -> None:
    """Nothing outside of an array is ever read or written: such calls end in an exception."""
    assert kernels is not None
    offsets, columns = np.array([0, 2]), np.array([0, 1], dtype=np.int32)
    weights, table, sums = np.ones(2), np.ones((2, 3), dtype=np.float32), np.zeros((1, 3))
    kernels.sum_rows(offsets, columns, weights, table, sums, 3)
    np.testing.assert_array_equal(sums, [[2, 2, 2]])
    for changed in (
        (np.array([0, 3]), columns, weights, table, sums, 3),
        (np.array([2, 0]), columns, weights, table, sums, 3),
        (np.array([-1, 2]), columns, weights, table, sums, 3),
        (offsets, np.array([0, 2], dtype=np.int32), weights, table, sums, 3),
        (offsets, np.array([-1, 0], dtype=np.int32), weights, table, sums, 3),
        (offsets, columns, np.ones(1), table, sums, 3),
        (offsets, columns, weights, table, sums, 4),
        (offsets, columns, weights, table, sums, 0),
        (offsets[:0], columns, weights, table, sums, 3),
        (offsets, columns, weights, table, np.zeros((2, 3)), 3),
    ):
        with pytest.raises(ValueError, match=r"differ in length|points outside"):
            kernels.sum_rows(*changed)
    with pytest.raises(TypeError, match="must be of 4 bytes"):
        kernels.sum_rows(offsets, offsets, weights, table, sums, 3)  # type: ignore[arg-type] # what is refused
    with pytest.raises((ValueError, BufferError)):
        kernels.sum_rows(offsets, columns, weights, table, np.broadcast_to(sums, (1, 3)), 3)
    with pytest.raises((ValueError, BufferError)):
        kernels.sum_rows(offsets, columns, weights, table[:, ::2], sums, 3)


def test_refused_trees() -> None:
    """A node that points outside ends in an exception, and so does one that reads a feature which is not there."""
    assert kernels is not None
    walk = random_trees(np.random.default_rng(3), n_trees=4, n_scores=1)
    inputs, scores = np.ones((2, 4)), np.zeros((2, 1))

    def ask(**changes: object) -> None:
        given = {
            "roots": walk.roots,
            "reads": walk.reads,
            "numbers": walk.numbers,
            "children": walk.children,
            "baseline": walk.baseline,
            "inputs": inputs,
            "scores": scores,
        } | changes
        kernels.walk_trees(*given.values(), 4, walk.depth)  # type: ignore[union-attr,arg-type,call-arg] # what is refused

    ask()
    for changes in (
        {"roots": walk.roots + 10_000},
        {"roots": walk.roots - 10_000},
        {"reads": walk.reads + 4},
        {"reads": walk.reads - 5},
        {"children": walk.children + 10_000},
        {"numbers": walk.numbers[:-1]},
        {"scores": np.zeros((3, 1))},
    ):
        with pytest.raises(ValueError, match=r"differ in length|points outside"):
            ask(**changes)


def test_refused_schemes() -> None:
    """Schemes that a caller cannot mean end in an exception, and so does what is no text."""
    assert kernels is not None
    for words, n_buckets in (((0,), 8), ((2, 2), 8), ((65,), 8), ((1,), 0), ((1,), 2**24 + 1)):
        with pytest.raises(ValueError, match="must"):
            kernels.count_ngrams(["a"], n_buckets, words, ())
    with pytest.raises(TypeError):
        kernels.count_ngrams(["a", b"b"], 8, (1,), ())  # type: ignore[list-item] # what is refused
    with pytest.raises(TypeError):
        kernels.count_ngrams(("a",), 8, (1,), ())  # type: ignore[arg-type] # what is refused
