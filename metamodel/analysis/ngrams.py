"""Words and characters of many texts at once, and the n-grams that they form.

Ground floor: nothing here imports another module of the project but `metamodel.types`.

A unit is known by a 64-bit code and an n-gram by a 64-bit hash of its units' codes. Both are the same in every process
and on every machine. Of m different n-grams two share a hash with probability about m^2 / 2^65: below 1e-7 for the
million n-grams that are ever compared with one another here.

Shapes in this file: n = texts, m = units of all texts together, w = n-grams of all texts together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray

Unit: TypeAlias = Literal["word", "character"]
Hashes: TypeAlias = NDArray[np.uint64]

_HASH_BITS: Final = 64
# Odd, so that multiplication loses nothing: the golden ratio and the two of MurmurHash3's finalizer.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xFF51AFD7ED558CCD)
_FINISH: Final = np.uint64(0xC4CEB9FE1A85EC53)
_HALF: Final = np.uint64(32)

_LANE_BYTES: Final = 8
_LONG_WORD_BYTES: Final = 64

# What `str.split` parts words by: the part of it within ASCII, and the rest.
_ASCII_BLANKS: Final = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_IS_BLANK: Final = bytes(byte in _ASCII_BLANKS for byte in range(256))
_OTHER_BLANKS: Final = tuple(
    blank.encode()
    for blank in "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
)
_FIRST_HIGH_BYTE: Final = 0x80
_FIRST_LEAD_BYTE: Final = 0xC0


@dataclass(frozen=True, kw_only=True)
class Units:
    """The words or characters of n texts, one text after the other.

    Attributes:
        codes: Equal units have equal codes, [m].
        starts: Where each text begins in `codes`, and m at the end, [n + 1].
    """

    codes: Hashes
    starts: IntArray

    @cached_property
    def lengths(self) -> IntArray:
        """Number of units of each text, [n]."""
        return np.diff(self.starts)

    @cached_property
    def rows(self) -> IntArray:
        """Text of each unit, [m]."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def n_windows(self, n: int) -> IntArray:
        """Return how many n-grams each text has, [n]."""
        return np.maximum(self.lengths - (n - 1), 0)

    def ngrams(self, n: int) -> NGrams:
        """Return the n-grams of every text; none reaches into the next text."""
        hashes = window_hashes(self.codes, n)
        is_within = np.ones(len(hashes), dtype=bool)
        for n_left in range(1, n):  # what begins so near to the end of its text reaches into the next
            begins = self.starts[1:][self.lengths >= n_left] - n_left
            is_within[begins[begins < len(hashes)]] = False
        return NGrams(hashes=hashes[is_within], lengths=self.n_windows(n))


