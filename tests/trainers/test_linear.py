"""The baselines: domain lookup, length and tf-idf."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Metamodel
from trainers.base_rate import BaseRate
from trainers.domain_tag import DomainTag
from trainers.heads.logistic import weighted_sums
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares
from trainers.inputs.tfidf_features import TOKEN_PATTERN
from trainers.prompt_length import PromptLength
from trainers.tfidf_logistic import TfidfLogistic

Planted = Callable[..., LabeledPrompts]


def bits(metamodel: Metamodel, prompts: LabeledPrompts, behavior: str) -> float:
    """Return a metamodel's cross-entropy."""
    rows, shares = outcome_shares(prompts.labels[behavior])
    return cross_entropy_bits(shares, metamodel.predict(prompts.texts)[behavior][rows])


def test_weighted_sums_are_the_sparse_product() -> None:
    """What predicts without scipy must sum what scipy's product sums, empty and very long rows included."""
    rng = np.random.default_rng(0)
    sizes = [0, 1, 7, 40_000, 0, 300]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    columns, weights = rng.integers(0, 500, offsets[-1]), rng.normal(size=offsets[-1])
    table = rng.normal(size=(500, 32))
    expected = csr_array((weights, columns, offsets), shape=(len(sizes), 500)) @ table
    found = weighted_sums(offsets, columns, weights, table)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
    alone = weighted_sums(np.array([0, sizes[3]]), columns[8 : 8 + sizes[3]], weights[8 : 8 + sizes[3]], table)
    np.testing.assert_array_equal(found[3], alone[0])


def test_domain_tag_recovers_rates(planted: Planted) -> None:
    """A domain's rate is found, a domain never seen gets the prior, and so does every prompt without domains."""
    train = planted(3000, 0)
    metamodel = DomainTag().fit(train, train.take([]), context=FitContext())
    names = ["easy", "hard", "even", "new"]
    predictions = metamodel.predict([""] * 4, domains=names)["domain"]
    np.testing.assert_allclose(predictions[:3, 1], [0.9, 0.2, 0.5], atol=0.04)
    prior = BaseRate().fit(train, train.take([]), context=FitContext()).predict([""])["domain"][0]
    np.testing.assert_array_equal(predictions[3], prior)
    np.testing.assert_array_equal(metamodel.predict([""])["domain"][0], prior)


def test_domain_tag_closed_form(planted: Planted) -> None:
    """One prompt with smoothing one lies half way between its label and the prior."""
    train = planted(1, 3)
    metamodel = DomainTag(smoothing=1.0).fit(train, train.take([]), context=FitContext())
    prior = metamodel.predict([""])["bigram"][0]
    shares = outcome_shares(train.labels["bigram"]).values[0]
    predicted = metamodel.predict([""], domains=train.domains)["bigram"][0]
    np.testing.assert_allclose(predicted, (shares + prior) / 2)


def test_domain_tag_counts_domains(planted: Planted) -> None:
    """Domains that do not belong to the texts are a bug in the caller."""
    metamodel = DomainTag().fit(planted(5, 0), planted(5, 1), context=FitContext())
    with pytest.raises(ValueError, match="2 domains for 1 texts"):
        metamodel.predict(["a"], domains=["easy", "hard"])


def test_prompt_length_reads_length(planted: Planted) -> None:
    """What depends on length is learned; what does not costs no more than the base rate."""
    train, validation, test = planted(400, 0), planted(100, 1), planted(300, 2)
    base = BaseRate().fit(train, validation, context=FitContext())
    metamodel = PromptLength().fit(train, validation, context=FitContext())
    assert bits(metamodel, test, "length") < bits(base, test, "length") - 0.5
    assert bits(metamodel, test, "domain") < bits(base, test, "domain") + 0.02


def test_prompt_length_does_not_extrapolate(planted: Planted) -> None:
    """A prompt far longer than any in training is predicted like the longest."""
    metamodel = PromptLength().fit(planted(100, 0), planted(20, 1), context=FitContext())
    predictions = metamodel.predict(["word " * 1_000, "word " * 20_000])["length"]
    np.testing.assert_array_equal(predictions[0], predictions[1])


def test_tfidf_against_a_pipeline(planted: Planted) -> None:
    """Without validation and with one sample a prompt, this is scikit-learn's own pipeline."""
    train, test = planted(200, 0, n_samples=1), planted(50, 1)
    metamodel = TfidfLogistic(C=2.0).fit(train, train.take([]), context=FitContext())
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=TOKEN_PATTERN),
        LogisticRegression(C=2.0),
    )
    pipeline.fit(train.texts, train.labels["bigram"].codes[:, 0])
    expected = pipeline.predict_proba(test.texts)
    np.testing.assert_allclose(metamodel.predict(test.texts)["bigram"], expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"analyzer": "char", "ngram_range": (2, 4)}, {"max_features": 50}])
def test_tfidf_learns(options: dict[str, object], planted: Planted) -> None:
    """Word and character n-grams both find a planted bigram."""
    train, validation, test = planted(400, 0), planted(100, 1), planted(200, 2)
    metamodel = TfidfLogistic(**options).fit(train, validation, context=FitContext())  # type: ignore[arg-type] # values differ in type
    base = BaseRate().fit(train, validation, context=FitContext())
    assert bits(metamodel, test, "bigram") < bits(base, test, "bigram") - 0.1


def test_unseen_outcome_keeps_its_prior(planted: Planted) -> None:
    """An outcome that training never showed is as likely as the prior says, whatever the prompt."""
    train = planted(100, 0)
    prior = BaseRate().fit(train, train.take([]), context=FitContext()).predict([""])["domain"][0, 2]
    predicted = TfidfLogistic().fit(train, train.take([]), context=FitContext()).predict(train.texts)["domain"][:, 2]
    np.testing.assert_allclose(predicted, prior, rtol=1e-3)


@pytest.mark.parametrize(
    ("trainer", "options", "problem"),
    [
        (DomainTag, {"smoothing": 0.0}, "smoothing is 0.0"),
        (PromptLength, {"C": -1.0}, "C is"),
        (TfidfLogistic, {"analyzer": "sentence"}, "must be one of word, char, char_wb"),
        (TfidfLogistic, {"ngram_range": (2, 1)}, "ngram_range is"),
        (TfidfLogistic, {"min_df": 0}, "min_df is 0"),
        (TfidfLogistic, {"C_grid": (1.0, 0.0)}, "C_grid is"),
    ],
)
def test_meaningless_fields(trainer: type, options: dict[str, object], problem: str) -> None:
    """A field out of range is refused with its value and what is allowed."""
    with pytest.raises(ValueError, match=problem):
        trainer(**options)
