"""Which words of a prompt a prediction rests on, by leaving out each of them.

Occlusion (Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014; for words Li, Monroe,
Jurafsky, Understanding neural networks through representation erasure, 2016) says what the metamodel does without a
word. It does not say why the primary model behaves as it does. Two words that say the same hide each other: leaving out
either changes little. Words that matter only together share what they do in no fixed way, so effects do not add up to
the prediction. And a prompt without a word may be like none that the metamodel was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.errors import DataError, nearest_name_hint
from metamodel.screen.screen import Screen
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import regex

# Characters of all variants of a prompt together; longer prompts are cut into fewer groups.
MOST_CHARACTERS: Final = 8_000_000
_BATCH_CHARACTERS: Final = 500_000
# Probabilities nearer to 0 or 1 tell no odds.
_LEAST_PROBABILITY: Final = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class WordEffect:
    """What a word, or a group of neighboring words, does to a prediction.

    Attributes:
        text: The word as it stands in the prompt, from `start` to `end`.
        start: Place of its first character.
        end: Place behind its last one.
        probability: Probability with the word minus that without it: above 0 where the word makes the outcome likelier.
        log_odds_bits: The same for the log odds, in bits.
    """

    text: str
    start: int
    end: int
    probability: float
    log_odds_bits: float

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can say."""
        return asdict(self)


def words_that_mattered(
    screen: Screen,
    prompt: str,
    behavior: str,
    *,
    most: int = 10,
    most_words: int = 400,
    outcome: str | None = None,
) -> list[WordEffect]:
    """Return the words whose absence changes a prediction most, the strongest first.

    A word is what lies between Unicode's word boundaries (UAX 29) and holds a letter or digit; a prompt without any is
    cut at spaces. Each is left out alone, with one space beside it. Of more words than `most_words`, neighbors are left
    out together, in groups of equal numbers of words. Ties keep the order of the prompt.

    Args:
        screen: What predicts.
        prompt: The prompt.
        behavior: Behavior whose prediction is asked about.
        most: Words to return at most.
        most_words: Words or groups to leave out at most: so many predictions are made.
        outcome: Outcome whose probability is asked about; None takes failure where the behavior has a rule, else the
            likeliest outcome of the whole prompt.

    Raises:
        DataError: The behavior is not predicted, or the outcome is none of its own.
        ValueError: `most` or `most_words` is below 1.
    """
    if most < 1 or most_words < 1:
        raise ValueError(f"most is {most} and most_words is {most_words}, must be at least 1")
    screen.require_behavior(behavior)
    spans = grouped_spans(word_spans(prompt), max(min(most_words, MOST_CHARACTERS // max(len(prompt), 1)), 1))
    if not spans:
        return []
    table = _predictions(screen, [prompt, *(without_span(prompt, start, end) for start, end in spans)], behavior)
    columns = _columns(screen, behavior, outcome, table[0])
    probabilities = np.minimum(table[:, columns].sum(axis=1), 1.0)  # [1 + words]
    effects = probabilities[0] - probabilities[1:]
    odds = _log_odds_bits(probabilities)
    strongest = np.argsort(-np.abs(effects), kind="stable")[:most]
    return [
        WordEffect(
            text=prompt[slice(*spans[row])],
            start=spans[row][0],
            end=spans[row][1],
            probability=float(effects[row]),
            log_odds_bits=float(odds[0] - odds[1 + row]),
        )
        for row in strongest.tolist()
    ]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return begin and end of each word, in order.

    >>> word_spans("Don't stop.")
    [(0, 5), (6, 10)]
    """
    word, anything = _patterns()
    return [match.span() for match in word.finditer(text)] or [match.span() for match in anything.finditer(text)]


@lru_cache(maxsize=1)
def _patterns() -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    import regex

    return regex.compile(r"\b\w\S*?\b", regex.WORD | regex.V1), regex.compile(r"\S+")


def grouped_spans(spans: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return the spans, in order, neighbors joined where there are more than `most`."""
    if len(spans) <= most:
        return list(spans)
    size = math.ceil(len(spans) / most)
    return [(spans[first][0], spans[min(first + size, len(spans)) - 1][1]) for first in range(0, len(spans), size)]


def without_span(text: str, start: int, end: int) -> str:
    """Return the text without a word, and without the space before it, or behind it where none is before it."""
    if start > 0 and text[start - 1] == " ":
        start -= 1
    elif text[end : end + 1] == " ":
        end += 1
    return text[:start] + text[end:]


def _predictions(screen: Screen, texts: Sequence[str], behavior: str) -> FloatArray:
    """Return the behavior's probabilities for all texts, [n, c], few enough at a time to hold."""
    size = max(_BATCH_CHARACTERS // max(len(texts[0]), 1), 1)
    parts = [screen.metamodel.predict(texts[start : start + size])[behavior] for start in range(0, len(texts), size)]
    return np.concatenate(parts)


def _columns(screen: Screen, behavior: str, outcome: str | None, probabilities: FloatArray) -> list[int]:
    outcomes = screen.spaces[behavior].outcomes
    if outcome is not None:
        if outcome not in outcomes:
            raise DataError(f"{behavior} has no outcome {outcome!r}: {nearest_name_hint(outcome, outcomes)}")
        return [outcomes.index(outcome)]
    for rule in screen.rules:
        if rule.behavior == behavior:
            return [outcomes.index(name) for name in rule.failures]
    return [int(np.argmax(probabilities))]


def _log_odds_bits(probabilities: FloatArray) -> FloatArray:
    clipped = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    log_odds: FloatArray = np.log2(clipped / (1 - clipped))
    return log_odds
