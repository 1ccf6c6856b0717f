"""What tells a prompt from the training prompts, as a few numbers from one pass over its characters.

Two kinds of pieces are looked up by their hash: words, and runs of 4 characters. A table says of each hash how
surprising it is, from the number of training prompts that hold it. Surprises are whole numbers and add up exactly, so
that a prompt's numbers never depend on what shares its batch.

Shapes: n = texts, t = code points of a batch's piece, w = windows or words in it, b = buckets, k = kinds of pieces,
d = features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray

Codes: TypeAlias = NDArray[np.uint8]
Hashes: TypeAlias = NDArray[np.uint32]
Packed: TypeAlias = NDArray[np.int32]

N_BUCKETS: Final = 2**16
N_KINDS: Final = 2
# Of a longer prompt the first and the last half of so many characters are read, whose arrays stay in a core's cache.
MOST_CHARACTERS: Final = 10_000
STEPS_A_BIT: Final = 8
_UNSEEN_FREQUENCY: Final = 0.5

_RUN_LENGTH: Final = 4
# Stands before, between and after texts; no character is ever assigned to it.
_MARK: Final = "\U0010ffff"
_PIECE_CODE_POINTS: Final = 2**15
# Above the sum of the codes of a piece.
_UNSEEN: Final = 2**24
_MULTIPLIER: Final = np.uint32(0x9E3779B1)
_INVERSE: Final = np.uint32(pow(0x9E3779B1, -1, 2**32))
_SPREAD: Final = np.uint32(0x85EBCA77)

# Those above _SPACE are text, those above _SIGN make words.
N_CLASSES: Final = 8
_CONTROL, _SPACE, _SIGN, _DIGIT, _LOWER, _UPPER, _LATIN, _BEYOND = range(N_CLASSES)
# Latin letters with and without marks end below it; scripts of their own begin here.
_FIRST_BEYOND: Final = 0x250
_COUNTED: Final = [_CONTROL, _SPACE, _DIGIT, _LOWER, _UPPER, _LATIN, _BEYOND]
N_FEATURES: Final = 2 * N_KINDS + len(_COUNTED) + 1
# Places among the features.
WORD_SURPRISE: Final = 0
UNSEEN_WORDS: Final = N_KINDS
LOG_LENGTH: Final = N_FEATURES - 1


class _Piece(NamedTuple):
    """Places in the tables of all words of a piece, and behind them of all its runs of characters.

    Attributes:
        places: Kind * b + bucket of every word and run, [w].
        firsts: Where each text's words begin, then where its runs do, [k, n].
        ends: Where they end, [k, n].
        classes: How many of each text's characters are of each class, [n, 8].
        n_characters: Length of each text, [n].
    """

    places: NDArray[np.intp]
    firsts: IntArray
    ends: IntArray
    classes: IntArray
    n_characters: IntArray


def surprise_codes(n_holding: IntArray, n_texts: int) -> Codes:
    """Return how surprising each bucket is, in steps of 1/8 bit, [k, b].

    The surprise is -log2 of the share of texts that hold the bucket, with half a text for what none holds.

    Args:
        n_holding: Number of texts that hold each bucket, [k, b].
        n_texts: Number of texts.
    """
    share = np.maximum(n_holding, _UNSEEN_FREQUENCY) / max(n_texts, 1)
    bits = -np.log2(np.minimum(share, 1.0))
    codes: Codes = np.minimum(np.rint(bits * STEPS_A_BIT), np.iinfo(np.uint8).max).astype(np.uint8)
    return codes


def lookup_table(codes: Codes) -> Packed:
    """Return one number a bucket that holds its code and whether no bucket of its kind is more surprising, [k * b]."""
    is_unseen = codes == codes.max(axis=1, keepdims=True)
    table: Packed = (codes.astype(np.int32) + is_unseen * np.int32(_UNSEEN)).ravel()
    return table


def count_holding(texts: Sequence[str]) -> IntArray:
    """Return how many of the texts hold each bucket, [k, b]."""
    total = np.zeros(N_KINDS * N_BUCKETS, dtype=np.int64)
    for texts_of_piece in _pieces(texts):
        piece = _read(texts_of_piece)
        for row in range(len(texts_of_piece)):
            owned = [piece.places[slice(*ends)] for ends in zip(piece.firsts[:, row], piece.ends[:, row], strict=True)]
            total[np.unique(np.concatenate(owned))] += 1
    return total.reshape(N_KINDS, N_BUCKETS)


def text_features(texts: Sequence[str], table: Packed) -> FloatArray:
    """Return the features of each text, [n, d].

    In this order: the mean surprise of words and of runs of characters, in bits; the share of each that is as
    surprising as anything can be; the square root of the share of control characters, spaces, digits, lower-case and
    upper-case ASCII letters, other Latin letters and characters beyond them; the logarithm of 1 + the length.

    Args:
        texts: Any texts; lone surrogates and NUL are characters like others.
        table: What `lookup_table` made of each bucket's surprise, [k * b].
    """
    parts = [_piece_features(piece, table) for piece in _pieces(texts)]
    features = parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, N_FEATURES)), *parts])
    features[:, LOG_LENGTH] = np.log1p([len(text) for text in texts])
    return features


def _pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield runs of shortened texts that are small enough for a core's cache."""
    half = MOST_CHARACTERS // 2
    piece: list[str] = []
    length = 0
    for text in texts:
        kept = text if len(text) <= MOST_CHARACTERS else text[:half] + text[-half:]
        piece.append(kept)
        length += len(kept) + 1
        if length >= _PIECE_CODE_POINTS:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def _piece_features(texts: Sequence[str], table: Packed) -> FloatArray:
    piece = _read(texts)
    running = np.zeros(len(piece.places) + 1, dtype=np.int64)
    table.take(piece.places).cumsum(dtype=np.int64, out=running[1:])
    sums = running[piece.ends] - running[piece.firsts]  # [k, n], exact: whole numbers
    n_own = np.maximum(piece.ends - piece.firsts, 1)
    features = np.empty((len(texts), N_FEATURES))
    features[:, :N_KINDS] = ((sums % _UNSEEN) / (n_own * STEPS_A_BIT)).T
    features[:, N_KINDS : 2 * N_KINDS] = (sums // _UNSEEN / n_own).T
    shares = piece.classes[:, _COUNTED] / np.maximum(piece.n_characters, 1)[:, None]
    features[:, 2 * N_KINDS : LOG_LENGTH] = np.sqrt(shares)
    return features


def _read(texts: Sequence[str]) -> _Piece:
    """Hash all words and runs of characters of a piece."""
    joined = _MARK + _MARK.join(texts) + _MARK
    points = np.frombuffer(joined.encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    n_characters = np.array([len(text) for text in texts])
    marks = np.zeros(len(texts) + 1, dtype=np.int64)  # text i lies between marks i and i + 1
    np.cumsum(n_characters + 1, out=marks[1:])
    kinds, lowering = _character_tables()
    known = np.minimum(points, _FIRST_BEYOND)
    classes = kinds.take(known)
    classes[marks] = _SPACE
    points = points + lowering.take(known)
    words, word_starts = _words(points, classes)
    runs = points
    for offset in range(1, _RUN_LENGTH):
        runs = runs[:-1] * _MULTIPLIER
        runs += points[offset:]
    places = np.empty(len(words) + len(runs), dtype=np.intp)
    places[: len(words)] = _buckets(words)
    places[len(words) :] = _buckets(runs)
    places[len(words) :] += N_BUCKETS
    ends_of_words = np.append(np.searchsorted(word_starts, marks[:-1]), len(words))
    # A text's runs begin at the mark before it, and end at the latest at the mark behind it.
    run_firsts = np.minimum(marks[:-1], len(runs))
    run_ends = np.maximum(marks[1:] - (_RUN_LENGTH - 2), run_firsts)
    return _Piece(
        places=places,
        firsts=np.stack([ends_of_words[:-1], run_firsts + len(words)]),
        ends=np.stack([ends_of_words[1:], run_ends + len(words)]),
        classes=_count_classes(classes, marks),
        n_characters=n_characters,
    )


def _count_classes(classes: Codes, marks: IntArray) -> IntArray:
    """Return how many characters of each class each text has, [n, 8]."""
    owners = np.repeat(np.arange(len(marks) - 1) * N_CLASSES, np.diff(marks))
    counts = np.bincount(owners + classes[1:], minlength=N_CLASSES * (len(marks) - 1)).reshape(-1, N_CLASSES)
    counts[:, _SPACE] -= 1  # the mark behind the text
    return counts


def _words(points: Hashes, classes: Codes) -> tuple[Hashes, IntArray]:
    """Return the hash of each word, [w], and its place; a word is a run of letters and digits, or one sign."""
    is_word = classes > _SIGN
    is_text = classes > _SPACE
    # A word begins where its character is no space and does not continue a run. Marks are spaces, so that neither the
    # first nor the last character begins or ends one.
    breaks = is_word[1:] & is_word[:-1]
    np.logical_not(breaks, out=breaks)
    starts = np.flatnonzero(is_text[1:] & breaks) + 1
    stops = np.flatnonzero(is_text[:-1] & breaks) + 1
    powers, inverses = _powers(1 << max(len(points) - 1, 1023).bit_length())
    # Prefix sums of code * base^place; dividing by base^start makes a word's hash forget where it stood.
    running = np.zeros(len(points) + 1, dtype=np.uint32)
    (points * powers[: len(points)]).cumsum(dtype=np.uint32, out=running[1:])
    hashes: Hashes = running.take(stops)
    hashes -= running.take(starts)
    hashes *= inverses.take(starts)
    return hashes, starts


def _buckets(hashes: Hashes) -> Hashes:
    """Return the upper half of well-mixed bits of each hash: multiply, fold, multiply."""
    mixed = hashes * _MULTIPLIER
    mixed ^= mixed >> np.uint32(15)
    mixed *= _SPREAD
    mixed >>= np.uint32(16)
    return mixed


@lru_cache(maxsize=8)
def _powers(n: int) -> tuple[Hashes, Hashes]:
    """Return base^0 to base^(n - 1) modulo 2^32, and their inverses."""
    tables = []
    for base in (_MULTIPLIER, _INVERSE):
        factors = np.full(n, base, dtype=np.uint32)
        factors[0] = 1
        tables.append(np.cumprod(factors, dtype=np.uint32))
    return tables[0], tables[1]


@lru_cache(maxsize=1)
def _character_tables() -> tuple[Codes, Hashes]:
    """Return the class of each code point and what to add to write it in lower case; the last stands for all beyond."""
    table = np.full(_FIRST_BEYOND + 1, _LATIN, dtype=np.uint8)
    table[:32] = table[127] = _CONTROL
    table[9:14] = table[32] = table[0x85] = table[0xA0] = _SPACE
    table[33:127] = _SIGN
    for first, last, kind in (("0", "9", _DIGIT), ("a", "z", _LOWER), ("A", "Z", _UPPER)):
        table[ord(first) : ord(last) + 1] = kind
    table[_FIRST_BEYOND] = _BEYOND
    return table, (table == _UPPER) * np.uint32(ord("a") - ord("A"))
