"""A component refuses a config that means nothing, naming everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from metamodel.prompts.arithmetic import Addition, Multiplication, Subtraction
from metamodel.prompts.facts import CounterfactualCapitals
from metamodel.prompts.files import PromptFile, TextWindows
from metamodel.prompts.mechanistic import Mechanistic
from metamodel.prompts.memory import QuoteRepetition, Recall
from metamodel.prompts.ordering import Comparison, Sorting
from metamodel.prompts.reasoning import HindsightBet, NegatedQuestion, RedefinedMath
from metamodel.prompts.stories import StoryContinuation, Summary
from metamodel.prompts.strings import Reversal, Successor

REFUSED: tuple[tuple[Callable[[], object], str], ...] = (
    (lambda: Addition(min_digits=0), "min_digits is 0"),
    (lambda: Subtraction(min_digits=5, max_digits=2), "min_digits is 5 and max_digits is 2"),
    (lambda: Multiplication(max_digits=19), "max_digits <= 18"),
    (lambda: Comparison(same_length_share=1.5), "same_length_share is 1.5, must be from 0 to 1"),
    (lambda: Sorting(min_numbers=0), "min_numbers is 0"),
    (lambda: Reversal(few_letters_share=0.7, periodic_share=0.7), "few_letters_share + periodic_share is 1.4"),
    (lambda: Successor(sequences=("days", "weeks")), "sequences names 'weeks', allowed are numbers, days"),
    (lambda: Successor(sequences=()), "sequences is empty"),
    (lambda: Recall(min_pairs=2, distance=2), "distance is 2, must be from 0 to min_pairs - 1 = 1"),
    (lambda: QuoteRepetition(changed_share=-0.1), "changed_share is -0.1"),
    (lambda: RedefinedMath(max_operand=0), "max_operand is 0"),
    (lambda: NegatedQuestion(negated_share=2), "negated_share is 2"),
    (lambda: HindsightBet(n_shots=15), "n_shots is 15, must be from 0 to 14"),
    (lambda: CounterfactualCapitals(other_place_share=2), "other_place_share is 2"),
    (lambda: StoryContinuation(max_sentences=0), "max_sentences is 0"),
    (lambda: Summary(min_sentences=1), "min_sentences is 1"),
    (lambda: Mechanistic(alphabet=""), "alphabet is empty"),
    (lambda: PromptFile(path="prompts.xlsx"), "suffix is '.xlsx', must be one of .jsonl, .csv, .parquet"),
    (lambda: TextWindows(path="texts", min_words=9, max_words=3), "min_words is 9 and max_words is 3"),
)


@pytest.mark.parametrize(("build", "problem"), REFUSED)
def test_senseless_configs_are_refused(build: Callable[[], object], problem: str) -> None:
    """The message carries the field, the value got and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        build()


def test_all_problems_are_named_at_once() -> None:
    """Two mistakes are mended in one go."""
    with pytest.raises(ValueError, match=r"max_digits is 0.*; same_length_share is 2"):
        Comparison(max_digits=0, same_length_share=2)
