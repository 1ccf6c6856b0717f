"""Correctness: which differences between an output and a gold answer count."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.correctness import F1, Correct, Match
from metamodel.analysis.patterns import Occurrence
from metamodel.text import normalize, text_batch

NAN = float("nan")


def is_correct(text: str, *references: str, **fields: bool) -> bool:
    """Return the label of one output."""
    return bool(Correct(**fields).label(text_batch([text], references=[references]))[0])  # type: ignore[arg-type] # flags


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (" 42", "42"),
        ("42.", "42"),
        ("\n42\n", "42"),
        ("**42**", "42"),
        ("`42`", "42"),
        ("\uff14\uff12", "42"),
        ("1,234,567", "1234567"),
        ("In 1,234, we", "in 1234 we"),
        ("-12", " -12."),
        ("\N{MINUS SIGN}12", "-12"),
        ("- 12", "-12"),
        ("(-12)", "-12"),
        ("3.50", "3.50"),
        ("Paris.", "Paris"),
        ("PARIS!", "paris"),
        ("\u200bParis\ufeff", "Paris"),
        ("N\u2019Djamena", "N'Djamena"),
        ("Cafe\u0301", "CAF\u00c9"),
        ("STRASSE", "stra\u00dfe"),
        ("33, 35, 67", "33 35 67"),
        ("sub\u2013Saharan", "sub-Saharan"),
        ("GPT-4", "GPT 4"),
        ("No.5", "No5"),
        ("A.", "A"),
        ("?", "?"),
        ("", ""),
        (" \n", ""),
        ("\ud800", "\ud800"),
    ],
)
def test_same_answer(text: str, reference: str) -> None:
    """Spaces, case, typography and closing punctuation do not make an answer wrong."""
    assert is_correct(text, reference)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("12", "-12"),
        ("-12", "12"),
        ("3.5", "35"),
        (".5", "5"),
        ("-.5", ".5"),
        ("$.5", "$5"),
        ("3/4", "34"),
        ("12:30", "1230"),
        ("1,2", "12"),
        ("12,34", "1234"),
        ("1,2,345", "1 2345"),
        ("42.0", "42"),
        ("42 43", "42"),
        ("3 < 5", "3 > 5"),
        ("C++", "C"),
        ("", "42"),
        ("", "?"),
        ("!", "?"),
        ("-", "+"),
        ("42", ""),
        ("the cat", "cat"),
    ],
)
def test_other_answer(text: str, reference: str) -> None:
    """Signs, points, digits and symbols make another answer, and nothing matches an empty or blank side by accident."""
    assert not is_correct(text, reference)


@pytest.mark.parametrize(
    ("match", "text", "references", "label"),
    [
        ("exact", "Paris, France", ["Paris"], 0),
        ("exact", "Rome", ["Paris", "rome"], 1),
        ("exact", "Paris", [], NAN),
        ("first_line", "\n Paris.\nRome", ["Paris"], 1),
        ("first_line", "Rome\nParis", ["Paris"], 0),
        ("first_line", "", ["Paris"], 0),
        ("prefix", "Paris, France", ["Paris"], 1),
        ("prefix", "Parisian", ["Paris"], 0),
        ("prefix", "42.5", ["42"], 0),
        ("prefix", "42 is it", ["7", "42"], 1),
        ("prefix", "Par", ["Paris"], 0),
        ("prefix", "anything", [""], 0),
        ("prefix", "", [""], 1),
        ("prefix", "anything", [], NAN),
    ],
)
def test_ways_to_match(match: Match, text: str, references: list[str], label: float) -> None:
    """Each way to match compares whole words of its part of the output with any reference; none gives no label."""
    labels = Correct(match=match).label(text_batch([text], references=[references]))
    assert labels.tolist() == pytest.approx([label], nan_ok=True)


def test_fields_switch_each_step_off() -> None:
    """What counts as the same answer is the user's choice, step by step."""
    assert not is_correct("paris", "Paris", ignore_case=False)
    assert not is_correct("Paris!", "Paris", ignore_punctuation=False)
    assert is_correct("The cat", "cat", ignore_articles=True)
    assert is_correct("A", "a", ignore_articles=True)
    assert not is_correct("the", "a", ignore_articles=True)


