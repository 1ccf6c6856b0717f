"""Keys by the million: the same as one by one, numbered in the order they come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metamodel.store.keys import GenerationKeys, KeyIndex, hex_column, hex_of, key_bytes, keys_of
from metamodel.types import Sampling, content_hash, generation_key

# Few words, so that a table of 1,024 slots meets equal keys and full slots all the time.
WORDS = st.integers(0, 5).map(lambda number: number * 1024)
BATCHES = st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=12), max_size=8)


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 12)), max_size=12), st.text(max_size=5))
def test_keys_in_bulk_are_generation_keys(places: list[tuple[str, int]], identity: str) -> None:
    """A run filled from tables finds the rows that were drawn one by one, and the other way round."""
    sampling = Sampling(n_samples=3, stop=("\n",))
    keys = GenerationKeys(identity, sampling).keys([name for name, _ in places], [sample for _, sample in places])
    expected = [
        generation_key(primary_identity=identity, prompt_id=name, sampling=sampling, sample=sample)
        for name, sample in places
    ]
    assert hex_of(keys) == hex_column(keys).to_pylist() == expected


@settings(deadline=None)
@given(BATCHES)
def test_an_index_numbers_keys_like_a_dictionary(batches: list[list[tuple[int, int]]]) -> None:
    """Each key gets its number once, in the order of first coming, whatever collides and however they are batched."""
    index, numbers = KeyIndex(), {}
    for batch in batches:
        keys = np.array(batch, dtype=np.uint64).reshape(-1, 2)
        expected = []
        for key in batch:
            expected.append(key not in numbers)
            numbers.setdefault(key, len(numbers))
        assert index.add(keys).tolist() == expected
        assert index.find(keys).tolist() == [numbers[key] for key in batch]
    assert list(map(tuple, index.keys.tolist())) == list(numbers)
    assert not index.contains(np.array([[1, 1]], dtype=np.uint64)).any()


def test_an_index_grows() -> None:
    """Numbers survive every growth of the table."""
    keys = np.random.default_rng(0).integers(0, 2**63, size=(50_000, 2), dtype=np.uint64)
    index = KeyIndex()
    for begin in range(0, len(keys), 7_000):
        assert index.add(keys[begin : begin + 7_000]).all()
    assert (index.find(keys) == np.arange(len(keys))).all()
    assert not index.add(keys[::7]).any()


def test_ids_that_are_no_hash_are_hashed() -> None:
    """Ids of any form have keys of their own: upper-case digits are not taken for lower-case ones."""
    names = [content_hash("a"), content_hash("a").upper(), "short", "", "\ud800", "ä" * 32, " " + content_hash("b")[1:]]
    keys = keys_of(names)
    assert len({key.tobytes() for key in keys}) == len(names)
    assert [key.tobytes() for key in keys] == [key_bytes(name) for name in names]
    assert hex_of(keys)[0] == names[0]
