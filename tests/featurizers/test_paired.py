"""Paired behaviors: what counts as a flip, a spread, a gain, and who is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featurizers.context import FollowsContext, ShotsGain
from featurizers.flips import AnswerFlip, AnswerFlipShare, FormatSpread
from featurizers.updates import ModelFlip, NegativeFlip, PositiveFlip
from metamodel.analysis.pairs import answer_of, is_right
from metamodel.text import text_batch
from metamodel.types import PartnerOutput


def version(text: str, variant: str, **more: object) -> PartnerOutput:
    """Return an output for a changed version."""
    return PartnerOutput(text=text, variant=variant, **more)  # type: ignore[arg-type] # fields of a partner


def test_flips_compare_normalized_answers_of_the_same_sample() -> None:
    """Case and points are no flip; another sample's output, or another kind of change, is not looked at."""
    versions = [
        version("PARIS.", "swap 1"),
        version("Lima", "swap 1", sample=1),
        version("Lima", "format 1"),
        version("Rome", "swap 2", primary="another"),
    ]
    batch = text_batch(["Paris", "Paris"], prompt_ids=["a", "a"], partners=[versions, versions])
    assert AnswerFlip(changes=("swap",)).label(batch).tolist() == [0, 1]
    assert AnswerFlipShare().label(batch).tolist() == [0.5, 1]
    assert np.isnan(AnswerFlip(changes=("keyboard",)).label(batch)).all()


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("The answer is (B).", {"A": "C", "B": "A", "C": "B"}, "A"),
        ("B", None, "B"),
        ("2) Lima", {"1": "A", "2": "B"}, "B"),
        ("[iv]", {"i": "A", "iv": "D"}, "D"),
        ("I do not know", {"1": "A", "2": "B"}, ""),
    ],
)
def test_letters_mean_what_they_stood_for(text: str, labels: dict[str, str] | None, expected: str) -> None:
    """After options moved or were renumbered, the same option is the same answer, whatever its label."""
    assert answer_of(text, "letter", labels=labels) == expected  # type: ignore[arg-type] # JSON


def test_an_answer_that_follows_its_option_is_no_flip() -> None:
    """Choosing the same text under another letter is consistent; the same letter is a flip."""
    labels = {"A": "B", "B": "A"}
    followed = version("The answer is (A).", "options 1", attributes={"labels": labels})
    stayed = version("The answer is (B).", "options 1", attributes={"labels": labels})
    batch = text_batch(["The answer is (B)."] * 2, partners=[[followed], [stayed]])
    assert AnswerFlip(answer="letter").label(batch).tolist() == [0, 1]


def test_format_spread_is_best_less_worst() -> None:
    """Accuracies 1/2 (own format), 1 and 0 spread by 1; the label is the same for all samples, and needs references."""
    versions = [
        version(text, f"format {number}", sample=sample, references=("4",), prompt=str(number))
        for number, texts in ((1, ("4", "4")), (2, ("5", "6")))
        for sample, text in enumerate(texts)
    ]
    batch = text_batch(["4", "5"], prompt_ids=["a", "a"], references=[["4"]] * 2, partners=[versions] * 2)
    assert FormatSpread().label(batch).tolist() == [1, 1]
    own_best = replace(batch, partners=[versions[:2]] * 2)
    assert FormatSpread().label(own_best).tolist() == [0.5, 0.5]
    assert np.isnan(FormatSpread().label(replace(batch, references=[(), ()]))).all()


def test_context_or_memory() -> None:
    """The longer of two answers counts where one begins with the other; a changed version is asked where needed."""
    knows = {"context_answer": "New York", "memory_answer": "New"}
    batch = text_batch(["New York it is", "new one", "Rome"], attributes=[knows] * 3)
    assert FollowsContext(match="prefix").label(batch).tolist() == [0, 1, 2]
    asked = version("Lima", "counterfactual 1", attributes={"context_answer": "Lima", "memory_answer": "Paris"})
    paired = text_batch(["Paris", "Paris"], partners=[[asked], []])
    np.testing.assert_array_equal(FollowsContext().label(paired), [0, np.nan])


def test_examples_help_or_hurt() -> None:
    """Gained, unchanged, lost, and missing where there is no version with so many examples."""
    right, wrong = (version(text, "shots 2", references=("4",), attributes={"n_shots": 2}) for text in ("4", "5"))
    batch = text_batch(["5", "4", "4"], references=[["4"]] * 3, partners=[[right], [right], [wrong]])
    assert ShotsGain(n_shots=2).label(batch).tolist() == [2, 1, 0]
    assert np.isnan(ShotsGain(n_shots=4).label(batch)).all()


def test_flips_between_models() -> None:
    """The four kinds, their two binary views, and no label for the model that all are compared with."""
    outputs = [("5", "5"), ("5", "4"), ("4", "5"), ("4", "4")]
    batch = text_batch(
        [new for new, _ in outputs],
        references=[["4"]] * 4,
        partners=[[PartnerOutput(text=old, primary="v1", references=("4",))] for _, old in outputs],
    )
    assert ModelFlip(other="v1").label(batch).tolist() == [0, 1, 2, 3]
    assert NegativeFlip(other="v1").label(batch).tolist() == [0, 1, 0, 0]
    assert PositiveFlip(other="v1").label(batch).tolist() == [0, 0, 1, 0]
    assert np.isnan(ModelFlip(other="v1").label(replace(batch, primaries=["v1"] * 4))).all()


@pytest.mark.parametrize(
    ("text", "match", "expected"),
    [
        ("42.", "exact", True),
        ("42 or so", "exact", False),
        ("42 or so", "prefix", True),
        ("420", "prefix", False),
        ("\n 42\nand more", "first_line", True),
        ("The answer is (B).", "letter", False),
    ],
)
def test_what_is_right(text: str, match: str, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    """Each way to judge takes what it says and no more."""
    assert is_right(text, ["42"], match) is expected  # type: ignore[arg-type] # one of the four
    assert is_right("I choose (B)", ["B"], "letter")
    assert not is_right("A good idea", ["A"], "letter")