@dataclass(frozen=True, kw_only=True)
class NGrams:
    """The n-grams of n texts, one text after the other.

    Attributes:
        hashes: Equal n-grams have equal hashes, [w].
        lengths: Number of n-grams of each text, [n].
    """

    hashes: Hashes
    lengths: IntArray

    @property
    def n_texts(self) -> int:
        """Number of texts n."""
        return len(self.lengths)

    @cached_property
    def rows(self) -> IntArray:
        """Text of each n-gram, [w], rising."""
        return np.repeat(np.arange(self.n_texts), self.lengths)

    def count(self, is_counted: NDArray[np.bool_]) -> IntArray:
        """Return how many of each text's n-grams are counted, [n].

        Args:
            is_counted: One flag an n-gram, [w].
        """
        sums = np.concatenate([[0], np.cumsum(is_counted)])
        ends = np.cumsum(self.lengths)
        counts: IntArray = sums[ends] - sums[ends - self.lengths]
        return counts

    def n_distinct(self) -> IntArray:
        """Return how many different n-grams each text has, [n]."""
        row_bits = np.uint64(max(self.n_texts - 1, 1).bit_length())
        shift = np.uint64(_HASH_BITS) - row_bits
        keys = np.sort((self.rows.astype(np.uint64) << shift) | (self.hashes >> row_bits))
        is_first = np.ones(len(keys), dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        return np.bincount((keys[is_first] >> shift).astype(np.int64), minlength=self.n_texts)

    def keys(self, groups: IntArray) -> Hashes:
        """Return hashes that differ between groups too, [w].

        Args:
            groups: Group of each text, [n].
        """
        return joined(self.hashes, np.repeat(groups.astype(np.uint64), self.lengths))


def check_unit(unit: str) -> None:
    """Raise ValueError for an unknown unit."""
    if unit not in get_args(Unit):
        raise ValueError(f"unit is {unit!r}, must be one of {', '.join(get_args(Unit))}")


def check_n(n: int) -> None:
    """Raise ValueError for an n-gram of nothing."""
    if n < 1:
        raise ValueError(f"n is {n}, must be at least 1")


def split_units(texts: Sequence[str], unit: Unit) -> Units:
    r"""Split texts into words, as `str.split` does, or into characters. Time and memory are linear.

    >>> split_units(["the cat", "", "the\u3000dog"], "word").lengths
    array([2, 0, 2])
    """
    if unit == "character":
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        encoded = "".join(texts).encode("utf-32-le", errors="surrogatepass")
        codes = np.frombuffer(encoded, dtype="<u4").astype(np.uint64)
        return Units(codes=_mixed(codes), starts=np.concatenate([[0], np.cumsum(lengths)]))
    return _split_words(texts)


def joined(left: Hashes, right: Hashes) -> Hashes:
    """Return a hash of each ordered pair."""
    mixed: Hashes = left * _MIX
    mixed ^= right + _SPREAD
    mixed ^= mixed >> _HALF
    mixed *= _FINISH
    return mixed


def _mixed(codes: Hashes) -> Hashes:
    """Return a code for each code, different for different ones, in which every bit depends on many."""
    mixed: Hashes = codes ^ (codes >> _HALF)
    mixed *= _MIX
    mixed ^= mixed >> _HALF
    mixed *= _SPREAD
    return mixed


def window_hashes(codes: Hashes, n: int) -> Hashes:
    """Return a hash of every n codes in a row, [m - n + 1], by doubling windows along the bits of n."""
    if len(codes) < n:
        return np.zeros(0, dtype=np.uint64)
    hashes, width = codes, 1
    for bit in f"{n:b}"[1:]:
        hashes = joined(hashes[:-width], hashes[width:])
        width *= 2
        if bit == "1":
            hashes = joined(hashes[:-1], codes[width:])
            width += 1
    return hashes


def row_shares(hits: IntArray, totals: IntArray) -> FloatArray:
    """Return hits / totals, NaN where the total is 0, [n]."""
    shares = np.full(len(totals), np.nan)
    np.divide(hits, totals, out=shares, where=totals > 0)
    return shares


def _split_words(texts: Sequence[str]) -> Units:
    """Split texts at whitespace, in UTF-8: from one byte to the next, is a blank left or entered?"""
    n_characters = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    data = "\n".join(["", *texts, "\0" * _LANE_BYTES]).encode("utf-8", errors="surrogatepass")
    is_blank = np.frombuffer(data.translate(_IS_BLANK), dtype=np.uint8).copy()
    firsts = np.concatenate([[1], 1 + np.cumsum(n_characters + 1)])  # in characters, [n + 1]
    if len(data) > firsts[-1] + _LANE_BYTES:
        firsts += _see_beyond_ascii(np.frombuffer(data, dtype=np.uint8), is_blank, firsts)
    is_blank = is_blank[: 1 - _LANE_BYTES]
    edges = np.flatnonzero(is_blank[1:] != is_blank[:-1]) + 1
    begins, ends = edges[::2], edges[1::2]
    # The padding begins one word more, which never ends.
    begins = begins[: len(ends)]
    return Units(codes=_word_codes(data, begins, ends), starts=np.searchsorted(begins, firsts))


def _see_beyond_ascii(data: NDArray[np.uint8], is_blank: NDArray[np.uint8], places: IntArray) -> IntArray:
    """Mark the other blanks of Unicode, in place, and return how many more bytes than characters precede each place.

    Args:
        data: Texts in UTF-8.
        is_blank: Whether each byte is part of a blank.
        places: Places in the texts, in characters, [n].
    """
    high = np.flatnonzero(data >= _FIRST_HIGH_BYTE)
    is_continuation = data[high] < _FIRST_LEAD_BYTE
    leads = high[~is_continuation]
    lead_bytes = data[leads]
    for blank in _OTHER_BLANKS:
        found = leads[lead_bytes == blank[0]]
        for offset in range(1, len(blank)):
            found = found[data[found + offset] == blank[offset]]
        for offset in range(len(blank)):
            is_blank[found + offset] = 1
    continuations = high[is_continuation]
    characters = continuations - np.arange(len(continuations)) - 1
    return np.searchsorted(characters, places)


def _word_codes(data: bytes, begins: IntArray, ends: IntArray) -> Hashes:
    """Return a code of each word, [m]: up to seven bytes hold themselves and their length, more are hashed."""
    lanes = np.ndarray((len(data) - _LANE_BYTES + 1,), dtype="<u8", buffer=data, strides=(1,))
    lengths = ends - begins
    codes = _first_bytes(lanes[begins], lengths)
    codes |= np.minimum(lengths, _LANE_BYTES - 1).astype(np.uint64)
    codes = _mixed(codes)
    longer = np.flatnonzero(lengths >= _LANE_BYTES)
    codes[longer] = joined(lanes[begins[longer]], lengths[longer].astype(np.uint64))
    longer = longer[lengths[longer] > _LANE_BYTES]
    done = _LANE_BYTES
    while len(longer) and done < _LONG_WORD_BYTES:
        codes[longer] = joined(codes[longer], _first_bytes(lanes[begins[longer] + done], lengths[longer] - done))
        done += _LANE_BYTES
        longer = longer[lengths[longer] > done]
    for word in longer.tolist():  # few: links, words of scripts without spaces, runaway outputs
        digest = hashlib.blake2b(data[begins[word] : ends[word]], digest_size=8).digest()
        codes[word] = int.from_bytes(digest, "little")
    return codes


def _first_bytes(lanes: Hashes, lengths: IntArray) -> Hashes:
    """Return the first bytes of each eight, at most as many as given, at the high end; at least one."""
    shifts = (_LANE_BYTES - np.minimum(lengths, _LANE_BYTES)) << 3
    kept: Hashes = lanes << shifts.astype(np.uint64)
    return kept
