"""What the bag reads of texts: which buckets are kept, how they weigh, and that a row is its text's alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from metamodel.types import FloatArray
from trainers.inputs import hashing
from trainers.inputs.bag_features import BagFeatures, prompts_with_bucket
from trainers.inputs.hashing import NGramScheme, count_ngrams

SCHEME = NGramScheme(n_buckets=512, word_ngrams=(1, 2), character_ngrams=(2, 3), max_characters=1000)
TEXTS = ["", "add 12 and 7", "add 3 and 12", "", "copy copy copy copy", "日本語 and 12", "  ", "add add add", ""]


def bucket_counts(text: str) -> Counter[int]:
    """Count the buckets of one text."""
    counts: Counter[int] = Counter()
    for piece in count_ngrams([text], SCHEME):
        counts.update(dict(zip(piece.buckets.tolist(), piece.counts.tolist(), strict=True)))
    return counts


def dense(features: BagFeatures, texts: list[str]) -> FloatArray:
    """Return the weights as a table."""
    table: FloatArray = features.inputs(texts).ngrams.toarray()
    return table


def test_weights_match_a_plain_loop() -> None:
    """A bucket weighs (1 + ln count) * ln((1 + n) / (1 + texts with it)), rows have norm 1, rare ones are dropped."""
    features, inputs = BagFeatures.fit(TEXTS, SCHEME, min_prompts=2)
    counted = [bucket_counts(text) for text in TEXTS]
    frequency = Counter(bucket for counts in counted for bucket in counts)
    kept = sorted(bucket for bucket, n in frequency.items() if n >= 2)
    expected = np.zeros((len(TEXTS), len(kept)))
    for row, counts in enumerate(counted):
        for column, bucket in enumerate(kept):
            if bucket in counts:
                idf = np.log((1 + len(TEXTS)) / (1 + frequency[bucket]))
                expected[row, column] = (1 + np.log(counts[bucket])) * idf
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    expected /= np.where(norms > 0, norms, 1)
    assert features.buckets.tolist() == kept
    np.testing.assert_allclose(inputs.ngrams.toarray(), expected, rtol=1e-6)
    assert inputs.ngrams.dtype == np.float32


def test_rows_depend_on_their_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text's weights are the same bits in training, alone, in any order and in pieces of any size."""
    features, inputs = BagFeatures.fit(TEXTS, SCHEME, min_prompts=1)
    together = inputs.ngrams.toarray()
    assert np.array_equal(dense(features, TEXTS), together)
    assert np.array_equal(dense(features, TEXTS[::-1])[::-1], together)
    assert np.array_equal(np.concatenate([dense(features, [text]) for text in TEXTS]), together)
    monkeypatch.setattr(hashing, "_PIECE_CODE_POINTS", 16)
    assert np.array_equal(dense(features, TEXTS), together)


def test_frequencies_count_texts() -> None:
    """A bucket counts once a text, however often the text hits it."""
    expected = Counter(bucket for text in TEXTS for bucket in bucket_counts(text))
    found = prompts_with_bucket(TEXTS, SCHEME)
    assert {bucket: int(found[bucket]) for bucket in np.flatnonzero(found)} == dict(expected)


def test_nothing_shared_keeps_one_bucket() -> None:
    """Where no bucket is shared by enough texts one is kept all the same, for a table needs a row."""
    scheme = NGramScheme(n_buckets=512, word_ngrams=(), character_ngrams=(3,), max_characters=1000)
    features, inputs = BagFeatures.fit(["abc", "xyz"], scheme, min_prompts=2)
    assert features.buckets.tolist() == [0]
    assert inputs.ngrams.shape == (2, 1)


def test_no_text_has_no_row() -> None:
    """No text gives no row, of the right width."""
    features, _ = BagFeatures.fit(TEXTS, SCHEME, min_prompts=2)
    assert features.inputs([]).ngrams.shape == (0, len(features.buckets))
    assert features.inputs([]).lengths.shape == (0, 2)


def test_a_long_text_is_read_at_both_ends() -> None:
    """100,000 characters cost what max_characters cost: the middle changes nothing but the length."""
    features, _ = BagFeatures.fit(TEXTS, SCHEME, min_prompts=1)
    ends = "a" * 500, "b" * 500
    assert np.array_equal(dense(features, [ends[0] + "xyz " * 25_000 + ends[1]]), dense(features, ["".join(ends)]))
