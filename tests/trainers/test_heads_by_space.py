"""Heads of ordered label spaces against a multinomial regression, closed forms and the contract of heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax as scipy_softmax

from metamodel.errors import DataError
from metamodel.labels import Binary, Categorical, Count, LabelSpace, Real
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, Tensor, TrainingFacts
from trainers.artifacts.reading import read_artifact
from trainers.fitting.calibration import Calibration
from trainers.heads.family import Head, LinearFamily, fit_strength
from trainers.heads.logistic import fit_heads
from trainers.heads.ordered import OrderedFamily, OrderedHead, is_ordered, smooth_shapes
from trainers.heads.outcomes import cross_entropy_bits, kept_inside, smoothed_prior

N_BINS = 24


def planted_counts(m: int, seed: int) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Return features of which one moves a rounded Gaussian over 24 bins, one-hot shares and the codes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(m, 12))
    codes = np.clip(np.round(12 + 3 * features[:, 0] + 2 * rng.normal(size=m)), 0, N_BINS - 1).astype(np.int64)
    return features, np.eye(N_BINS)[codes], codes


def best_bits(heads: list[Head], features: FloatArray, shares: FloatArray, prior: FloatArray) -> float:
    """Return the fewest bits of any strength: what the folds would choose."""
    return min(cross_entropy_bits(shares, kept_inside(head.predict(features, prior))) for head in heads)


def test_neighbours_share_strength() -> None:
    """With few prompts for 24 bins the ordered head is far ahead of 24 free regressions."""
    features, shares, _ = planted_counts(200, 0)
    unseen, truth, _ = planted_counts(1000, 1)
    strengths, prior = (0.001, 0.01, 0.1, 1.0), smoothed_prior(shares)
    ordered = best_bits(list(OrderedFamily(strengths=strengths).fit(features, shares, seed=0)), unseen, truth, prior)
    free = best_bits(list(LinearFamily(strengths=strengths).fit(features, shares, seed=0)), unseen, truth, prior)
    assert ordered < free - 0.1
    assert free < cross_entropy_bits(truth, np.tile(prior, (1000, 1)))


def test_two_outcomes_are_a_logistic_regression() -> None:
    """With two bins there is one shape, and the head is scikit-learn's logistic regression at a weak penalty."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(4000, 3))
    yes = rng.random(4000) < 1 / (1 + np.exp(-(features @ [1.0, -0.5, 0.0] + 0.7)))
    shares = np.stack([~yes, yes], axis=1).astype(np.float64)
    prior = smoothed_prior(shares)
    mine = next(OrderedFamily(strengths=(100.0,)).fit(features, shares, seed=0)).predict(features, prior)
    reference = next(fit_heads(features, shares, [100.0])).predict(features, prior)
    np.testing.assert_allclose(mine, reference, atol=2e-3)


def test_without_features_the_prior_stays() -> None:
    """Features that never move leave the training rates, and no label at all leaves it exactly."""
    _, shares, _ = planted_counts(500, 3)
    prior = smoothed_prior(shares)
    flat = next(OrderedFamily(strengths=(1.0,)).fit(np.zeros((500, 2)), shares, seed=0))
    np.testing.assert_allclose(flat.predict(np.zeros((1, 2)), prior)[0], prior, atol=5e-3)
    none = next(OrderedFamily(strengths=(1.0,)).fit(np.zeros((0, 2)), shares[:0], seed=0))
    uniform = np.full(N_BINS, 1 / N_BINS)
    np.testing.assert_allclose(none.predict(np.ones((1, 2)), uniform)[0], uniform, rtol=0, atol=1e-12)


def test_an_unseen_bin_between_seen_ones_gets_its_share() -> None:
    """A bin that training happened to miss moves with its neighbours instead of staying where it was."""
    features, shares, codes = planted_counts(600, 4)
    rows = codes != 17
    prior = smoothed_prior(shares[rows])
    head = next(OrderedFamily(strengths=(0.1,)).fit(features[rows], shares[rows], seed=0))
    high, low = np.zeros((1, 12)), np.zeros((1, 12))
    high[0, 0], low[0, 0] = 1.7, -1.7
    assert head.predict(high, prior)[0, 17] > 5 * head.predict(low, prior)[0, 17]


