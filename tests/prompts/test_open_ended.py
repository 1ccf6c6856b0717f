"""Stories, summaries and random tokens: domains without gold."""

from __future__ import annotations

from itertools import islice

from metamodel.prompts.mechanistic import Mechanistic, RepeatedText
from metamodel.prompts.stories import MOST_CONTINUATION_BYTES, StoryContinuation, Summary

N_EXAMPLES = 500


def test_stories_are_cut_between_words_after_a_sentence() -> None:
    """A story is cut where a word ends, a whole sentence before it, and its continuation completes the sentence."""
    for prompt, continuation in islice(StoryContinuation().examples(seed=2), N_EXAMPLES):
        assert "{" not in prompt.text + continuation
        assert any(mark in prompt.text for mark in ".!?")
        assert continuation.rstrip('"')[-1] in ".!?"
        assert 10 <= len(continuation) <= MOST_CONTINUATION_BYTES


def test_stories_hold_refrains() -> None:
    """Some continuations repeat a phrase, as real stories for children do."""
    continuations = [continuation for _, continuation in islice(StoryContinuation().examples(seed=2), N_EXAMPLES)]
    assert any("and ran and ran" in continuation for continuation in continuations)


def test_stories_seldom_recur() -> None:
    """The grammar is rich enough that nearly every story is new."""
    texts = {prompt.text for prompt in islice(StoryContinuation().prompts(seed=2), N_EXAMPLES)}
    assert len(texts) > 0.98 * N_EXAMPLES


def test_summaries_end_in_the_cue() -> None:
    """A summary is asked for after a whole story of the configured length."""
    for prompt in islice(Summary(min_sentences=3, max_sentences=4).prompts(seed=2), N_EXAMPLES):
        assert prompt.text.endswith(" TL;DR:")
        assert prompt.attributes["n_sentences"] in (3, 4)


def test_mechanistic_characters_are_uniform() -> None:
    """Every character of the alphabet is equally frequent (chi squared, 1 degree less than the alphabet's size)."""
    alphabet = "abcdefgh"
    text = "".join(prompt.text for prompt in islice(Mechanistic(alphabet=alphabet).prompts(seed=2), N_EXAMPLES))
    expected = len(text) / len(alphabet)
    chi_squared = sum((text.count(letter) - expected) ** 2 / expected for letter in alphabet)
    assert chi_squared < 24.3  # the 0.1 % quantile at 7 degrees of freedom
    assert set(text) == set(alphabet)


def test_mechanistic_lengths_stay_in_range() -> None:
    """Lengths are within the configured range, both ends included."""
    lengths = {len(prompt.text) for prompt in islice(Mechanistic(min_length=8, max_length=12).prompts(seed=2), 200)}
    assert lengths == {8, 9, 10, 11, 12}


def test_repeated_text_repeats_what_it_records() -> None:
    """The prompt is its unit over and over, broken off by as many characters as its attributes say."""
    n_broken = 0
    for prompt in islice(RepeatedText(min_repeats=2, max_repeats=4).prompts(seed=2), N_EXAMPLES):
        unit, *_ = prompt.text.split(" ")
        whole = " ".join([unit] * int(prompt.attributes["n_repeats"]))
        n_missing = int(prompt.attributes["n_missing"])
        assert prompt.text == whole[: len(whole) - n_missing]
        assert len(unit) == prompt.attributes["length"]
        n_broken += n_missing > 0
    assert 0.3 < n_broken / N_EXAMPLES < 0.7
