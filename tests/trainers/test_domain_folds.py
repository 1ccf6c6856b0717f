"""Folds of whole domains: nothing that is judged was seen, in text or domain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.fitting.choice import predict_out_of_fold
from trainers.fitting.domain_folds import domain_folds, surprise_share
from trainers.heads.outcomes import smoothed_prior

PROMPTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y", "z", "u", "v", "w"])), max_size=40)


@given(prompts=PROMPTS, expects_shift=st.booleans(), seed=st.integers(0, 3))
def test_no_fold_sees_what_it_judges(prompts: list[tuple[str, str]], *, expects_shift: bool, seed: int) -> None:
    """Both sides hold a prompt, share no text and, under shift, no domain; no prompt is judged twice."""
    texts, domains = [text for text, _ in prompts], [domain for _, domain in prompts]
    folds = domain_folds(texts, domains, expects_shift=expects_shift, seed=seed)
    judged = [row for fold in folds for row in fold.judge]
    assert len(set(judged)) == len(judged)
    for fold in folds:
        assert len(fold.fit)
        assert len(fold.judge)
        assert not {texts[row] for row in fold.fit} & {texts[row] for row in fold.judge}
        if expects_shift and len(set(domains)) > 1:
            assert not {domains[row] for row in fold.fit} & {domains[row] for row in fold.judge}


def test_domains_are_dealt_evenly() -> None:
    """Fourteen domains of equal size make five folds of two or three."""
    domains = [f"d{number % 14}" for number in range(140)]
    texts = [str(number) for number in range(140)]
    folds = domain_folds(texts, domains, expects_shift=True, seed=0)
    assert sorted(len(fold.judge) for fold in folds) == [20, 30, 30, 30, 30]


def test_predictions_are_out_of_fold() -> None:
    """Every candidate's predictions stand in the rows' order, each with the prior of the fit that made it."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.2, 0.8, 60)
    shares = np.stack([1 - truth, truth], axis=1)
    folds = domain_folds([str(i) for i in range(60)], [f"d{i % 6}" for i in range(60)], expects_shift=True, seed=0)

    def fit_and_predict(fitting: np.ndarray, judging: np.ndarray) -> list[np.ndarray]:
        assert not set(fitting) & set(judging)
        return [np.full((len(judging), 2), 0.5), shares[judging]]

    found = predict_out_of_fold(fit_and_predict, shares, folds)
    assert found is not None
    np.testing.assert_array_equal(found.judged, np.arange(60))
    np.testing.assert_array_equal(found.candidates[0], np.full((60, 2), 0.5))
    np.testing.assert_array_equal(found.candidates[1], shares)
    for fold in folds:
        own = smoothed_prior(shares[fold.fit])
        np.testing.assert_array_equal(found.priors[fold.judge], np.tile(own, (len(fold.judge), 1)))
    assert predict_out_of_fold(fit_and_predict, shares, []) is None


def test_surprise_follows_the_rule_of_succession() -> None:
    """A new domain is believed to break with n others as often as Laplace's rule says, and never where none is new."""
    assert surprise_share(["a", "b", "b", "c"], expects_shift=True) == pytest.approx(1 / 5)
    assert surprise_share(["a"], expects_shift=True) == pytest.approx(1 / 3)
    assert surprise_share(["a", "b"], expects_shift=False) == 0