def test_unknown_match_is_refused() -> None:
    """A misspelled way to match must not silently become another."""
    with pytest.raises(ValueError, match="match is 'exat', must be one of exact, first_line, prefix"):
        Correct(match="exat")  # type: ignore[arg-type] # what must fail


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(text=st.text(max_size=30))
def test_form_ignores_the_surroundings(text: str) -> None:
    """Whitespace around a text never changes its form, and a text with content never becomes nothing."""
    form = normalize(text)
    assert normalize(f" \n{text}\t ") == form
    assert form == " ".join(form.split())
    if any(char.isalnum() for char in text):
        assert form


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(value=st.decimals(-(10**9), 10**9, places=3) | st.integers())
def test_numbers_keep_every_sign_and_digit(value: Decimal | int) -> None:
    """A number is its own form, alone, grouped by thousands or at the end of a sentence."""
    number = str(value) if isinstance(value, int) else f"{value:f}"
    assert normalize(number) == number
    assert normalize(f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}") == number
    assert normalize(f"Answer: {number}.") == f"answer {number}"


@pytest.mark.parametrize(
    ("text", "take", "label"),
    [("[Yes], no: [No]", "last", 1), ("[Yes], no: [No]", "first", 0), ("No", "last", 0), ("[maybe]", "last", 0)],
)
def test_the_answer_by_a_pattern(text: str, take: Occurrence, label: float) -> None:
    """What a regular expression finds is compared; where it finds nothing the output is wrong."""
    featurizer = Correct(pattern=r"(?i)\[(yes|no)\]", take=take)
    assert featurizer.label(text_batch([text], references=[["no"]])).tolist() == [label]


@pytest.mark.slow
def test_a_pattern_cannot_hang() -> None:
    """A pattern that backtracks without end gives no label after a second, instead of stalling the run."""
    labels = Correct(pattern="(a+)+$").label(text_batch(["a" * 5_000 + "b" + "a" * 5_000 + "c"], references=[["a"]]))
    assert labels.tolist() == pytest.approx([NAN], nan_ok=True)


@pytest.mark.parametrize("pattern", ["(", "a" * 2_001])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    """A broken pattern is a mistake in the config, found before the first label."""
    with pytest.raises(ValueError, match="pattern"):
        Correct(pattern=pattern)


def test_f1_of_the_best_reference() -> None:
    """The best of several references counts, and nothing agrees with nothing."""
    batch = text_batch(["a red cat", "", "", "x"], references=[["dog", "the cat"], ["the"], ["cat"], []])
    assert F1().label(batch).tolist() == pytest.approx([2 / 3, 1, 0, NAN], nan_ok=True)
    assert F1(normalization="standard").label(text_batch(["a"], references=[["A"]])).tolist() == [1]


answers = st.text("aA1,. -'e\u0301\ufb01\u200bthe", max_size=150)


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(text=answers, gold=answers.map(lambda text: text[:12]), padding=st.sampled_from(["", "." * 100, " " * 100]))
def test_long_outputs_are_dismissed_only_where_normalizing_would(text: str, gold: str, padding: str) -> None:
    """The shortcut for outputs longer than any gold answer never changes a label."""
    for output in (text, f"{gold}{padding}", f"{padding}{gold}", f"{gold}{padding}{text}"):
        assert is_correct(output, gold) == (normalize(output) == normalize(gold))
        without_articles = normalize(output, ignore_articles=True) == normalize(gold, ignore_articles=True)
        assert is_correct(output, gold, ignore_articles=True) == without_articles
