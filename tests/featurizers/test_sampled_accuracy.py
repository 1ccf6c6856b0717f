"""Accuracy over samples: the estimators against counting, and what they are given."""

from __future__ import annotations

from itertools import combinations

import pytest

from featurizers.sampled_accuracy import PassAtK, SampledAccuracy
from metamodel.errors import ConfigError
from metamodel.text import text_batch

NAN = float("nan")


@pytest.mark.parametrize("n_right", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_counts_the_sets_with_a_right_sample(n_right: int, k: int) -> None:
    """The estimator is the share of sets of k of the n samples that hold a right one, which is what unbiased means."""
    texts = ["yes"] * n_right + ["no"] * (5 - n_right)
    sets = list(combinations(texts, k))
    expected = sum("yes" in chosen for chosen in sets) / len(sets)
    labels = PassAtK(k=k).label(text_batch(texts, prompt_ids=["a"] * 5, references=[["yes"]] * 5))
    assert labels.tolist() == pytest.approx([expected] * 5)


def test_too_few_samples_have_no_label() -> None:
    """A prompt with fewer than k judged samples says nothing about k samples; others in the batch do not help."""
    batch = text_batch(["yes", "no", "yes"], prompt_ids=["a", "b", "b"], references=[["yes"], ["yes"], ["yes"]])
    assert SampledAccuracy(k=2).label(batch).tolist() == pytest.approx([NAN, 0.5, 0.5], nan_ok=True)
    assert PassAtK(k=3).label(batch).tolist() == pytest.approx([NAN] * 3, nan_ok=True)
    no_references = text_batch(["yes", "no"], prompt_ids=["a", "a"])
    assert SampledAccuracy().label(no_references).tolist() == pytest.approx([NAN] * 2, nan_ok=True)


def test_any_binary_behavior_can_judge() -> None:
    """The matcher is a component of its own, with its own fields and needs."""
    featurizer = PassAtK(k=2, matcher={"kind": "numeric_correct", "relative": 0.1})
    batch = text_batch(["about 4.1", "9"], prompt_ids=["a", "a"], references=[["4"], ["4"]])
    assert featurizer.label(batch).tolist() == [1, 1]
    assert featurizer.needs == ("text", "references", "siblings")
    assert hash(featurizer) == hash(PassAtK(k=2, matcher={"kind": "numeric_correct", "relative": 0.1}))


def test_unusable_matchers_are_refused() -> None:
    """A matcher that does not exist, or does not say right or wrong, is a mistake in the config."""
    with pytest.raises(ConfigError, match="did you mean correct"):
        PassAtK(matcher="corect")
    with pytest.raises(ValueError, match="has real labels, must have binary ones"):
        PassAtK(matcher="f1")
    with pytest.raises(ValueError, match="k is 0"):
        SampledAccuracy(k=0)
