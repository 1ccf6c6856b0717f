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
from functools import cache, lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import IntArray
from trainers import native
from trainers.inputs.threads import in_threads

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
_COLUMN_TYPES = (np.int64, np.int32, np.int32)
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
    yield from in_threads(lambda piece: count_piece(piece, scheme), text_pieces(texts, scheme))


def text_pieces(texts: Sequence[str], scheme: NGramScheme) -> Iterator[list[str]]:
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


def count_piece(piece: list[str], scheme: NGramScheme) -> NGramCounts:
    """Count one piece: sort text number * n_buckets + bucket of every n-gram and measure the runs."""
    if native.kernels is not None:
        columns = native.kernels.count_ngrams(
            piece, scheme.n_buckets, tuple(sorted(scheme.word_ngrams)), tuple(sorted(scheme.character_ngrams))
        )
        offsets, buckets, hits = (
            np.frombuffer(column, dtype=dtype) for column, dtype in zip(columns, _COLUMN_TYPES, strict=True)
        )
        return NGramCounts(offsets=offsets, buckets=buckets, counts=hits)
    keys = _piece_keys(piece, scheme)
    is_new = np.empty(len(keys), dtype=bool)
    is_new[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    starts = is_new.nonzero()[0]
    distinct = keys[starts]
    counts = np.empty(len(starts), dtype=np.int32)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1], casting="unsafe")
    counts[-1:] = len(keys) - starts[-1:]
    if len(piece) == 1:
        return NGramCounts(offsets=np.array([0, len(distinct)]), buckets=distinct.view(np.int32), counts=counts)
    firsts = np.arange(len(piece)) * scheme.n_buckets
    offsets = np.append(np.searchsorted(distinct, firsts.astype(np.uint32)), len(distinct))
    distinct -= np.repeat(firsts.astype(np.uint32), np.diff(offsets))
    return NGramCounts(offsets=offsets, buckets=distinct.view(np.int32), counts=counts)


def _piece_keys(piece: Sequence[str], scheme: NGramScheme) -> KeyArray:
    """Return text number * n_buckets + bucket of every n-gram of a piece, sorted."""
    symbols = _symbols(piece)
    streams: list[tuple[HashArray, IntArray, Sequence[int], int]] = []
    if scheme.character_ngrams:
        streams.append((symbols.characters, symbols.ends, scheme.character_ngrams, 1))
    if scheme.word_ngrams:
        words, word_ends = _words(symbols)
        streams.append((words, word_ends, scheme.word_ngrams, 2))
    parts = [part for hashes, _, lengths, salt in streams for part in _ngram_hashes(hashes, lengths, salt=salt)]
    if not parts:
        return np.zeros(0, dtype=np.uint32)
    mixed = np.concatenate(parts)
    mixed *= _SPREAD
    mixed ^= mixed >> np.uint64(32)
    mixed *= _SPREAD
    keys = _buckets(mixed, scheme.n_buckets)
    if len(piece) > 1:
        keys = _of_texts(keys, streams, scheme.n_buckets)
    keys.sort()
    return keys[: np.searchsorted(keys, np.uint32(_NO_KEY))] if len(piece) > 1 else keys


def _ngram_hashes(hashes: HashArray, lengths: Sequence[int], *, salt: int) -> Iterator[HashArray]:
    """Yield the hashes of all n-grams of each length over symbol hashes, [s], shortest first, still to be mixed.

    Args:
        hashes: Symbols of all texts of a piece.
        lengths: Lengths of n-grams.
        salt: Keeps n-grams of words and of characters apart.
    """
    rolling = hashes.copy()
    for length in range(1, min(max(lengths), len(hashes)) + 1):
        if length > 1:
            rolling = rolling[:-1]
            rolling *= _BASE
            rolling += hashes[length - 1 :]
        if length in lengths:
            yield rolling + np.uint64(salt * 1000 + length + 1)


def _buckets(mixed: HashArray, n_buckets: int) -> KeyArray:
    """Return the bucket that the upper half of each hash falls into; the hashes are used up."""
    if n_buckets > 1 and n_buckets & (n_buckets - 1) == 0:  # the same, in one step
        mixed >>= np.uint64(65 - n_buckets.bit_length())
    else:
        mixed >>= np.uint64(32)
        mixed *= np.uint64(n_buckets)
        mixed >>= np.uint64(32)
    return mixed.astype(np.uint32)


