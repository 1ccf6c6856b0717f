"""Words that mattered: the right word, its place, bounded cost, any text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from metamodel.errors import DataError
from metamodel.labels import Binary, Categorical
from metamodel.screen import Screen, ScreenRule
from metamodel.screen.words import word_spans, words_that_mattered
from metamodel.types import Predictions


class Counting:
    """A metamodel whose log odds of failure are the number of words "bad" minus the number of words "good"."""

    description_bits = 0.0

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return the probabilities of two behaviors."""
        del domains
        self.batches.append(list(texts))
        odds = np.exp([float(text.count("bad")) - text.count("good") for text in texts])
        yes = odds / (1 + odds)
        return {"fail": np.column_stack([1 - yes, yes]), "tone": np.column_stack([yes / 2, 1 - yes, yes / 2])}

    def save(self, folder: Path) -> None:
        """Nothing is ever saved here."""
        raise AssertionError(folder)


@pytest.fixture
def screen() -> Screen:
    """Return a pre-screen with a rule for one of two behaviors."""
    spaces = {"fail": Binary(), "tone": Categorical(classes=("a", "b", "c"))}
    return Screen(Counting(), spaces=spaces, rules=[ScreenRule(behavior="fail", failures=("yes",), threshold=0.5)])


def test_the_word_that_matters_comes_first(screen: Screen) -> None:
    """Effects have the sign, size and place of each word, strongest first, ties in the prompt's order."""
    prompt = "A bad day, a good end."
    effects = words_that_mattered(screen, prompt, "fail")
    assert [(one.text, one.start, one.end) for one in effects[:2]] == [("bad", 2, 5), ("good", 13, 17)]
    assert effects[0].probability == pytest.approx(0.5 - 1 / (1 + np.e))
    assert effects[0].log_odds_bits == pytest.approx(np.log2(np.e))
    assert effects[1].probability == pytest.approx(-effects[0].probability)
    assert [one.start for one in effects[2:]] == sorted(one.start for one in effects[2:])
    assert all(prompt[one.start : one.end] == one.text for one in effects)
    assert words_that_mattered(screen, prompt, "fail", most=1) == effects[:1]


def test_the_outcome_can_be_chosen(screen: Screen) -> None:
    """Without a rule the likeliest outcome is asked about; any other on request."""
    assert words_that_mattered(screen, "good and more", "tone", most=1)[0].probability > 0
    chosen = words_that_mattered(screen, "good and more", "tone", most=1, outcome="c")
    assert chosen[0].probability < 0
    assert chosen[0].to_dict()["text"] == "good"
    with pytest.raises(DataError, match="no outcome 'd'"):
        words_that_mattered(screen, "good", "tone", outcome="d")
    with pytest.raises(DataError, match="fial"):
        words_that_mattered(screen, "good", "fial")
    with pytest.raises(ValueError, match="must be at least 1"):
        words_that_mattered(screen, "good", "fail", most=0)


def test_cost_is_bounded(screen: Screen) -> None:
    """Of many words neighbors are left out together; very long prompts in few groups, few variants at a time."""
    metamodel = screen.metamodel
    assert isinstance(metamodel, Counting)
    prompt = " ".join(["word"] * 999 + ["bad"])
    effects = words_that_mattered(screen, prompt, "fail", most=5, most_words=100)
    assert effects[0].text.endswith("word bad")
    assert sum(map(len, metamodel.batches)) == 101
    metamodel.batches.clear()
    words_that_mattered(screen, "word " * 200_000, "fail")
    assert sum(len(text) for batch in metamodel.batches for text in batch) < 10_000_000
    assert max(sum(map(len, batch)) for batch in metamodel.batches) <= 1_000_000


def test_any_text_has_words_or_none(screen: Screen) -> None:
    """Scripts without spaces are cut at Unicode's boundaries; signs alone at spaces; nothing at all gives nothing."""
    assert [text[slice(*span)] for text in ["漢字です"] for span in word_spans(text)][:2] == ["漢", "字"]
    assert word_spans("naïve café, 3.14") == [(0, 5), (6, 10), (12, 16)]
    assert word_spans("?! \u2026") == [(0, 2), (3, 4)]
    assert words_that_mattered(screen, "", "fail") == []
    assert words_that_mattered(screen, " \n ", "fail") == []
    assert len(words_that_mattered(screen, "\ud800 \x00 x", "fail")) == 1
    assert word_spans("a" * 100_000) == [(0, 100_000)]


def test_a_word_goes_with_its_space(screen: Screen) -> None:
    """What is predicted on is a text as people write it, without double spaces."""
    metamodel = screen.metamodel
    assert isinstance(metamodel, Counting)
    words_that_mattered(screen, "one two\nthree", "fail")
    assert metamodel.batches == [["one two\nthree", "two\nthree", "one\nthree", "one two\n"]]
