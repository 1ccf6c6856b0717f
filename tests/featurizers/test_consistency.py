"""Consistency: closed forms over samples, and what counts as the same answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from featurizers.consistency import Agreement, Answer, AnswerCount, AnswerEntropy
from metamodel.text import text_batch

NAN = float("nan")


def test_table() -> None:
    """Four samples with answers 2 : 1 : 1, two that agree, and one alone, mixed in the batch."""
    texts = ["Yes", "x", "no", "alone", "yes.", "X", "perhaps"]
    batch = text_batch(texts, prompt_ids=["a", "b", "a", "c", "a", "b", "a"])
    np.testing.assert_allclose(Agreement().label(batch), [0.5, 1, 0.5, NAN, 0.5, 1, 0.5])
    np.testing.assert_allclose(Agreement(by="pairs").label(batch), [1 / 6, 1, 1 / 6, NAN, 1 / 6, 1, 1 / 6])
    np.testing.assert_allclose(AnswerEntropy().label(batch), [1.5, 0, 1.5, NAN, 1.5, 0, 1.5])
    np.testing.assert_allclose(AnswerCount().label(batch), [3, 1, 3, NAN, 3, 1, 3])


@pytest.mark.parametrize("k", [2, 3, 16])
def test_all_different(k: int) -> None:
    """With k different answers 1/k agree, no pair does, log2 k bits."""
    batch = text_batch([f"answer {sample}" for sample in range(k)], prompt_ids=["a"] * k)
    np.testing.assert_allclose(Agreement().label(batch), [1 / k] * k)
    np.testing.assert_allclose(Agreement(by="pairs").label(batch), [0] * k)
    np.testing.assert_allclose(AnswerEntropy().label(batch), [math.log2(k)] * k)
    np.testing.assert_allclose(AnswerCount().label(batch), [k] * k)


def test_primary_models_do_not_mix() -> None:
    """Samples of two primary models for one prompt are no siblings of each other."""
    batch = replace(text_batch(["a", "b", "c"], prompt_ids=["p"] * 3), primaries=["one", "one", "two"])
    np.testing.assert_allclose(AnswerCount().label(batch), [2, 2, NAN])


@pytest.mark.parametrize(
    ("answer", "n"),
    [("whole", 3), ("first_line", 2), ("last_line", 1), ("letter", 2)],
)
def test_what_an_answer_is(answer: Answer, n: int) -> None:
    """The field says which part of an output is compared."""
    texts = [
        "\nA thought.\nThe answer is (A).",
        "Another.\n\nThe answer is (A).\n",
        "A thought.\n(C) or (D)?\nThe answer is (a)",
    ]
    batch = text_batch(texts, prompt_ids=["p"] * 3)
    if answer == "letter":
        batch = text_batch([texts[0], texts[1], "I cannot say."], prompt_ids=["p"] * 3)
    assert AnswerCount(answer=answer).label(batch).tolist() == [n] * 3


def test_unknown_fields_are_refused() -> None:
    """An unknown kind of answer or agreement is the user's mistake, with what is allowed."""
    for component in (Agreement, AnswerEntropy, AnswerCount):
        with pytest.raises(ValueError, match="answer is 'number', must be one of whole, first_line, last_line, letter"):
            component(answer="number")  # type: ignore[arg-type] # what must fail
    with pytest.raises(ValueError, match="by is 'triples', must be one of mode, pairs"):
        Agreement(by="triples")  # type: ignore[arg-type] # what must fail
