"""Trainers on dense inputs: what is chosen, on how much, and what a subclass may rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.fitting.dense import DenseTrainer, pooled
from trainers.fitting.head_choice import HeadOptions, fit_head
from trainers.heads.family import AverageHead, Head, LinearFamily, fit_strength
from trainers.heads.trees import TreeFamily
from trainers.inputs.dense import DenseInputs

Planted = Callable[..., LabeledPrompts]


@dataclass(frozen=True, kw_only=True)
class WordCounts:
    """Inputs of two numbers."""

    identity: ClassVar[str] = "test words"
    width: ClassVar[int] = 2

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Count words and kings."""
        counts = [(len(text.split()), text.count("king")) for text in texts]
        return np.array(counts, dtype=np.float32).reshape(-1, 2)


@dataclass(frozen=True, kw_only=True)
class OfWords(DenseTrainer):
    """The least that a subclass must say."""

    kind: ClassVar[str] = "of_words"

    def inputs(self) -> DenseInputs:
        """Return the inputs."""
        return WordCounts()


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A head that says the same of every prompt, and remembers how many it was fitted on."""

    yes: float
    n_fitted: int

    def predict(self, features: FloatArray, prior: FloatArray) -> FloatArray:
        """Return the constant, [n, 2]."""
        return np.tile([1 - self.yes, self.yes], (len(features), 1)) + 0 * prior

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return the constant."""
        return {f"yes.{index}": np.array([self.yes])}


@dataclass(frozen=True, kw_only=True)
class Constants:
    """A family whose strengths are the constants that its heads say."""

    values: tuple[float, ...]

    def fit(self, features: FloatArray, shares: FloatArray, *, seed: int) -> Iterator[Head]:  # noqa: ARG002 - the protocol's
        """Yield one head a constant."""
        for value in self.values:
            yield Constant(yes=value, n_fitted=len(features))

    def read(self, artifact: Artifact, index: int, *, width: int) -> Head:  # noqa: ARG002 - the protocol's
        """Read one head."""
        return Constant(yes=float(artifact.floats(f"yes.{index}", (1,))[0]), n_fitted=0)


OPTIONS = HeadOptions(
    families={"low": Constants(values=(0.1, 0.2)), "high": Constants(values=(0.9, 0.6))},
    averages=False,
    choosing_prompts=1000,
    fitting_prompts=1000,
)


def chosen(options: HeadOptions, yes_rate: float, n: int = 100) -> tuple[str, Head]:
    """Return the name and the head that are kept for labels of a rate."""
    shares = np.eye(2)[(np.arange(n) < yes_rate * n).astype(int)]
    texts, domains = [f"text {row}" for row in range(n)], [f"domain {row % 4}" for row in range(n)]
    name, head, _ = fit_head(np.zeros((n, 1)), shares, texts, domains, options=options, context=FitContext())
    return name, head


@pytest.mark.parametrize(("rate", "name", "yes"), [(0.1, "low", 0.1), (0.22, "low", 0.2), (0.9, "high", 0.9)])
def test_the_cheapest_head_is_kept(rate: float, name: str, yes: float) -> None:
    """The family and the strength with the fewest bits out of fold are fitted on everything."""
    assert chosen(OPTIONS, rate) == (name, Constant(yes=yes, n_fitted=100))


def test_a_mean_is_kept_only_where_it_is_cheaper() -> None:
    """The mean of the best head of each family is kept where it costs fewer bits than either, and not elsewhere."""
    options = replace(OPTIONS, averages=True)
    name, head = chosen(options, 0.4)
    assert name == "low+high"
    np.testing.assert_allclose(head.predict(np.zeros((3, 1)), np.full(2, 0.5))[:, 1], 0.4)
    assert chosen(options, 0.1)[0] == "low"


def test_many_prompts_are_drawn_from() -> None:
    """No more prompts are chosen and fitted on than allowed."""
    _, head = chosen(replace(OPTIONS, choosing_prompts=20, fitting_prompts=50), 0.1)
    assert isinstance(head, Constant)
    assert head.n_fitted == 50


def test_one_text_leaves_the_simplest() -> None:
    """Where nothing can be left out, the first strength of the first family is kept, uncalibrated."""
    shares = np.eye(2)[[0, 1, 1]]
    name, head, calibration = fit_head(
        np.zeros((3, 1)), shares, ["same"] * 3, ["a", "b", "c"], options=OPTIONS, context=FitContext()
    )
    assert (name, head) == ("low", Constant(yes=0.1, n_fitted=3))
    np.testing.assert_array_equal(calibration.apply(np.full((1, 2), 0.5), np.full(2, 0.5)), [[0.5, 0.5]])


def test_one_strength_alone() -> None:
    """A family that can fit one strength alone does; of one that cannot, the wanted one is taken."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 2))
    shares = np.eye(2)[(features[:, 0] > 0).astype(int)]
    for family in (LinearFamily(strengths=(0.01, 1.0)), TreeFamily(leaves=(2, 3), rounds=(2, 4), min_prompts=5)):
        *_, last = family.fit(features, shares, seed=0)
        position = len(list(family.fit(features, shares, seed=0))) - 1
        alone = fit_strength(family, features, shares, position, seed=0)
        prior = np.full(2, 0.5)
        np.testing.assert_array_equal(alone.predict(features, prior), last.predict(features, prior))


def test_average_head_is_the_mean() -> None:
    """An average of one head is that head; of two it is half of each, and keeps the tensors of both."""
    low, high, rows, prior = Constant(yes=0.2, n_fitted=1), Constant(yes=0.6, n_fitted=1), np.zeros((2, 1)), np.zeros(2)
    np.testing.assert_array_equal(AverageHead(parts=(low,)).predict(rows, prior), low.predict(rows, prior))
    np.testing.assert_allclose(AverageHead(parts=(low, high)).predict(rows, prior)[:, 1], 0.4)
    assert set(AverageHead(parts=(low,)).tensors(3)) == {"yes.3"}


def test_a_subclass_says_only_its_inputs(planted: Planted) -> None:
    """Inputs alone make a trainer, with linear heads unless another is asked for; counts may get an ordered one."""
    train, test = planted(200, 0), planted(5, 1)
    metamodel = OfWords(C_grid=(0.1,)).fit(train, train.take([]), context=FitContext())
    heads = metamodel.artifact.documents["heads"]
    assert heads in (dict.fromkeys(train.labels, "linear") | {"length": length} for length in ("linear", "ordered"))
    assert list(metamodel.predict(test.texts)) == list(train.labels)


def test_pooled_labels(planted: Planted) -> None:
    """Training and validation prompts stand together, missing labels filled where their numbers of samples differ."""
    train, validation = planted(4, 0, n_samples=3), planted(2, 1, n_samples=1)
    both = pooled(train, validation)
    codes = both.labels["bigram"].codes
    assert both.texts == train.texts + validation.texts
    np.testing.assert_array_equal(codes[:4], train.labels["bigram"].codes)
    np.testing.assert_array_equal(codes[4:, :1], validation.labels["bigram"].codes)
    assert (codes[4:, 1:] == -1).all()
