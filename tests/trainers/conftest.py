"""Planted data: labels whose dependence on the prompt is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from metamodel.labels import Binary, Categorical, Count, LabeledPrompts, LabelTable

WORDS = ("stone", "seven", "copy", "king", "bird", "river", "alpha", "blue")
DOMAIN_RATES = {"easy": 0.9, "hard": 0.2, "even": 0.5}


def _planted(n_prompts: int, seed: int, n_samples: int = 2) -> LabeledPrompts:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 20, n_prompts)
    texts = tuple(" ".join(rng.choice(WORDS, length)) + f" {rng.integers(10_000)}?" for length in lengths)
    domains = tuple(str(name) for name in rng.choice(list(DOMAIN_RATES), n_prompts))
    has_bigram = np.array(["king river" in text or "blue bird" in text for text in texts])
    by_bigram = rng.random((n_prompts, n_samples)) < np.where(has_bigram, 0.95, 0.05)[:, None]
    by_domain = rng.random((n_prompts, n_samples)) < np.array([DOMAIN_RATES[name] for name in domains])[:, None]
    words = np.repeat(lengths[:, None], n_samples, axis=1) + rng.integers(0, 2, (n_prompts, n_samples))
    codes = by_domain.astype(np.int64)
    codes[rng.random(codes.shape) < 0.1] = -1
    count = Count(edges=(5, 10, 15, 100))
    return LabeledPrompts(
        texts=texts,
        domains=domains,
        labels={
            "bigram": LabelTable(space=Binary(), codes=by_bigram.astype(np.int64)),
            "domain": LabelTable(space=Categorical(classes=("a", "b", "c")), codes=codes),
            "length": LabelTable(space=count, codes=count.encode(words.astype(np.float64))),
        },
    )


@pytest.fixture(scope="session")
def planted() -> Callable[..., LabeledPrompts]:
    """Return a function of (n_prompts, seed, n_samples=2).

    `bigram` depends on two bigrams, `domain` on the domain alone (its class "c" never occurs, a tenth of its labels is
    missing), `length` on the number of words.
    """
    return _planted
