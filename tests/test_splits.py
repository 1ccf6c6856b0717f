"""Folds decide what counts as unseen: a leak here would make every figure of the project wrong."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamodel.errors import DataError
from metamodel.splits import Fold, held_out_fold, in_distribution_fold, make_folds

TEXTS = [f"prompt {number}" for number in range(600)]
DOMAINS = [f"domain {number % 6}" for number in range(600)]


def text_sides(fold: Fold, texts: list[str]) -> tuple[set[str], set[str], set[str]]:
    """Return the texts on each side."""
    return tuple({texts[row] for row in rows} for rows in (fold.train, fold.validation, fold.test))  # type: ignore[return-value] # three of them


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("wxyz")), min_size=30, max_size=90),
    st.integers(0, 5),
)
def test_no_text_stands_on_two_sides(pairs: list[tuple[str, str]], seed: int) -> None:
    """Equal texts under different ids or domains never train and judge at once."""
    texts, domains = [text for text, _ in pairs], [domain for _, domain in pairs]
    folds = []
    for domain in sorted(set(domains)):
        with suppress(DataError):
            folds.append(held_out_fold(texts, domains, held_out_domain=domain, validation_share=0.3, seed=seed))
    with suppress(DataError):
        folds.append(in_distribution_fold(texts, domains, test_share=0.3, validation_share=0.3, seed=seed))
    for fold in folds:
        train, validation, test = text_sides(fold, texts)
        assert not train & test
        assert not validation & test
        if fold.split == "in_distribution":
            assert not train & validation


def test_held_out_domain_is_nowhere_but_in_test() -> None:
    """The domain that judges has no prompt in training or validation, and all of its prompts judge."""
    fold = held_out_fold(TEXTS, DOMAINS, held_out_domain="domain 3", validation_share=0.2, seed=0)
    sides = [{DOMAINS[row] for row in rows} for rows in (fold.train, fold.validation, fold.test)]
    assert sides[2] == {"domain 3"}
    assert "domain 3" not in sides[0] | sides[1]
    assert len(fold.test) == 100


def test_validation_of_a_held_out_fold_is_whole_domains() -> None:
    """Early stopping and calibration face domains that were not trained on, as the judge does."""
    fold = held_out_fold(TEXTS, DOMAINS, held_out_domain="domain 3", validation_share=0.2, seed=0)
    assert not {DOMAINS[row] for row in fold.train} & {DOMAINS[row] for row in fold.validation}
    assert len(fold.validation) == 100


def test_shares_are_kept_and_order_does_not_matter() -> None:
    """A prompt's side depends on its text alone, at about the shares asked for."""
    plan = {"test_share": 0.25, "validation_share": 0.2, "seed": 1}
    fold = in_distribution_fold(TEXTS, DOMAINS, **plan)
    assert abs(len(fold.test) / 600 - 0.25) < 0.06
    order = np.random.default_rng(0).permutation(600)
    shuffled = in_distribution_fold([TEXTS[row] for row in order], [DOMAINS[row] for row in order], **plan)
    assert {TEXTS[row] for row in fold.test} == {TEXTS[order[row]] for row in shuffled.test}
    other_seed = in_distribution_fold(TEXTS, DOMAINS, test_share=0.25, validation_share=0.2, seed=2)
    assert set(fold.test) != set(other_seed.test)


def test_folds_that_cannot_work_are_refused() -> None:
    """One domain, an unknown domain, or a domain too small to train on is the user's mistake, in words."""
    plan = {"test_share": 0.25, "validation_share": 0.2, "in_distribution": True, "seed": 0}
    with pytest.raises(DataError, match="leaves no domain to train on"):
        make_folds(["a", "b", "c", "d"] * 20, ["only"] * 80, held_out_domains="all", **plan)
    with pytest.raises(DataError, match="no prompt has that domain; there are domain 0"):
        make_folds(TEXTS, DOMAINS, held_out_domains=["domain 9"], **plan)
    with pytest.raises(DataError, match="none is left to train on"):
        make_folds([*TEXTS, "lonely 4"], [*DOMAINS, "tiny"], held_out_domains=[], **{**plan, "test_share": 0.99})
