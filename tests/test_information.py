"""Every claim of the project is a difference of two of these numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss

from metamodel.information import (
    count_impossible_labels,
    cross_entropy_bits,
    empirical_distributions,
    entropy_bits,
    label_entropy_bits,
    prompt_cross_entropies_bits,
    reduction_bits,
)
from metamodel.labels import Binary, LabelTable
from metamodel.types import FloatArray, IntArray


@pytest.fixture
def labeled() -> tuple[IntArray, FloatArray]:
    """Return counts of three outcomes with zero to six samples a prompt, and predictions for them."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(rng.integers(0, 7, size=60), [0.2, 0.3, 0.5]).astype(np.int64)
    return counts, rng.dirichlet([1.0, 2.0, 3.0], size=60)


def test_entropy_agrees_with_scipy_along_any_axis() -> None:
    """Entropies are in bits and sum over the axis asked for."""
    distributions = np.random.default_rng(1).dirichlet([0.3] * 5, size=20)
    np.testing.assert_allclose(entropy_bits(distributions), stats.entropy(distributions, base=2, axis=1), rtol=1e-13)
    np.testing.assert_allclose(entropy_bits(distributions.T, axis=0), entropy_bits(distributions), rtol=0, atol=0)


def test_entropy_of_certainty_is_a_plain_zero() -> None:
    """An outcome of probability 0 adds nothing, and -0.0 never reaches a table."""
    bits = entropy_bits(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert bits.tolist() == [0.0, 0.0]
    assert not np.signbit(bits).any()


def test_cross_entropy_agrees_with_scikit_learn_over_samples(labeled: tuple[IntArray, FloatArray]) -> None:
    """Every prompt counts equally: each sample weighs one over its prompt's number of samples."""
    counts, probabilities = labeled
    rows, labels = np.repeat(np.nonzero(counts), counts[counts > 0], axis=1)
    weights = 1 / counts.sum(axis=1)[rows]
    expected = log_loss(labels, probabilities[rows], sample_weight=weights, labels=[0, 1, 2]) / np.log(2)
    assert cross_entropy_bits(counts, probabilities) == pytest.approx(expected, rel=1e-12)


def test_best_constant_reaches_the_label_entropy(labeled: tuple[IntArray, FloatArray]) -> None:
    """H(F) is the cross-entropy of the best constant on the very split, so that constant reduces by exactly nothing."""
    counts, _ = labeled
    best = np.tile(empirical_distributions(counts).mean(axis=0), (len(counts), 1))
    assert cross_entropy_bits(counts, best) == pytest.approx(label_entropy_bits(counts), abs=1e-13)
    assert reduction_bits(counts, best) == pytest.approx(0, abs=1e-13)


def test_reduction_is_negative_where_the_metamodel_is_worse_than_a_constant() -> None:
    """A bad prediction is reported as one: the reduction is never clipped."""
    counts = np.array([[0, 1], [1, 0]])
    assert reduction_bits(counts, np.array([[0.75, 0.25], [0.25, 0.75]])) == -1.0


def test_reduction_of_a_planted_behavior_is_its_mutual_information() -> None:
    """Predicting the true probabilities of a noisy copy gains 1 - h(0.1) bits exactly."""
    counts = np.array([[9, 1], [1, 9]] * 3)
    probabilities = counts / 10
    assert reduction_bits(counts, probabilities) == pytest.approx(1 - stats.entropy([0.1, 0.9], base=2), rel=1e-12)


def test_a_prompt_weighs_the_same_however_often_it_was_sampled() -> None:
    """More samples of one prompt must not turn it into more prompts."""
    assert label_entropy_bits(np.array([[100, 0], [0, 1]])) == 1.0


def test_impossible_labels_cost_forty_bits_and_are_counted() -> None:
    """A label called impossible shows in the mean, yet leaves it finite."""
    counts, certain = np.array([[1, 1], [2, 0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert prompt_cross_entropies_bits(counts, certain).tolist() == [20.0, 0.0]
    assert count_impossible_labels(counts, certain) == 1


def test_missing_labels_are_left_out_and_none_means_none() -> None:
    """Prompts without labels change nothing; a behavior without any label has no figures."""
    table = LabelTable(space=Binary(), codes=np.array([[0, 1], [-1, -1], [1, -1]]))
    probabilities = np.full((3, 2), 0.5)
    assert empirical_distributions(table.counts).tolist() == [[0.5, 0.5], [0.0, 1.0]]
    nothing = np.zeros((3, 2), dtype=np.int64)
    assert label_entropy_bits(nothing) is None
    assert cross_entropy_bits(nothing, probabilities) is None
    assert reduction_bits(nothing, probabilities) is None


@pytest.mark.parametrize(
    ("counts", "probabilities", "complaint"),
    [
        ([[1, 0]], [[0.5, 0.5], [0.5, 0.5]], "must be equal"),
        ([[1, 0]], [[0.6, 0.5]], "sum to 1"),
        ([[1, 0]], [[1.5, -0.5]], "at least 0"),
        ([[1, 0]], [[np.nan, 0.5]], "at least 0"),
        ([[-1, 2]], [[0.5, 0.5]], "whole numbers"),
        ([1, 0], [0.5, 0.5], "whole numbers"),
    ],
)
def test_what_is_no_distribution_is_refused(counts: object, probabilities: object, complaint: str) -> None:
    """Logits, NaN or misaligned rows must never pass for probabilities."""
    with pytest.raises(ValueError, match=complaint):
        cross_entropy_bits(np.array(counts), np.array(probabilities))
