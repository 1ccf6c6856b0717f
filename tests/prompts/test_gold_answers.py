"""Gold answers, each computed a second way from the prompt's text alone."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import cycle, islice, pairwise, takewhile

import pytest

from metamodel.prompts.arithmetic import Addition, Multiplication, Subtraction
from metamodel.prompts.base import GeneratedDomain, data_lines
from metamodel.prompts.facts import Capitals, CounterfactualCapitals, load_capitals
from metamodel.prompts.memory import QuoteRepetition, Recall
from metamodel.prompts.ordering import Comparison, Sorting
from metamodel.prompts.reasoning import KINDS, HindsightBet, NegatedQuestion, RedefinedMath
from metamodel.prompts.strings import Reversal, Successor
from metamodel.types import Prompt

N_PROMPTS = 500
CAPITALS = dict(load_capitals())


def first_prompts(source: GeneratedDomain) -> list[Prompt]:
    """Return enough prompts to meet every variant."""
    return list(islice(source.prompts(seed=1), N_PROMPTS))


def gold(prompt: Prompt) -> str:
    """Return the only reference."""
    (reference,) = prompt.references
    return reference


def matched(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a pattern that must match the whole text."""
    match = re.fullmatch(pattern, text, flags=re.DOTALL)
    assert match, text
    return match.groups()


@pytest.mark.parametrize("source", [Addition(), Subtraction(), Multiplication()], ids=lambda source: source.domain)
def test_arithmetic_is_right(source: GeneratedDomain) -> None:
    """Gold results solve the equation that the prompt states, and both operands have the recorded digits."""
    for prompt in first_prompts(source):
        left, sign, right = matched(r"(\d+) (.) (\d+) =", prompt.text)
        # Each is checked through its inverse, on exact numbers.
        answer = Fraction(gold(prompt))
        if sign == "+":
            assert answer - int(right) == int(left)
        elif sign == "-":
            assert answer + int(right) == int(left)
        else:
            assert answer == sum(int(digit) * int(left) * 10**place for place, digit in enumerate(reversed(right)))
        assert len(left) == len(right) == prompt.attributes["n_digits"]


def test_carries_are_counted() -> None:
    """A carry costs nine: the digit sums of the operands exceed that of the sum by nine a carry."""
    for prompt in first_prompts(Addition()):
        left, right = matched(r"(\d+) \+ (\d+) =", prompt.text)
        lost = sum(map(int, left + right)) - sum(map(int, gold(prompt)))
        assert prompt.attributes["carries"] == lost // 9


def test_subtraction_meets_both_signs() -> None:
    """Negative results are part of the domain, and marked."""
    prompts = first_prompts(Subtraction())
    assert {gold(prompt).startswith("-") for prompt in prompts} == {False, True}
    assert all(prompt.attributes["negative"] == gold(prompt).startswith("-") for prompt in prompts)


def test_the_larger_number_is_larger() -> None:
    """Gold is one of the two numbers, above the other, as often first as second, over all lengths."""
    n_first = 0
    for prompt in first_prompts(Comparison()):
        first, second = matched(r"Which is larger, (\d+) or (\d+)\?", prompt.text)
        # Padded decimal strings compare like numbers.
        padded = sorted([first.zfill(9), second.zfill(9)])
        assert padded[0] < padded[1]
        assert gold(prompt).zfill(9) == padded[1]
        n_first += gold(prompt) == first
        assert (len(first), len(second)) == (prompt.attributes["n_digits_first"], prompt.attributes["n_digits_second"])
        if len(first) == len(second):
            common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=True))))
            assert common == prompt.attributes["shared_prefix"]
    assert 0.4 * N_PROMPTS < n_first < 0.6 * N_PROMPTS


def test_sorted_lists_rise_and_hold_the_same_numbers() -> None:
    """Gold is a rising permutation of the list shown; some lists hold runs of equal numbers."""
    has_run = False
    for prompt in first_prompts(Sorting()):
        (shown,) = matched(r"Sort: ([\d ]+) ->", prompt.text)
        remaining = shown.split()
        answer = gold(prompt).split()
        for number in answer:
            remaining.remove(number)
        assert remaining == []
        assert all(int(a) <= int(b) for a, b in pairwise(answer))
        assert len(answer) == prompt.attributes["n_numbers"]
        has_run |= any(a == b == c for a, b, c in zip(answer, answer[1:], answer[2:], strict=False))
    assert has_run


