"""Surface features of words: how long, how varied, how repeated, and which function words."""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import pairwise
from typing import Final

from trainers.inputs.surface_cues import CATEGORIES, CATEGORY_OF, FUNCTION_CATEGORIES
from trainers.inputs.surface_view import DIGIT, LOWER, SPACE, UPPER, TextView, log_count, share, spread, words_of

_LONG, _VERY_LONG, _SHORT = 7, 10, 3
# Repeats within so many bytes are found: enough for a share, and far quicker to set up than the usual 32 KB.
_COMPRESSED_BYTES, _WINDOW_BITS, _MEMORY_LEVEL = 4096, -12, 5
_N_QUESTION_WORDS: Final = 7
_NEGATION: Final = CATEGORIES.index("negation")
_NO_CATEGORY: Final = len(CATEGORIES)

NAMES: Final = (
    "words",
    "sentences",
    "word_length_mean",
    "word_length_spread",
    "word_length_max",
    "share_long_words",
    "share_very_long_words",
    "share_short_words",
    "vowels_per_word",
    "sentence_words_mean",
    "sentence_words_spread",
    "sentence_words_max",
    "last_sentence_words",
    "distinct_word_share",
    "single_use_word_share",
    "commonest_word_share",
    "repeated_pair_share",
    *(f"share_of_{name}" for name in CATEGORIES),
    "share_function_words",
    "compressed_share",
    "share_capitalized",
    "share_capitalized_within",
    "share_all_capitals",
    "share_single_letters",
    "share_letters_and_digits",
    "share_inner_capitals",
    *(f"last_sentence_has_{name}" for name in CATEGORIES[:_N_QUESTION_WORDS]),
    "last_sentence_has_negation",
)


def values(view: TextView) -> list[float]:
    """Return the features that NAMES lists."""
    n = len(view.words)
    lengths = [*map(len, view.words)]
    rising = sorted(lengths)
    sentence_words = [part.count(" ") + 1 for part in view.sentences]
    last_sentence = words_of(view.sentences[-1]) if view.sentences else []
    mean_length, length_spread = spread(lengths)
    mean_sentence, sentence_spread = spread(sentence_words)
    return [
        log_count(n),
        log_count(len(view.sentences)),
        mean_length,
        length_spread,
        log_count(rising[-1] if n else 0),
        share(n - bisect_left(rising, _LONG), n),
        share(n - bisect_left(rising, _VERY_LONG), n),
        share(bisect_right(rising, _SHORT), n),
        share(sum(map(view.text.count, "aeiou")), n),
        log_count(mean_sentence),
        log_count(sentence_spread),
        log_count(max(sentence_words, default=0)),
        log_count(len(last_sentence)),
        *_variety(view.words),
        _compressed_share(view.text),
        *_letter_cases(view.classes, n),
        *_cues_of(last_sentence),
    ]


def _variety(words: list[bytes]) -> list[float]:
    """Return how many words are different, used once and commonest, how many pairs come again, and the cues."""
    n = len(words)
    counts = Counter(words)
    uses = [*counts.values()]
    found = [0] * (_NO_CATEGORY + 1)
    for word, count in counts.items():
        found[CATEGORY_OF.get(word, _NO_CATEGORY)] += count
    n_pairs = len(set(pairwise(words)))
    return [
        share(len(uses), n),
        share(uses.count(1), n),
        share(max(uses, default=0), n),
        share(n - 1 - n_pairs, n - 1) if n > 1 else 0.0,
        *[share(count, n) for count in found[:_NO_CATEGORY]],
        share(sum(found[position] for position in FUNCTION_CATEGORIES), n),
    ]


def _compressed_share(text: str) -> float:
    """Return the compressed size of the text's beginning as a share of its own, at most 1.5."""
    data = text[:_COMPRESSED_BYTES].encode("utf-8", errors="replace")
    deflate = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    n_bytes = len(deflate.compress(data)) + len(deflate.flush())
    return min(share(n_bytes, len(data)), 1.5)


def _letter_cases(classes: bytes, n_words: int) -> list[float]:
    """Return how many words, of all, begin with, hold or are capitals, single letters, letters and digits mixed."""
    padded = SPACE + classes + SPACE
    counts = (
        padded.count(SPACE + UPPER),
        padded.count(LOWER + SPACE + UPPER),
        padded.count(SPACE + UPPER + UPPER),
        padded.count(SPACE + UPPER + SPACE) + padded.count(SPACE + LOWER + SPACE),
        sum(padded.count(pair) for pair in (LOWER + DIGIT, UPPER + DIGIT, DIGIT + LOWER, DIGIT + UPPER)),
        padded.count(LOWER + UPPER),
    )
    return [share(count, n_words) for count in counts]


def _cues_of(last_sentence: list[bytes]) -> list[float]:
    """Return whether the last sentence holds each question word, and a negation."""
    held = {*map(CATEGORY_OF.get, last_sentence)}
    return [*[float(position in held) for position in range(_N_QUESTION_WORDS)], float(_NEGATION in held)]
