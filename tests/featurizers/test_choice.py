"""Multiple choice: which letters are answers, and which are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featurizers.choice import ChoiceCorrect, ChoiceLetter, Length, LikeliestChoiceCorrect, NoAnswer
from metamodel.analysis.answers import final_letter
from metamodel.text import text_batch
from metamodel.types import JSONValue


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (C).", "C"),
        ("The answer is C", "C"),
        ("the correct answer is: (C)", "C"),
        ("Answer: C", "C"),
        ("ANSWER: C", "C"),
        ("**Answer:** C", "C"),
        ("**Answer**: **C**", "C"),
        ("Answer - see below.\nAnswer: C) Paris", "C"),
        ("The answer is **C. Paris**.", "C"),
        ("The answer is:\n\nC. Paris", "C"),
        ("The final answer is $\\boxed{C}$.", "C"),
        ("The answer is \\text{(C)}", "C"),
        ("\\boxed{\\text{C}}", "C"),
        ("The correct answer would be option (C)", "C"),
        ("The answer to this question is (c)", "C"),
        ("The answer is probably C, since it rains.", "C"),
        ("The answer is (A). No, the answer is (C).", "C"),
        ("The closest option is (C) 510 grams", "C"),
        ("The best choice is C.", "C"),
        ("C", "C"),
        (" (C)\n", "C"),
        ("**C**", "C"),
        ("C. Paris", "C"),
        ("(C). Not too confident", "C"),
        ("Let me think.\nC", "C"),
        ("Let me think.\n**C**", "C"),
        ("The values of a and b are (C).", "C"),
        ("The answer is A", "A"),
        ("The answer is A because of this", "A"),
        ("The answer is I.", "I"),
        ("The answer is (A) and (C).", "A"),
        ("The incorrect answer is (A). The answer is (C).", "C"),
        ("The answer is (A) is wrong, so the answer is (C).", "C"),
    ],
)
def test_letters_that_are_answers(text: str, letter: str) -> None:
    """Models announce a letter in many ways; each is read as people read it."""
    assert final_letter(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "Paris",
        "A robe takes 2 bolts.",
        "I am not sure.",
        "The answer is a mystery.",
        "The answer is I don't know",
        "The answer is A robe.",
        "The answer is Both.",
        "The answer is (Insufficient information).",
        "The answer is (ACI).",
        "The answer is F = ma",
        "The answer is C(10, 3).",
        "The answer is (",
        "The answer is 42.",
        "Answer: Cannot be determined.",
        "The answer is K.",
        "A. 2 * 14\nB. 3 * 3\nC. 7 * 2",
        "the answer is b",
    ],
)
def test_letters_that_are_words(text: str) -> None:
    """Articles, formulas, enumerations and parts of words are no answers: the behavior is then that there is none."""
    assert final_letter(text) is None


def test_fields_of_the_reader() -> None:
    """Which of several announcements or letters counts, and which letters there are, is the user's choice."""
    twice = "The answer is (A).\nFinal Answer: (C)"
    assert final_letter(twice, take="first") == "A"
    assert final_letter("The answer is (A) and (C).", several="none") is None
    assert final_letter("The answer is (A) or B.", several="none") is None
    assert final_letter("The answer is C, I think.", several="none") == "C"
    assert final_letter("The answer is (K)", letters="ABCDEFGHIJK") == "K"


def test_labels() -> None:
    """The three behaviors read the same letter: its class, its absence and whether it is a reference's."""
    texts = ["The answer is (B).", "None.", "(C)"]
    references = [["B"], ["B"], ["2", "zero"]]
    choices = [[], [], ["zero", "one", "two"]]
    batch = text_batch(texts, references=references, choices=choices)
    assert ChoiceLetter().label(batch).tolist() == [2, 0, 3]
    assert NoAnswer().label(batch).tolist() == [0, 1, 0]
    assert ChoiceCorrect().label(batch).tolist() == [1, 0, 1]
    assert ChoiceLetter(letters="AB").space.outcomes == ("none", "A", "B")
    assert math.isnan(ChoiceCorrect().label(text_batch(["A"], references=[["Paris"]]))[0])


@pytest.mark.parametrize(("divide_by", "expected"), [("none", [1, 0]), ("characters", [0, 0]), ("bytes", [0, 1])])
def test_likeliest_choice(divide_by: Length, expected: list[float]) -> None:
    """The argmax is taken as lm-evaluation-harness takes acc, acc_norm and acc_bytes."""
    batch = text_batch(
        [""] * 2,
        choices=[["ab", "abcd"], ["ééé", "abcde"]],
        references=[["ab"], ["0"]],
        metadata=[{"choice_logprobs": [-3, -5]}, {"choice_logprobs": [-3.1, -3.0]}],
    )
    assert LikeliestChoiceCorrect(divide_by=divide_by).label(batch).tolist() == expected


@pytest.mark.parametrize("logprobs", [None, [-1], [-1, None], [-1, math.nan], "no", [-1, True]])
def test_likeliest_choice_is_missing_without_log_likelihoods(logprobs: JSONValue) -> None:
    """A log-likelihood that is absent, for one choice at least, is never taken for a number."""
    batch = text_batch([""], choices=[["a", "b"]], references=[["a"]], metadata=[{"choice_logprobs": logprobs}])
    assert np.isnan(LikeliestChoiceCorrect().label(batch)).all()


@pytest.mark.parametrize(
    "piece", ["answer ", "answer is ", "(A) ", "answer: (", "\\boxed{", "A.\n", "\n", "best option is "]
)
def test_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    """A runaway output must not stall a run: quadratic time would not end within the suite's patience."""
    assert final_letter(piece * (1_000_000 // len(piece))) in (None, "A")


def test_refuses_fields_that_mean_nothing() -> None:
    """A misspelled field must not silently become another behavior."""
    with pytest.raises(ValueError, match="letters is 'BCA', must be the first letters"):
        ChoiceLetter(letters="BCA")
    with pytest.raises(ValueError, match="take is 'final'"):
        NoAnswer(take="final")  # type: ignore[arg-type] # what must fail
    with pytest.raises(ValueError, match="divide_by is 'tokens'"):
        LikeliestChoiceCorrect(divide_by="tokens")  # type: ignore[arg-type] # what must fail