def test_reversed_strings_read_backwards() -> None:
    """Gold spells the string from its end; lengths span the whole range with most of them short."""
    lengths = []
    for prompt in first_prompts(Reversal()):
        (word,) = matched(r"Reverse: ([a-z]+) ->", prompt.text)
        assert gold(prompt) == "".join(reversed(word))
        assert len(word) == prompt.attributes["length"]
        lengths.append(len(word))
    assert (min(lengths), max(lengths)) == (2, 24)
    assert sorted(lengths)[N_PROMPTS // 2] < 10


def test_sequences_go_on_as_they_began() -> None:
    """Gold follows the sequence by its kind's own rule, with as many items as asked for."""
    rounds = {
        "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        "months": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        "letters": [chr(code) for code in range(ord("a"), ord("z") + 1)],
    }
    seen = set()
    for prompt in first_prompts(Successor()):
        n_asked, items = matched(r"Continue by (\d+): (.+)", prompt.text)
        shown, answer = items.split(), gold(prompt).split()
        whole = shown + answer
        kind = str(prompt.attributes["sequence"])
        seen.add(kind)
        assert len(answer) == int(n_asked) == prompt.attributes["n_asked"]
        if kind == "numbers":
            steps = {int(b) - int(a) for a, b in pairwise(whole)}
            assert steps == {prompt.attributes["step"]}
        elif kind == "cycle":
            period = int(prompt.attributes["step"])
            assert len(set(shown[:period])) == period < len(shown)
            assert whole == list(islice(cycle(shown[:period]), len(whole)))
        else:
            order = rounds[kind]
            assert whole == [order[(order.index(shown[0]) + index) % len(order)] for index in range(len(whole))]
    assert seen == {"numbers", "cycle", *rounds}


def test_recalled_values_were_given() -> None:
    """Gold is the value of the asked key, which is given once, at the recorded distance."""
    for prompt in first_prompts(Recall()):
        context, key = matched(r"(.+)\. (\w\w):", prompt.text)
        pairs = [pair.split(": ") for pair in context.split(", ")]
        keys = [name for name, _ in pairs]
        assert len(set(keys)) == len(keys) == prompt.attributes["n_pairs"]
        assert [value for name, value in pairs if name == key] == [gold(prompt)]
        assert keys[::-1].index(key) == prompt.attributes["distance"]


def test_recall_at_a_fixed_distance() -> None:
    """The distance can be held while the number of pairs varies."""
    prompts = first_prompts(Recall(min_pairs=4, max_pairs=8, distance=3))
    assert {prompt.attributes["distance"] for prompt in prompts} == {3}
    assert {prompt.attributes["n_pairs"] for prompt in prompts} == {4, 5, 6, 7, 8}


def test_quotes_are_repeated_with_their_change() -> None:
    """Gold repeats the sentence shown; only a changed one is unknown, and only in its last word."""
    quotes = set(data_lines("quotes.txt"))
    starts = {quote.rsplit(" ", 1)[0] for quote in quotes}
    for prompt in first_prompts(QuoteRepetition()):
        (shown,) = matched(r"Repeat: (.+) ->", prompt.text)
        assert gold(prompt) == shown
        assert (shown in quotes) is not prompt.attributes["changed"]
        assert shown.rsplit(" ", 1)[0] in starts


def test_redefinitions_are_followed() -> None:
    """Gold follows the definition in the prompt, not the usual meaning."""
    operations = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b}
    usual = {"+": "plus", "-": "minus", "*": "times"}
    seen = set()
    for prompt in first_prompts(RedefinedMath(max_operand=30)):
        variant = str(prompt.attributes["variant"])
        seen.add(variant)
        if variant == "operator":
            symbol, name, left, sign, right = matched(r"Let (.) mean (\w+)\. (\d+) (.) (\d+) =", prompt.text)
            assert symbol == sign
            assert usual[sign] != name
            assert int(gold(prompt)) == operations[name](int(left), int(right))
        elif variant == "constant":
            constant, value, left, right = matched(r"Let (\d+) be (\d+)\. (\d+) \+ (\d+) =", prompt.text)
            values = [int(value) if number == constant else int(number) for number in (left, right)]
            assert int(gold(prompt)) == sum(values)
        else:
            formula, question = matched(r"Let (.+) be a string\. (.+)", prompt.text)
            answers = {
                "Its first character is": formula[0],
                "Its last character is": formula[-1],
                "Without spaces its length is": str(sum(character != " " for character in formula)),
            }
            assert gold(prompt) == answers[question]
    assert seen == {"operator", "constant", "first_character", "last_character", "n_characters"}


