"""Hashed word and character n-grams of many texts at once, the same in every process and on every platform.

An n-gram's hash is a polynomial over its code points modulo 2^64, so that all of a text's n-grams come from a few
array operations (Karp and Rabin, Efficient randomized pattern-matching algorithms, 1987), never from Python's `hash`.
Texts are read in pieces whose arrays stay in a core's cache, whatever their number; a text's counts never depend on
what else is read.

Shapes: n = texts, t = code points of a piece, w = words of a piece, s = symbols (either), g = different buckets of all
texts of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import IntArray

HashArray: TypeAlias = NDArray[np.uint64]
KeyArray: TypeAlias = NDArray[np.uint32]

# Above every Unicode code point: begin and end are seen by n-grams and never confused with text.
_BEGIN, _END = 0x110000, 0x110001
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_PIECE_CODE_POINTS = 2**16
# Sorts behind every key: n-grams that reach from one text into the next.
_NO_KEY = 2**32 - 1
MOST_BUCKETS = 2**24

_OTHER, _SPACE, _WORD = 0, 1, 2
_UNICODE_SPACES = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


@dataclass(frozen=True, kw_only=True)
class NGramScheme:
    """Which n-grams are read and into how many buckets they fall.

    A word is a run of ASCII letters and digits (case ignored) or of code points above ASCII; other printable ASCII
    characters are words of their own. Character n-grams keep case. Both see the text's begin and end.

    Attributes:
        n_buckets: Buckets.
        word_ngrams: Lengths of word n-grams.
        character_ngrams: Lengths of character n-grams.
        max_characters: Of a longer text the first and the last half of so many characters are read.
    """

    n_buckets: int
    word_ngrams: tuple[int, ...]
    character_ngrams: tuple[int, ...]
    max_characters: int

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 1 <= self.n_buckets <= MOST_BUCKETS:
            raise ValueError(f"n_buckets is {self.n_buckets}, must be from 1 to {MOST_BUCKETS}")
        if not self.word_ngrams and not self.character_ngrams:
            raise ValueError("word_ngrams and character_ngrams are both empty, one must name a length")
        for name, lengths in (("word_ngrams", self.word_ngrams), ("character_ngrams", self.character_ngrams)):
            if any(not 1 <= length <= 64 for length in lengths) or len(set(lengths)) < len(lengths):  # noqa: PLR2004 - stated in the message
                raise ValueError(f"{name} is {list(lengths)}, must hold different lengths from 1 to 64")
        if self.max_characters < 2:  # noqa: PLR2004 - one for the first half, one for the last
            raise ValueError(f"max_characters is {self.max_characters}, must be at least 2")


class NGramCounts(NamedTuple):
    """The different buckets of each text of a piece, as compressed rows.

    Attributes:
        offsets: Text i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        buckets: Rising within a text, [g].
        counts: How often the text hits the bucket, [g].
    """

    offsets: IntArray
    buckets: NDArray[np.int32]
    counts: NDArray[np.int32]


def count_ngrams(texts: Sequence[str], scheme: NGramScheme) -> Iterator[NGramCounts]:
    """Yield the hashed n-gram counts of one piece of the texts after the other, in order.

    Only the pieces in work are held: what is kept of them is the caller's choice. Lone surrogates are code points like
    others.
    """
    for piece in _pieces(texts, scheme):
        yield _count_piece(piece, scheme)


def _pieces(texts: Sequence[str], scheme: NGramScheme) -> Iterator[list[str]]:
    """Yield runs of shortened texts, small enough for a core's cache and for keys of 32 bits."""
    half = scheme.max_characters // 2
    most_texts = _NO_KEY // scheme.n_buckets
    piece: list[str] = []
    length = 0
    for text in texts:
        kept = text if len(text) <= scheme.max_characters else text[:half] + text[-half:]
        piece.append(kept)
        length += len(kept) + 2
        if length >= _PIECE_CODE_POINTS or len(piece) == most_texts:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def _count_piece(piece: Sequence[str], scheme: NGramScheme) -> NGramCounts:
    """Count one piece: sort text number * n_buckets + bucket of every n-gram and measure the runs."""
    keys = _piece_keys(piece, scheme)
    is_new = np.empty(len(keys), dtype=bool)
    is_new[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    starts = np.flatnonzero(is_new)
    distinct = keys[starts]
    firsts = np.arange(len(piece), dtype=np.int64) * scheme.n_buckets  # the lowest key of each text
    offsets = np.append(np.searchsorted(distinct, firsts.astype(np.uint32)), len(distinct))
    distinct -= np.repeat(firsts.astype(np.uint32), np.diff(offsets))
    counts = np.empty(len(starts), dtype=np.int32)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1], casting="unsafe")
    counts[-1:] = len(keys) - starts[-1:]
    return NGramCounts(offsets=offsets, buckets=distinct.view(np.int32), counts=counts)