def _of_texts(
    buckets: KeyArray, streams: Sequence[tuple[HashArray, IntArray, Sequence[int], int]], n_buckets: int
) -> KeyArray:
    """Return text number * n_buckets + bucket, _NO_KEY where an n-gram leaves its text."""
    start = 0
    for hashes, ends, lengths, _ in streams:
        firsts = np.repeat(np.arange(len(ends), dtype=np.uint32) * np.uint32(n_buckets), np.diff(ends, prepend=0))
        for length in sorted(lengths):
            if length > len(hashes):
                break
            keys = buckets[start : start + len(hashes) - length + 1]
            keys += firsts[: len(keys)]
            leaving = (ends[:, None] - np.arange(1, length)).ravel()  # begin in one text and end in the next
            # A text shorter than the n-gram names places before its own begin: those belong to the text before it, and
            # leave that one too.
            keys[leaving[(leaving >= 0) & (leaving < len(keys))]] = _NO_KEY
            start += len(keys)
    return buckets


class _Symbols(NamedTuple):
    """The code points of a piece, each text between a begin and an end mark.

    Attributes:
        characters: Hash of each code point, [t].
        lowered: Hash of each code point with ASCII letters in lower case, [t].
        is_word: Whether it is part of a word, [t].
        is_text: Whether it is no space, [t].
        ends: Where each text ends, [n].
    """

    characters: HashArray
    lowered: HashArray
    is_word: NDArray[np.bool_]
    is_text: NDArray[np.bool_]
    ends: IntArray


def _symbols(piece: Sequence[str]) -> _Symbols:
    """Read the texts of a piece; where all are ASCII, by looking each byte up."""
    ends = np.cumsum([len(text) + 2 for text in piece])
    if all(map(str.isascii, piece)):
        marked = ("\x80" + "\x81\x80".join(piece) + "\x81").encode("latin-1")
        codes = np.frombuffer(marked, dtype=np.uint8)
        of_ascii = _ascii_symbols()
        return _Symbols(
            characters=of_ascii.characters.take(codes),
            lowered=of_ascii.lowered.take(codes),
            is_word=of_ascii.is_word.take(codes),
            is_text=of_ascii.is_text.take(codes),
            ends=ends,
        )
    lengths = np.diff(ends, prepend=0)
    points = np.empty(int(ends[-1]), dtype=np.uint32)  # [t]
    inner = np.ones(len(points), dtype=bool)
    inner[ends - lengths] = inner[ends - 1] = False
    points[inner] = np.frombuffer("".join(piece).encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    points[ends - lengths] = _BEGIN
    points[ends - 1] = _END
    return _symbols_of(points, ends)


def _symbols_of(points: KeyArray, ends: IntArray) -> _Symbols:
    is_upper = (points >= ord("A")) & (points <= ord("Z"))
    lowered = points + is_upper * np.uint32(32)
    kinds = _kinds(lowered)
    return _Symbols(
        characters=_spread(points.astype(np.uint64)),
        lowered=_spread(lowered.astype(np.uint64)),
        is_word=kinds == _WORD,
        is_text=kinds != _SPACE,
        ends=ends,
    )


@cache
def _ascii_symbols() -> _Symbols:
    """Return what is said of each ASCII character and, behind them, of the begin and the end mark."""
    points = np.append(np.arange(128, dtype=np.uint32), np.array([_BEGIN, _END], dtype=np.uint32))
    return _symbols_of(points, np.array([len(points)]))


def _words(symbols: _Symbols) -> tuple[HashArray, IntArray]:
    """Return the hash of each word, [w], and where each text ends among them, [n]."""
    is_word, is_text, n = symbols.is_word, symbols.is_text, len(symbols.lowered)
    # A word begins where its character is no space and does not continue a run; one text never runs into the next
    # because begin and end marks are words of their own.
    continues = np.zeros(n + 1, dtype=bool)
    np.logical_and(is_word[1:], is_word[:-1], out=continues[1:-1])
    starts = np.greater(is_text, continues[:-1]).nonzero()[0]
    stops = np.greater(is_text, continues[1:]).nonzero()[0]
    # Prefix sums of code * base^position; dividing by base^start makes a word's hash forget where it stood.
    powers, inverse_powers = _powers(1 << (n - 1).bit_length())
    terms = symbols.lowered * powers[:n]
    prefix = np.zeros(n + 1, dtype=np.uint64)
    np.cumsum(terms, out=prefix[1:])
    hashes = prefix[1:][stops]
    hashes -= prefix[starts]
    hashes *= inverse_powers[starts]
    _spread_in_place(hashes)
    return hashes, np.searchsorted(starts, symbols.ends)


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


@lru_cache(maxsize=4)
def _powers(n: int) -> tuple[HashArray, HashArray]:
    """Return base^0 to base^(n - 1) modulo 2^64, and their inverses."""
    tables = []
    for base in (_BASE, _BASE_INVERSE):
        factors = np.full(n, base, dtype=np.uint64)
        factors[:1] = 1
        tables.append(np.cumprod(factors, dtype=np.uint64))
    return tables[0], tables[1]


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