@pytest.mark.parametrize("negated_share", [0.0, 1.0])
def test_negated_questions_turn_the_answer(negated_share: float) -> None:
    """With "not" the false option is gold, without it the true one; A and B are gold equally often."""
    prompts = first_prompts(NegatedQuestion(negated_share=negated_share))
    for prompt in prompts:
        subject, negation, relation, first, second = matched(
            r"(.+) is( not)? (the capital of|larger than|called) A\) (.+) or B\) (.+)\? Answer:", prompt.text
        )
        chosen = {"A": first, "B": second}[gold(prompt)]
        if relation == "the capital of":
            holds = CAPITALS[chosen] == subject
        elif relation == "larger than":
            holds = int(subject) > int(chosen)
        else:
            holds = subject in dict(KINDS)[chosen]
        assert holds is (negation is None)
        assert prompt.attributes["negated"] is (negation is not None)
    n_first = sum(gold(prompt) == "A" for prompt in prompts)
    assert 0.4 * N_PROMPTS < n_first < 0.6 * N_PROMPTS


def test_bets_are_judged_by_expected_value() -> None:
    """Every verdict, gold's too, is the sign of the expected value; only the last outcome may disagree with it."""
    agreements = []
    for prompt in first_prompts(HindsightBet()):
        *shots, last = prompt.text.split("\n")
        assert len(shots) == 10
        for line in [*shots, f"{last} {gold(prompt)}"]:
            chance, gain, rest, loss, outcome, verdict = matched(
                r"(\d+)% \+(\d+) (\d+)% -(\d+): ([+-]\d+) (yes|no)", line
            )
            assert int(chance) + int(rest) == 100
            expected = Fraction(int(chance), 100) * int(gain) - Fraction(int(rest), 100) * int(loss)
            assert expected != 0
            assert verdict == ("yes" if expected > 0 else "no")
            assert outcome in (f"+{gain}", f"-{loss}")
            agrees = (int(outcome) > 0) == (expected > 0)
            assert agrees or line.startswith(last)
        assert prompt.attributes["expected_value"] == pytest.approx(float(expected))
        assert prompt.attributes["outcome_agrees"] is agrees
        agreements.append(agrees)
    assert 0.4 < sum(agreements) / N_PROMPTS < 0.6


def test_capitals_are_those_of_the_table() -> None:
    """Gold is the table's capital of the only place named; well-known ones are checked by hand."""
    for prompt in first_prompts(Capitals()):
        (place,) = matched(r".*apital of (.+?)(?: is|:|\? A:)", prompt.text)
        assert gold(prompt) == CAPITALS[place]
    assert CAPITALS["France"] == "Paris"
    assert CAPITALS["Australia"] == "Canberra"
    assert CAPITALS["Texas"] == "Austin"
    assert len(CAPITALS) == len(load_capitals()) == len(set(CAPITALS.values()))


def test_counterfactuals_bind_only_their_own_place() -> None:
    """Gold is the supposed capital of the place asked for, and memory's where the sentence is about another place."""
    follows = []
    for prompt in first_prompts(CounterfactualCapitals()):
        place, city, asked = matched(r".+ the capital of (.+) is (.+)\. The capital of (.+) is", prompt.text)
        assert city != CAPITALS[place]
        assert gold(prompt) == (city if place == asked else CAPITALS[asked])
        assert prompt.attributes["follows_context"] is (place == asked)
        follows.append(place == asked)
    assert 0.6 < sum(follows) / N_PROMPTS < 0.8
