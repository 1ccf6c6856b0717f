"""Endings: labels that need little search, so their edges are all there is to get wrong."""

from __future__ import annotations

import numpy as np
import pytest

from featurizers.ending import (
    CharacterCount,
    Empty,
    SentenceCount,
    StopReason,
    TokenCount,
    Truncated,
    WordCount,
)
from metamodel.text import text_batch


@pytest.mark.parametrize(
    ("text", "label"),
    [("", 1), (" ", 1), ("\n\t\r\u3000\u00a0", 1), (".", 0), (" a ", 0), ("\x00", 0), ("\u200b", 0), ("\ud800", 0)],
)
def test_empty(text: str, label: int) -> None:
    """Whitespace of any script is nothing; invisible characters that are no whitespace are something."""
    assert Empty().label(text_batch([text]))[0] == label


def test_truncated() -> None:
    """Only the limit truncates: an empty output that stopped by itself did not."""
    batch = text_batch(["", "and then", "The end."], finish_reasons=["stop", "length", "stop"])
    assert Truncated().label(batch).tolist() == [0, 1, 0]


def test_token_count() -> None:
    """The count is the batch's own, not a number of words, and falls in the bin that holds it."""
    batch = text_batch(["", "Once upon a time", "long"], n_tokens=[0, 6, 5000])
    labels = TokenCount().label(batch)
    assert labels.tolist() == [0, 6, 5000]
    space = TokenCount().space
    assert [space.outcomes[code] for code in space.encode(labels)] == ["0", "5-6", "4097+"]


def test_stop_reason() -> None:
    """Each finish reason is the class of its own name, and an unknown one is missing."""
    batch = text_batch(["a"] * 5, finish_reasons=["content_filter", "stop_string", "length", "stop", None])
    labels = StopReason().label(batch)
    classes = [StopReason().space.outcomes[int(label)] for label in labels[:4]]
    assert classes == ["content_filter", "stop_string", "length", "stop"]
    assert np.isnan(labels[4])


@pytest.mark.parametrize(
    ("text", "characters", "words"),
    [
        ("", 0, 0),
        (" \n", 2, 0),
        ("Once upon - a time", 18, 5),
        ("a\u3000b\x00c", 5, 2),
        ("\u200b👍🏽", 3, 1),
        ("\ud800", 1, 1),
    ],
)
def test_characters_and_words(text: str, characters: int, words: int) -> None:
    """Characters are code points, words what whitespace of any script parts."""
    assert CharacterCount().label(text_batch([text]))[0] == characters
    assert WordCount().label(text_batch([text]))[0] == words


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        (" \n ", 0),
        ('")', 0),
        ("word", 1),
        ("One.", 1),
        ("One. Two! Three? Four", 4),
        ("One... two?! Three.\n\n", 3),
        ('He said "no." She left.', 2),
        ("It is **so.** (Really.) Yes", 3),
        ("Pi is 3.14, see example.org for v1.2", 1),
        ("A list\n- one\n- two", 1),
        ("一つ。二つ！三つ", 3),  # noqa: RUF001 - East Asia's own marks
        ("Hm… yes", 2),
        ("\x00", 1),
        ("\ud800. \ud800", 2),
    ],
)
def test_sentences(text: str, n: int) -> None:
    """Marks end sentences only before whitespace or the end, with what closes behind them; a rest counts as one."""
    assert SentenceCount().label(text_batch([text]))[0] == n
