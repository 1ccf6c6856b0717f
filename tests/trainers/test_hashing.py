"""Hashed n-grams against a plain count of n-grams."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from trainers.inputs import hashing, threads
from trainers.inputs.hashing import NGramScheme, count_ngrams

TEXTS = ["Add 12+7 =", "", "  ", "the THE the\u00a0end", "ünï 日本 🦜", "\ud800x\udfff", "aaaa", "aaab aaa", "?!"]


def scheme(**changes: object) -> NGramScheme:
    """Build a scheme with so many buckets that collisions are out of the question here."""
    values: dict[str, object] = {"word_ngrams": (1, 2), "character_ngrams": (2, 3, 5), "max_characters": 1000}
    return NGramScheme(n_buckets=2**24, **{**values, **changes})  # type: ignore[arg-type] # values differ in type


def plain_counts(text: str, chosen: NGramScheme) -> Counter[tuple[object, ...]]:
    """Count n-grams one by one."""
    characters = ["<", *(f"c{character}" for character in text), ">"]
    lowered = "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)
    words = [
        "<",
        *re.findall(r"[0-9a-z\x80-\x84\x86-\x9f\xa1-\u1fff\u2030-\u2fff\u3001-\U0010ffff]+|[!-~]", lowered),
        ">",
    ]
    found: Counter[tuple[object, ...]] = Counter()
    for symbols, lengths, name in ((characters, chosen.character_ngrams, "c"), (words, chosen.word_ngrams, "w")):
        for length in lengths:
            found.update((name, *symbols[i : i + length]) for i in range(len(symbols) - length + 1))
    return found


def rows(texts: list[str], chosen: NGramScheme) -> list[dict[int, int]]:
    """Return bucket to count of each text."""
    return [
        dict(zip(buckets[start:end].tolist(), counts[start:end].tolist(), strict=True))
        for offsets, buckets, counts in count_ngrams(texts, chosen)
        for start, end in itertools.pairwise(offsets)
    ]


def test_counts_match_a_plain_loop() -> None:
    """Each n-gram gets a bucket of its own, the same in every text, and is counted as often as it occurs."""
    chosen = scheme()
    plain = [plain_counts(text, chosen) for text in TEXTS]
    hashed = rows(TEXTS, chosen)
    for expected, got in zip(plain, hashed, strict=True):
        assert sorted(expected.values()) == sorted(got.values())
    for (a, b), (c, d) in zip(itertools.combinations(plain, 2), itertools.combinations(hashed, 2), strict=True):
        assert len(a.keys() & b.keys()) == len(c.keys() & d.keys())


def test_texts_do_not_touch_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text's buckets are the same alone, in a batch and when a batch is cut into pieces."""
    together = rows(TEXTS, scheme())
    assert [rows([text], scheme())[0] for text in TEXTS] == together
    monkeypatch.setattr(hashing, "_PIECE_CODE_POINTS", 15)
    assert rows(TEXTS, scheme()) == together


def test_hashes_never_change() -> None:
    """Stored metamodels name buckets: these must stay the same in every version and on every platform."""
    chosen = NGramScheme(n_buckets=1000, word_ngrams=(1,), character_ngrams=(2,), max_characters=100)
    assert rows(["Ab ü"], chosen) == [{144: 1, 265: 1, 293: 1, 425: 1, 630: 1, 863: 1, 913: 1, 954: 1, 967: 1}]


def test_buckets_are_used_evenly() -> None:
    """Hashes spread: 20,000 different words fill 64 buckets about evenly."""
    chosen = NGramScheme(n_buckets=64, word_ngrams=(1,), character_ngrams=(), max_characters=10**6)
    (piece,) = count_ngrams([" ".join(str(number) for number in range(20_000))], chosen)
    _, buckets, counts = piece
    expected = 20_002 / 64
    assert len(buckets) == 64
    assert float(((counts - expected) ** 2 / expected).sum()) < 130  # chi-square of 63 degrees: 1 in a million


def test_long_texts_keep_both_ends() -> None:
    """Of a text beyond the limit the first and the last half of the limit are read."""
    short = scheme(max_characters=10)
    assert rows(["abcde" + "x" * 500 + "vwxyz"], short) == rows(["abcdevwxyz"], short)


def test_ngrams_longer_than_texts() -> None:
    """Texts shorter than an n-gram have none of it, and take none from the texts beside them."""
    chosen = scheme(word_ngrams=(1, 7), character_ngrams=(64,))
    texts = ["ab", "", "c" * 62, "", "d e f g h i"]
    assert rows(texts, chosen) == [rows([text], chosen)[0] for text in texts]
    assert [sum(row.values()) for row in rows(texts, chosen)] == [3, 2, 3 + 1, 2, 8 + 2]


def test_more_texts_than_a_piece_holds() -> None:
    """With 2^24 buckets a piece holds 255 texts, and those after them are counted the same."""
    assert rows(["a b"] * 300, scheme()) == rows(["a b"], scheme()) * 300


@pytest.mark.parametrize("n_threads", [1, 3])
def test_pieces_come_as_asked_for(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    """Texts are read as their counts are asked for, a few ahead, so that nobody needs to hold all of them."""
    monkeypatch.setattr(hashing, "_PIECE_CODE_POINTS", 10)
    monkeypatch.setattr(threads, "usable_threads", lambda: n_threads)
    read = 0

    class Texts(list[str]):
        def __iter__(self) -> Iterator[str]:
            nonlocal read
            for text in super().__iter__():
                read += 1
                yield text

    pieces = count_ngrams(Texts(["abcdefgh"] * 50), scheme())
    next(pieces)
    assert read == (2 if n_threads == 1 else 2 * n_threads + 1)


def test_no_text() -> None:
    """No text gives no piece."""
    assert list(count_ngrams([], scheme())) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"word_ngrams": (), "character_ngrams": ()}, "both empty"),
        ({"word_ngrams": (0,)}, "word_ngrams is"),
        ({"character_ngrams": (2, 2)}, "character_ngrams is"),
        ({"max_characters": 1}, "max_characters is 1"),
    ],
)
def test_meaningless_schemes(changes: dict[str, object], problem: str) -> None:
    """A scheme that reads nothing is refused with the value."""
    with pytest.raises(ValueError, match=problem):
        scheme(**changes)
