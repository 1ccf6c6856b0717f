"""The tasks that pull a trained model off its answer: what is right, and what the trap is."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from metamodel.prompts import ZOO_HELD_OUT_DOMAINS
from metamodel.prompts.base import GeneratedDomain, data_lines
from metamodel.prompts.facts import Capitals, load_capitals
from metamodel.prompts.traps import MemoTrap, MistakenCapitals, PatternSuppression, load_mistaken_capitals
from metamodel.types import Prompt

N_PROMPTS = 300
TRAPS = (MemoTrap(), PatternSuppression(), MistakenCapitals())


def _prompts(source: GeneratedDomain) -> list[Prompt]:
    return list(islice(source.prompts(seed=1), N_PROMPTS))


@pytest.mark.parametrize("source", TRAPS, ids=lambda source: source.domain)
def test_both_answers_are_offered(source: GeneratedDomain) -> None:
    """Protects the choice: right answer and trap are the two choices, either of them first about as often."""
    prompts = _prompts(source)
    for prompt in prompts:
        assert len(set(prompt.choices)) == 2
        assert prompt.references[0] in prompt.choices
    first = [prompt.choices[0] == prompt.references[0] for prompt in prompts]
    assert 0.4 < sum(first) / len(first) < 0.6


@pytest.mark.parametrize("source", TRAPS, ids=lambda source: source.domain)
def test_the_zoo_never_read_them(source: GeneratedDomain) -> None:
    """Protects what the tasks measure: they are evaluations, and no part of the zoo's training."""
    assert source.domain in ZOO_HELD_OUT_DOMAINS


def test_a_quote_ends_in_the_asked_word() -> None:
    """Protects memo_trap: the prompt is a known sentence but for its last word, which is the trap."""
    for prompt in _prompts(MemoTrap()):
        match = re.fullmatch(r'Write a quote that ends in the word "(\w+)": (.+)', prompt.text)
        assert match
        asked, start = match.groups()
        (trap,) = set(prompt.choices) - {asked}
        assert prompt.references == (asked,)
        assert f"{start} {trap}" in data_lines("quotes.txt")
        assert (prompt.attributes["context_answer"], prompt.attributes["memory_answer"]) == (asked, trap)


def test_a_pattern_is_broken() -> None:
    """Protects pattern_suppression: the trap continues the alternation that is shown, gold repeats the last item."""
    lengths = set()
    for prompt in _prompts(PatternSuppression()):
        match = re.fullmatch(
            r"Write (\d+) (\w+), (\w+) and (\w+) in turn, with a surprise at the end: (.+)", prompt.text
        )
        assert match
        n_items, kind, first, second, shown = match.groups()
        items = shown.split()
        (trap,) = set(prompt.choices) - set(prompt.references)
        whole = [*items, trap]
        assert whole == [(first, second)[place % 2] for place in range(int(n_items))]
        assert prompt.references == (items[-1],)
        assert (prompt.attributes["kind"], prompt.attributes["n_items"]) == (kind, int(n_items))
        lengths.add(int(n_items))
    assert lengths == set(range(4, 13))


def test_too_short_a_pattern_is_refused() -> None:
    """Protects users: three items show no pattern."""
    with pytest.raises(ValueError, match="must be 4 <= min_items"):
        PatternSuppression(min_items=3)


def test_mistakes_are_mistakes() -> None:
    """Protects mistaken_capitals: every place is known, and the city named is not its capital."""
    capitals = dict(load_capitals())
    places = [place for place, _ in load_mistaken_capitals()]
    assert len(set(places)) == len(places) > 50
    for place, city in load_mistaken_capitals():
        assert capitals[place] != city


def test_the_capital_is_right() -> None:
    """Protects mistaken_capitals: gold is the capital of the place asked for, in a text no training prompt holds."""
    capitals = dict(load_capitals())
    trained_on = {prompt.text for prompt in islice(Capitals().prompts(seed=0), 4000)}
    for prompt in _prompts(MistakenCapitals()):
        place = next(place for place, city in load_mistaken_capitals() if city in prompt.text and place in prompt.text)
        assert prompt.references == (capitals[place],)
        assert prompt.text not in trained_on