def test_prediction_closed_form() -> None:
    """The distribution is the prior bent by offsets and by shapes times slopes."""
    rng = np.random.default_rng(5)
    head = OrderedHead(*(rng.normal(size=shape).astype(np.float32) for shape in ((2, 5), (5,), (3, 2))))
    features, prior = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(5))
    wanted = scipy_softmax(
        np.log(prior) + head.offsets.astype(np.float64) + features @ head.slopes.astype(np.float64) @ head.shapes,
        axis=1,
    )
    np.testing.assert_allclose(head.predict(features, prior), wanted, rtol=1e-9)


def test_shapes_are_bounded_and_different() -> None:
    """Shapes stay within 1 however rare a bin is, rise first, and are no more than bins less one."""
    prior = np.array([1e-9, 0.5, 0.3, 0.2 - 2e-9, 1e-9])
    shapes = smooth_shapes(prior, 8)
    assert shapes.shape == (4, 5)
    assert np.abs(shapes).max() <= 1
    assert (np.diff(shapes[0]) > 0).all()
    assert np.linalg.matrix_rank(smooth_shapes(np.full(6, 1 / 6), 5)) == 5
    assert smooth_shapes(np.ones(1), 3).shape == (0, 1)


def test_rows_do_not_depend_on_their_batch() -> None:
    """A prompt's distribution is the same bits alone and in a batch, and one strength fits as in the series."""
    features, shares, _ = planted_counts(150, 6)
    prior = smoothed_prior(shares)
    family = OrderedFamily(strengths=(0.01, 0.1))
    first, second = family.fit(features, shares, seed=0)
    together = second.predict(features, prior)
    for row in range(0, 150, 29):
        assert np.array_equal(second.predict(features[row : row + 1], prior)[0], together[row])
    alone = fit_strength(family, features, shares, 1, seed=0)
    np.testing.assert_allclose(alone.predict(features, prior), together, atol=1e-3)
    assert not np.allclose(first.predict(features, prior), together, atol=1e-2)


def artifact_of(head: Head, space: LabelSpace, prior: FloatArray) -> Artifact:
    """Return an artifact with one behavior's head."""
    facts = TrainingFacts(
        name="x", seed=0, n_prompts=1, n_validation_prompts=0, domains={"d": 1}, n_labeled={"length": 1}
    )
    weights: dict[str, Tensor] = {"prior.0": prior, **head.tensors(0)}
    return Artifact(
        kind="x",
        fields={},
        spaces={"length": space},
        facts=facts,
        weights=weights,
        calibrations={"length": Calibration()},
    )


def test_saved_heads_predict_the_same(tmp_path: Path) -> None:
    """A head read back from a folder gives the same bits; shapes that do not fit, or overflow, are refused."""
    features, shares, _ = planted_counts(150, 7)
    prior, family = smoothed_prior(shares), OrderedFamily(strengths=(0.01,))
    head = next(family.fit(features, shares, seed=0))
    artifact_of(head, Count(), prior).save(tmp_path)
    artifact = read_artifact(tmp_path, kind="x")
    loaded = family.read(artifact, 0, width=12)
    assert np.array_equal(loaded.predict(features, prior), head.predict(features, prior))
    with pytest.raises(DataError, match="ordered_slopes"):
        family.read(artifact, 0, width=13)
    assert isinstance(head, OrderedHead)
    huge = artifact_of(head._replace(slopes=head.slopes + 1e30), Count(), prior)
    with pytest.raises(DataError, match="too large"):
        family.read(huge, 0, width=12)


@pytest.mark.parametrize(
    ("space", "wanted"),
    [(Binary(), False), (Categorical(classes=("a", "b", "c")), False), (Count(), True), (Real(n_bins=5), True)],
)
def test_ordered_spaces(space: LabelSpace, wanted: bool) -> None:  # noqa: FBT001 - a case's answer
    """Counts and reals have neighbours, answers and classes have none."""
    assert is_ordered(space) is wanted
