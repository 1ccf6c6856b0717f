"""Tf-idf without scikit-learn: the same weights as scikit-learn's own vectorizer."""

from __future__ import annotations

import random

import numpy as np
import pytest

from trainers.tfidf_logistic import Analyzer, TfidfLogistic

ALPHABET = "ab c  d\n\t1.,!éßДא漢字\x00\ud800İ_"


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("ngram_range", [(1, 2), (2, 4), (3, 3)])
def test_weights_are_those_of_scikit_learn(analyzer: Analyzer, ngram_range: tuple[int, int]) -> None:
    """On texts of odd characters, known or new, empty or short, every weight agrees to rounding."""
    rng = random.Random(0)  # noqa: S311 - test texts, no secrets
    texts = ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 60))) for _ in range(300)]
    trainer = TfidfLogistic(analyzer=analyzer, ngram_range=ngram_range)
    vectorizer = trainer.vectorizer().fit(texts[:200])
    features = trainer.features([str(term) for term in vectorizer.get_feature_names_out()], vectorizer.idf_)
    new = [*texts[200:], "", " ", "a", "a" * 10_000]
    rows = features.rows(new)
    table = np.eye(rows.shape[1])
    expected = vectorizer.transform(new).toarray()
    assert expected.any()
    assert rows @ table == pytest.approx(expected, abs=1e-12)
    some = np.array([3, 0, len(new) - 4])
    assert np.array_equal(rows.take(some) @ table, (rows @ table)[some])


def test_no_term_is_known() -> None:
    """Without a vocabulary every text weighs nothing, and so does no text."""
    features = TfidfLogistic().features([], np.zeros(0))
    assert features.rows(["a", ""]).shape == (2, 0)
    assert (features.rows([]) @ np.zeros((0, 3))).shape == (0, 3)
