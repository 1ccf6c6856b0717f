"""Chains of checkpoints whose behavior is planted, with metamodels that are as good as their labels let them be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from metamodel.checkpoints.drift import Judged
from metamodel.checkpoints.lasting import Chain, ChainKey, Checkpoint

N_TRAINING = 200
TOKENS = (1e6, 2e6, 4e6, 8e6, 16e6)


@pytest.fixture
def planted_chain() -> Callable[..., Chain]:
    """Return a function that makes a chain of five checkpoints from a behavior's rates in four kinds of prompts."""

    def make(rates: Sequence[Sequence[float]], *, seed: int, n_prompts: int = 400, n_samples: int = 4) -> Chain:
        rng = np.random.default_rng(seed)
        kinds = rng.integers(0, len(rates[0]), n_prompts)
        judged = []
        for by_kind in rates:
            yes = rng.binomial(n_samples, np.array(by_kind)[kinds])
            # What a metamodel learns is the share of each kind among its own few labels: it has luck, good or bad.
            learned = np.array([(rng.binomial(N_TRAINING, rate) + 1) / (N_TRAINING + 2) for rate in by_kind])[kinds]
            constant = np.full(n_prompts, np.mean(by_kind))
            judged.append(
                Judged(
                    counts=np.column_stack([n_samples - yes, yes]),
                    probabilities=np.column_stack([1 - learned, learned]),
                    base_rates=np.column_stack([1 - constant, constant]),
                )
            )
        checkpoints = [
            Checkpoint(primary=f"at-{tokens:g}", parameters=1e6, tokens=tokens, series="one") for tokens in TOKENS
        ]
        key = ChainKey(series="one", metamodel="planted", behavior="empty", split="held_out_domain")
        domains = rng.integers(0, 3, n_prompts)
        strata = [np.flatnonzero(domains == domain) for domain in range(3)]
        return Chain(key=key, checkpoints=checkpoints, judged=judged, strata=strata)

    return make
