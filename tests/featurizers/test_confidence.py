"""Confidence: closed forms, and a missing label wherever the source does not tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featurizers.confidence import ChoiceMargin, FirstTokenEntropy, MeanLogprob, Perplexity
from metamodel.text import text_batch
from metamodel.types import JSONValue

NAN = float("nan")


def test_mean_and_perplexity() -> None:
    """A fair coin a token has perplexity 2; no log-probabilities, and none of an output without tokens, are missing."""
    half = math.log(0.5)
    batch = text_batch(["ab", "c", "", "d"], logprobs=[[half, half], [0.0], [], None])
    np.testing.assert_allclose(MeanLogprob().label(batch), [half, 0, NAN, NAN])
    np.testing.assert_allclose(Perplexity().label(batch), [2, 1, NAN, NAN])


def test_columns_read_from_a_table() -> None:
    """The stage hands over arrays of 32-bit numbers; they are averaged in 64 bits."""
    batch = text_batch(["ab"], logprobs=[np.full(3, -0.1, dtype=np.float32)])  # type: ignore[list-item] # as stored
    assert MeanLogprob().label(batch)[0] == np.float64(np.float32(-0.1))


def test_an_impossible_token_stays_finite() -> None:
    """A perplexity beyond what a float holds is huge, not infinite: a mean over labels must survive it."""
    assert np.isfinite(Perplexity().label(text_batch(["a"], logprobs=[[-1e6]]))[0])


def test_entropy_of_first_words() -> None:
    """Two samples of four begin differently from the other two: one bit, whatever follows; one sample says nothing."""
    texts = ["Yes, it is", "Yes, no", " No", "No way", "", "\n", "alone"]
    batch = text_batch(texts, prompt_ids=["a"] * 4 + ["b"] * 2 + ["c"])
    np.testing.assert_allclose(FirstTokenEntropy().label(batch), [1, 1, 1, 1, 0, 0, NAN])


@pytest.mark.parametrize(
    ("told", "entropy", "margin", "difference"),
    [
        ([-1.0, -1.0], 1.0, 0.0, 0.0),
        ([-1.0] * 8, 3.0, 0.0, 0.0),
        ([math.log(0.75) - 900, math.log(0.25) - 900], 0.8112781, math.log(3), 0.5),
        ([math.log(0.1), math.log(0.7), math.log(0.2)], 1.1567796, math.log(3.5), 0.5),
        ([-1.0], NAN, NAN, NAN),
        ([], NAN, NAN, NAN),
        ([-1.0, None], NAN, NAN, NAN),
        ([-1.0, "-2"], NAN, NAN, NAN),
        ([-1.0, True], NAN, NAN, NAN),
        ([-1.0, float("-inf")], NAN, NAN, NAN),
        ("-1 -2", NAN, NAN, NAN),
        (None, NAN, NAN, NAN),
    ],
)
def test_choices(told: JSONValue, entropy: float, margin: float, difference: float) -> None:
    """Entropy and margins come from the softmax over finite numbers, at least two; anything else is missing."""
    batch = text_batch(["A"], metadata=[{"choice_logprobs": told}])
    np.testing.assert_allclose(FirstTokenEntropy(source="choices").label(batch), [entropy], atol=1e-7)
    np.testing.assert_allclose(ChoiceMargin().label(batch), [margin], atol=1e-12)
    np.testing.assert_allclose(ChoiceMargin(scale="probability").label(batch), [difference], atol=1e-7)


def test_recorded_entropy() -> None:
    """What the source recorded is taken as it is, if it is an entropy."""
    told: list[JSONValue] = [1.5, 0, -1.0, True, "1", None]
    batch = text_batch(["a"] * 6, metadata=[{"first_token_entropy": value} for value in told])
    np.testing.assert_allclose(FirstTokenEntropy(source="recorded").label(batch), [1.5, 0, NAN, NAN, NAN, NAN])


def test_needs_and_spaces_follow_the_fields() -> None:
    """A featurizer declares what its own source needs, and a probability's margin lies between 0 and 1."""
    assert FirstTokenEntropy().needs == ("text", "siblings")
    assert FirstTokenEntropy(source="choices").needs == ("metadata",)
    assert len(ChoiceMargin().space.outcomes) == 20
    assert len(ChoiceMargin(scale="probability").space.outcomes) == 10


def test_unknown_fields_are_refused() -> None:
    """An unknown source or scale is the user's mistake, with what is allowed."""
    with pytest.raises(ValueError, match="source is 'model', must be one of siblings, choices, recorded"):
        FirstTokenEntropy(source="model")  # type: ignore[arg-type] # what must fail
    with pytest.raises(ValueError, match="scale is 'bits', must be one of logprob, probability"):
        ChoiceMargin(scale="bits")  # type: ignore[arg-type] # what must fail
