"""What the tests of prompt sources share."""

from __future__ import annotations

from itertools import islice

import pytest

from metamodel.prompts.arithmetic import Addition, Multiplication, Subtraction
from metamodel.prompts.base import Example, GeneratedDomain
from metamodel.prompts.facts import Capitals, CounterfactualCapitals
from metamodel.prompts.mechanistic import Mechanistic, RepeatedText
from metamodel.prompts.memory import QuoteRepetition, Recall
from metamodel.prompts.ordering import Comparison, Sorting
from metamodel.prompts.reasoning import HindsightBet, NegatedQuestion, RedefinedMath
from metamodel.prompts.stories import StoryContinuation, Summary
from metamodel.prompts.strings import Cycle, Reversal, Successor
from metamodel.prompts.traps import MemoTrap, MistakenCapitals, PatternSuppression

N_EXAMPLES = 400

GENERATORS: tuple[type[GeneratedDomain], ...] = (
    Addition,
    Subtraction,
    Multiplication,
    Comparison,
    Sorting,
    Reversal,
    Successor,
    Cycle,
    Recall,
    QuoteRepetition,
    RedefinedMath,
    NegatedQuestion,
    HindsightBet,
    Capitals,
    CounterfactualCapitals,
    StoryContinuation,
    Summary,
    Mechanistic,
    RepeatedText,
    MemoTrap,
    PatternSuppression,
    MistakenCapitals,
)


@pytest.fixture(params=GENERATORS, ids=lambda generator: generator.__name__)
def generator(request: pytest.FixtureRequest) -> GeneratedDomain:
    """Return every generated domain with its defaults."""
    component: GeneratedDomain = request.param()
    return component


@pytest.fixture
def first_examples(generator: GeneratedDomain) -> list[Example]:
    """Return the first examples of a domain."""
    return list(islice(generator.examples(seed=0), N_EXAMPLES))
