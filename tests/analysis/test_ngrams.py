"""N-grams over whole batches: the vectorized splitting, counting and looking up against Python's own."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamodel.analysis import hash_sets, once, pieces
from metamodel.analysis.hash_sets import HashSet
from metamodel.analysis.ngrams import Unit, split_units
from metamodel.analysis.pieces import pieces_of
from metamodel.text import text_batch

examples = settings(deadline=None, max_examples=300, derandomize=True, database=None)
# Every character that `str.split` parts words by, and some that look as if it did.
BLANKS = "".join(filter(str.isspace, map(chr, range(0x110000))))
any_text = st.text(st.sampled_from(BLANKS + "ab\x00\u200b\ufeffé漢👍\ud800") | st.characters(), max_size=60)


@examples
@given(texts=st.lists(any_text, max_size=6))
def test_words_are_those_of_str_split(texts: list[str]) -> None:
    """Any texts, every blank of Unicode included, part where `str.split` parts them; equal words get equal codes."""
    units = split_units(texts, "word")
    words = [word for text in texts for word in text.split()]
    assert units.lengths.tolist() == [len(text.split()) for text in texts]
    assert len(set(zip(words, units.codes.tolist(), strict=True))) == len(set(words)) == len(set(units.codes.tolist()))


def test_codes_tell_words_apart() -> None:
    """Words that differ in length, in one byte near an eight-byte border or in their end have codes of their own."""
    words = [f"{'x' * length}{end}" for length in range(130) for end in ("", "y", "z", "\x00", "\x00\x00")]
    words = list(dict.fromkeys(word for word in words if word))
    codes = split_units(words, "word").codes
    assert len(codes) == len(set(codes.tolist())) == len(words)
    alone = [int(split_units([word], "word").codes[0]) for word in words]
    assert codes.tolist() == alone


@pytest.mark.parametrize("unit", ["word", "character"])
def test_hashes_tell_short_units_apart(unit: Unit) -> None:
    """All pairs and triples of short words or of letters, whose codes hold little, have hashes of their own."""
    ends = ["", "s", "0.", "th", "\x00", "-"] if unit == "word" else [""]
    units = [f"{letter}{end}" for letter in "Labct1(=\\x" for end in ends]
    separator = " " if unit == "word" else ""
    pairs = [separator.join(pair) for pair in itertools.product(units, repeat=2)]
    triples = [separator.join(triple) for triple in itertools.product(units, repeat=3)]
    for n, texts in ((2, pairs), (3, triples)):
        hashes = split_units(texts, unit).ngrams(n).hashes
        assert len(hashes) == len(texts) == len(set(hashes.tolist()))


@examples
@given(texts=st.lists(st.text("ab ", max_size=30), max_size=5), n=st.integers(1, 6))
def test_distinct_ngrams_are_those_of_a_set(texts: list[str], n: int) -> None:
    """Each text's different n-grams are counted as a Python set counts them, and none reaches into the next text."""
    units = split_units(texts, "word")
    expected = []
    for text in texts:
        words = text.split()
        expected.append({tuple(words[start : start + n]) for start in range(len(words) - n + 1)})
    assert units.ngrams(n).n_distinct().tolist() == [len(grams) for grams in expected]


@pytest.mark.parametrize("n_known", [0, 1, 100, 5000, 200_000])
def test_hash_set_is_a_set(n_known: int) -> None:
    """Membership is that of a Python set: for repeated hashes, zero, hashes that share a slot, and strangers."""
    random = np.random.default_rng(0)
    known = random.integers(0, 1 << 64, n_known, dtype=np.uint64)
    # Half of them in one slot of a thousand, so that further tables are needed.
    known[::2] >>= np.uint64(10)
    for some in (known, np.concatenate([known, known, [np.uint64(0)]])):
        queries = np.concatenate([known[::3], random.integers(0, 1 << 64, 1000, dtype=np.uint64), [np.uint64(0)]])
        members = set(some.tolist())
        assert HashSet(some).contains(queries).tolist() == [query in members for query in queries.tolist()]


def test_zero_and_its_neighbors_share_a_slot() -> None:
    """Zero marks an empty slot, yet is found itself, and so are hashes that it displaced."""
    known = np.arange(100 * hash_sets._SMALL, dtype=np.uint64)
    assert HashSet(known).contains(known).all()
    assert HashSet(known[::-1].copy()).contains(known).all()
    assert not HashSet(known[1:].copy()).contains(known[:1]).any()


def test_pieces_cover_the_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is in one piece, in order, whatever the texts' lengths; a batch's pieces are made once and let go."""
    monkeypatch.setattr(pieces, "_PIECE_CHARACTERS", 10)
    texts = ["", "long " * 10, "a b", "", "c", "d " * 4, "e"]
    batch = text_batch(texts, prompts=["p"] * len(texts))
    found = pieces_of(batch)
    assert [text for piece in found for text in piece.texts] == texts
    assert np.concatenate([piece.words.lengths for piece in found]).tolist() == [len(text.split()) for text in texts]
    assert len(found) > 1
    assert pieces_of(batch) is found
    address = id(batch)
    assert address in once._KEPT
    del batch
    gc.collect()
    assert address not in once._KEPT
