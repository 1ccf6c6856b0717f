"""Hashed word and character n-grams of many texts at once, the same in every process and on every platform.

An n-gram's hash is a polynomial over its code points modulo 2^64, so that all of a text's n-grams come from a few
array operations (Karp and Rabin, Efficient randomized pattern-matching algorithms, 1987), never from Python's `hash`.

Shapes: n = texts, t = code points of a chunk, w = words of a chunk, g = different n-grams of all texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import IntArray

HashArray: TypeAlias = NDArray[np.uint64]

# Above every Unicode code point: begin and end are seen by n-grams and never confused with text.
_BEGIN, _END = 0x110000, 0x110001
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_CHUNK_CODE_POINTS = 400_000
_LARGEST_KEY = 2**32
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
    """The different buckets of each text, as compressed rows.

    Attributes:
        offsets: Text i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        buckets: Rising within a text, [g].
        counts: How often the text hits the bucket, [g].
    """

    offsets: IntArray
    buckets: IntArray
    counts: IntArray


def count_ngrams(texts: Sequence[str], scheme: NGramScheme) -> NGramCounts:
    """Return the hashed n-gram counts of each text; lone surrogates are code points like others."""
    # Copies are joined at the end rather than grown; an empty list still needs arrays of the right type.
    sizes, buckets, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for chunk in _chunks(texts, scheme):
        keys = np.sort(_chunk_keys(chunk, scheme))
        starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] + np.uint32(1)))  # where a new key begins
        distinct = keys[starts].astype(np.int64)
        sizes.append(np.bincount(distinct // scheme.n_buckets, minlength=len(chunk)))
        buckets.append(distinct % scheme.n_buckets)
        counts.append(np.diff(starts, append=len(keys)))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
    return NGramCounts(offsets=offsets, buckets=np.concatenate(buckets), counts=np.concatenate(counts))


def _chunks(texts: Sequence[str], scheme: NGramScheme) -> Iterator[list[str]]:
    """Yield runs of shortened texts, small enough for memory and for keys of 32 bits."""
    half = scheme.max_characters // 2
    most_texts = _LARGEST_KEY // scheme.n_buckets
    chunk: list[str] = []
    length = 0
    for text in texts:
        kept = text if len(text) <= scheme.max_characters else text[:half] + text[-half:]
        chunk.append(kept)
        length += len(kept) + 2
        if length >= _CHUNK_CODE_POINTS or len(chunk) == most_texts:
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def _chunk_keys(chunk: Sequence[str], scheme: NGramScheme) -> NDArray[np.uint32]:
    """Return text number * n_buckets + bucket of every n-gram of a chunk, unsorted."""
    lengths = np.array([len(text) + 2 for text in chunk])
    ends = np.cumsum(lengths)
    points = np.empty(int(ends[-1]), dtype=np.uint32)  # [t]
    points[ends - lengths] = _BEGIN
    points[ends - 1] = _END
    inner = np.ones(len(points), dtype=bool)
    inner[ends - lengths] = inner[ends - 1] = False
    points[inner] = np.frombuffer("".join(chunk).encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    owners = np.repeat(np.arange(len(chunk)), lengths)  # [t]
    parts = [np.zeros(0, dtype=np.uint32)]
    if scheme.character_ngrams:
        parts += _ngram_keys(_spread(points.astype(np.uint64)), owners, scheme.character_ngrams, scheme, salt=1)
    if scheme.word_ngrams:
        word_hashes, word_owners = _words(points, owners)
        parts += _ngram_keys(word_hashes, word_owners, scheme.word_ngrams, scheme, salt=2)
    return np.concatenate(parts)


def _ngram_keys(
    hashes: HashArray, owners: IntArray, lengths: Sequence[int], scheme: NGramScheme, *, salt: int
) -> Iterator[NDArray[np.uint32]]:
    """Yield the keys of all n-grams of each length over a sequence of symbol hashes, those within one text."""
    rolling = hashes
    for length in range(1, max(lengths) + 1):
        if length > 1:
            rolling = rolling[:-1] * _BASE + hashes[length - 1 :]
        if length not in lengths or not len(rolling):
            continue
        first, last = owners[: len(rolling)], owners[length - 1 :]
        inside = first == last
        salted = _spread(rolling[inside] + np.uint64(salt * 1000 + length))
        bucket = ((salted >> np.uint64(32)) * np.uint64(scheme.n_buckets)) >> np.uint64(32)
        yield (first[inside].astype(np.uint64) * np.uint64(scheme.n_buckets) + bucket).astype(np.uint32)


def _words(points: NDArray[np.uint32], owners: IntArray) -> tuple[HashArray, IntArray]:
    """Return the hash of each word, [w], and the text that it belongs to, [w]."""
    is_upper = (points >= ord("A")) & (points <= ord("Z"))
    lowered = np.where(is_upper, points + np.uint32(32), points)
    kinds = _kinds(lowered)
    # A word begins where its character is no space and does not continue a run; one text never runs into the next
    # because begin and end marks are words of their own.
    continues = np.zeros(len(points), dtype=bool)
    continues[1:] = (kinds[1:] == _WORD) & (kinds[:-1] == _WORD)
    starts = np.flatnonzero((kinds != _SPACE) & ~continues)
    stops_run = np.ones(len(points), dtype=bool)
    stops_run[:-1] = ~continues[1:]
    ends = np.flatnonzero((kinds != _SPACE) & stops_run) + 1
    # Prefix sums of code * base^position; dividing by base^start makes a word's hash forget where it stood.
    powers = _powers(_BASE, len(points))
    prefix = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum(_spread(lowered.astype(np.uint64)) * powers, out=prefix[1:])
    hashes = (prefix[ends] - prefix[starts]) * _powers(_BASE_INVERSE, len(points))[starts]
    return _spread(hashes), owners[starts]


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
    mixed = (values + np.uint64(1)) * _SPREAD
    return (mixed ^ (mixed >> np.uint64(32))) * _SPREAD