def _piece_keys(piece: Sequence[str], scheme: NGramScheme) -> KeyArray:
    """Return text number * n_buckets + bucket of every n-gram of a piece, sorted."""
    lengths = np.array([len(text) + 2 for text in piece])
    ends = np.cumsum(lengths)
    points = np.empty(int(ends[-1]), dtype=np.uint32)  # [t]
    inner = np.ones(len(points), dtype=bool)
    inner[ends - lengths] = inner[ends - 1] = False
    points[inner] = np.frombuffer("".join(piece).encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    points[ends - lengths] = _BEGIN
    points[ends - 1] = _END
    parts = [np.zeros(0, dtype=np.uint32)]
    if scheme.character_ngrams:
        characters = _spread(points.astype(np.uint64))
        parts += _ngram_keys(characters, ends, scheme.character_ngrams, scheme, salt=1)
    if scheme.word_ngrams:
        words, word_ends = _words(points, ends)
        parts += _ngram_keys(words, word_ends, scheme.word_ngrams, scheme, salt=2)
    keys = np.concatenate(parts)
    keys.sort()
    return keys[: np.searchsorted(keys, np.uint32(_NO_KEY))]


def _ngram_keys(
    hashes: HashArray, ends: IntArray, lengths: Sequence[int], scheme: NGramScheme, *, salt: int
) -> Iterator[KeyArray]:
    """Yield the keys of all n-grams of each length over symbol hashes, [s], _NO_KEY where one leaves its text.

    Args:
        hashes: Symbols of all texts of a piece.
        ends: Where each text ends among them, [n].
        lengths: Lengths of n-grams.
        scheme: Buckets.
        salt: Keeps n-grams of words and of characters apart.
    """
    n_buckets = np.uint64(scheme.n_buckets)
    firsts = np.repeat(np.arange(len(ends), dtype=np.uint64) * n_buckets, np.diff(ends, prepend=0))  # [s]
    rolling = hashes.copy()
    for length in range(1, max(lengths) + 1):
        if length > len(hashes):
            return
        if length > 1:
            rolling = rolling[:-1]
            rolling *= _BASE
            rolling += hashes[length - 1 :]
        if length not in lengths:
            continue
        bucket = rolling + np.uint64(salt * 1000 + length)
        _spread_in_place(bucket)
        bucket >>= np.uint64(32)
        bucket *= n_buckets
        bucket >>= np.uint64(32)
        bucket += firsts[: len(bucket)]
        keys = bucket.astype(np.uint32)
        leaving = (ends[:, None] - np.arange(1, length)).ravel()  # begin in one text and end in the next
        # A text shorter than the n-gram names places before its own begin: those belong to the text before it, and
        # leave that one too.
        keys[leaving[(leaving >= 0) & (leaving < len(keys))]] = _NO_KEY
        yield keys


def _words(points: KeyArray, ends: IntArray) -> tuple[HashArray, IntArray]:
    """Return the hash of each word, [w], and where each text ends among them, [n]."""
    is_upper = (points >= ord("A")) & (points <= ord("Z"))
    lowered = points + is_upper * np.uint32(32)
    kinds = _kinds(lowered)
    # A word begins where its character is no space and does not continue a run; one text never runs into the next
    # because begin and end marks are words of their own.
    continues = np.zeros(len(points) + 1, dtype=bool)
    is_word = kinds == _WORD
    np.logical_and(is_word[1:], is_word[:-1], out=continues[1:-1])
    is_text = kinds != _SPACE
    starts = np.flatnonzero(is_text & ~continues[:-1])
    stops = np.flatnonzero(is_text & ~continues[1:]) + 1
    # Prefix sums of code * base^position; dividing by base^start makes a word's hash forget where it stood.
    prefix = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum(_spread(lowered.astype(np.uint64)) * _powers(_BASE, len(points)), out=prefix[1:])
    hashes = (prefix[stops] - prefix[starts]) * _powers(_BASE_INVERSE, len(points))[starts]
    return _spread(hashes), np.searchsorted(starts, ends)


def _kinds(points: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return whether each code point is a space, part of a word or a mark that stands alone, [t]."""
    ascii_kinds = np.full(128, _OTHER, dtype=np.uint8)
    ascii_kinds[:33] = _SPACE
    for first, last in (("0", "9"), ("a", "z")):
        ascii_kinds[ord(first) : ord(last) + 1] = _WORD
    kinds = np.where(points < len(ascii_kinds), ascii_kinds[np.minimum(points, 127)], np.uint8(_WORD))
    kinds[points >= _BEGIN] = _OTHER
    above = np.flatnonzero(points >= len(ascii_kinds))
    kinds[above[np.isin(points[above], _UNICODE_SPACES)]] = _SPACE
    return kinds


def _powers(base: np.uint64, n: int) -> HashArray:
    """Return base^0 to base^(n - 1) modulo 2^64."""
    factors = np.full(n, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _spread(values: HashArray) -> HashArray:
    """Return well-mixed bits of each value: multiply, fold, multiply (the finalizer of `rrmxmx`-like hashes)."""
    mixed = values.copy()
    _spread_in_place(mixed)
    return mixed


def _spread_in_place(values: HashArray) -> None:
    values += np.uint64(1)
    values *= _SPREAD
    values ^= values >> np.uint64(32)
    values *= _SPREAD
