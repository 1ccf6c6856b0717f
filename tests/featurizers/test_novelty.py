"""Novelty: the index against sets of tuples, and what happens to a corpus between two runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from featurizers.novelty import Novelty
from metamodel.analysis import ngram_index
from metamodel.analysis.ngram_index import NGramIndex, open_index
from metamodel.analysis.ngrams import Unit, split_units
from metamodel.errors import MetamodelError
from metamodel.text import text_batch


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a folder with two documents."""
    folder = tmp_path / "corpus"
    (folder / "below").mkdir(parents=True)
    (folder / "one.txt").write_text("the cat sat on the mat", encoding="utf-8")
    (folder / "below" / "two.txt").write_bytes("über allem, und \ufffd".encode() + b"\xff")
    (folder / "notes.md").write_text("no text of the corpus", encoding="utf-8")
    return folder


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(
    documents=st.lists(st.text("ab \n", max_size=40), min_size=1, max_size=4),
    outputs=st.lists(st.text("ab \n", max_size=30), max_size=4),
    n=st.integers(1, 6),
    unit=st.sampled_from(["word", "character"]),
)
def test_index_against_sets(documents: list[str], outputs: list[str], n: int, unit: Unit) -> None:
    """One index answers for every n as sets of windows do, and no n-gram reaches over the end of a document."""

    def windows(text: str) -> list[tuple[str, ...]]:
        units = text.split() if unit == "word" else text
        return [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]

    known = {gram for document in documents for gram in windows(document)}
    found = NGramIndex.from_texts(documents, unit=unit).contains(split_units(outputs, unit).ngrams(n), n)
    assert found.tolist() == [gram in known for output in outputs for gram in windows(output)]


def test_label(corpus: Path) -> None:
    """The share of new n-grams over the .txt files alone; too short an output is missing."""
    batch = text_batch(["the cat sat down", "the mat über allem,", "no text of", "cat", ""])
    np.testing.assert_allclose(Novelty(corpus=str(corpus), n=2).label(batch), [1 / 3, 1 / 3, 1, np.nan, np.nan])
    np.testing.assert_allclose(Novelty(corpus=str(corpus / "one.txt"), n=1).label(batch), [1 / 4, 1 / 2, 1, 0, np.nan])


def test_index_is_kept_and_renewed(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored index is used for as long as the corpus stays what it was, gives equal labels, and can stand alone."""
    store = tmp_path / "kept" / "corpus.safetensors"
    novelty = Novelty(corpus=str(corpus), n=2, index=str(store))
    batch = text_batch(["the cat sat down"])
    labels = novelty.label(batch)
    assert [file.name for file in store.parent.iterdir()] == ["corpus.safetensors"]
    assert Novelty(corpus=str(store), n=2).label(batch) == labels
    ngram_index._built.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(NGramIndex, "from_files", lambda *_, **__: pytest.fail("built again"))
        assert novelty.label(batch) == labels
    (corpus / "three.txt").write_text("sat down", encoding="utf-8")
    assert novelty.label(batch) == [0]
    assert Novelty(corpus=str(store), n=2).label(batch) == [0]


def test_what_cannot_be_read_is_refused(corpus: Path, tmp_path: Path) -> None:
    """No corpus, a folder without text, an index of other units and a file that is no index say what to do."""
    batch = text_batch(["a"])
    with pytest.raises(MetamodelError, match="neither a file nor a folder: give a text file"):
        Novelty(corpus=str(corpus / "missing")).label(batch)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MetamodelError, match=r"a folder without \.txt files"):
        Novelty(corpus=str(tmp_path / "empty")).label(batch)
    store = tmp_path / "words.safetensors"
    open_index(str(corpus), unit="word", index=str(store))
    with pytest.raises(MetamodelError, match="is an index of words, characters are asked for"):
        Novelty(corpus=str(store), unit="character").label(batch)


@pytest.mark.parametrize(
    ("about", "starts", "problem"),
    [
        ({}, [0, 2], "its version is None"),
        ({"version": "1"}, [0, 2], "it does not say of what"),
        ({"version": "1", "unit": "word", "fingerprint": ""}, [0, 3], "its documents do not cover its words"),
        ({"version": "1", "unit": "word", "fingerprint": ""}, [0, 3, 2], "its documents do not cover its words"),
        ({"version": "1", "unit": "word", "fingerprint": ""}, [[0, 2]], "its arrays have other types"),
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, about: dict[str, str], starts: list[int], problem: str) -> None:
    """An index is a file from anywhere: what does not fit is an error, not a wrong label."""
    path = tmp_path / "broken.safetensors"
    arrays = {"codes": np.zeros(2, dtype=np.uint64), "starts": np.array(starts, dtype=np.int64)}
    save_file(arrays, path, metadata={"ngram_index": json.dumps(about)})
    with pytest.raises(MetamodelError, match=problem):
        NGramIndex.load(path)
    path.write_bytes(os.urandom(40))
    with pytest.raises(MetamodelError, match="is no index of n-grams"):
        NGramIndex.load(path)


def test_meaningless_fields_are_refused() -> None:
    """A window of nothing and an unknown unit are the user's mistake, with what is allowed."""
    with pytest.raises(ValueError, match="n is 0, must be at least 1"):
        Novelty(corpus="x", n=0)
    with pytest.raises(ValueError, match="unit is 'line', must be one of word, character"):
        Novelty(corpus="x", unit="line")  # type: ignore[arg-type] # what must fail
