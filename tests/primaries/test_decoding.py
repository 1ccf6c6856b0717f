"""The parts of the decoding loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metamodel.primaries.decoding import Row, plan_batches
from metamodel.primaries.randomness import generation_seed, uniform_streams
from metamodel.primaries.token_choice import choose_tokens, sampling_weights
from metamodel.types import Sampling


def test_streams_match_the_published_generator() -> None:
    """Seed 0 gives the first outputs of Steele, Lea and Flood's SplitMix64, cut to 52 bits."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    expected = [(number >> 12) * 2.0**-52 for number in published]
    np.testing.assert_array_equal(uniform_streams([0], 3)[0], expected)


def test_streams_are_uniform_and_unrelated() -> None:
    """Rows with neighboring sample indices have means of one half and no correlation."""
    seeds = [generation_seed(run_seed=0, prompt_id=str(row // 2), sample=row % 2) for row in range(4000)]
    numbers = uniform_streams(seeds, 8)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
    assert abs(numbers.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(numbers[::2, 0], numbers[1::2, 0])[0, 1]) < 0.08
    assert numbers.max() < 1


def test_top_p_and_top_k_keep_the_smallest_sufficient_set() -> None:
    """The nucleus is the smallest set that holds the mass; top_k comes first, the rest is renormalized."""
    logits = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))

    def kept(**settings: float) -> list[int]:
        weights = sampling_weights(logits, Sampling(**settings))  # type: ignore[arg-type] # one dictionary for int and float fields
        return weights[0].nonzero()[:, 0].tolist()

    assert kept(top_p=0.4) == [1]
    assert kept(top_p=0.41) == [1, 3]
    assert kept(top_p=0.95) == [0, 1, 2, 3]
    assert kept(top_k=2) == [1, 3]
    assert kept(top_k=2, top_p=0.5) == [1]
    assert kept(top_k=9) == [0, 1, 2, 3]


@given(seed=st.integers(0, 2**32 - 1), uniform=st.sampled_from([0.0, 0.25, 0.5, 1 - 2.0**-52]))
def test_no_draw_falls_on_a_token_that_was_cut(seed: int, uniform: float) -> None:
    """At both ends of the uniform range the token drawn has a weight above zero."""
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(seed)) * 4
    sampling = Sampling(temperature=0.7, top_k=7, top_p=0.9)
    choice = choose_tokens(logits, sampling, torch.tensor([uniform], dtype=torch.float64))
    assert sampling_weights(logits, sampling)[0, int(choice.tokens[0])] > 0
    expected = torch.log_softmax(logits, dim=-1)[0, int(choice.tokens[0])]
    assert float(choice.logprobs[0]) == pytest.approx(float(expected), abs=1e-5)


@given(
    lengths=st.lists(st.integers(1, 50), max_size=40),
    batch_tokens=st.integers(1, 400),
    new_tokens=st.integers(1, 20),
    pads=st.booleans(),
)
def test_batches_hold_every_row_once_within_the_limit(
    lengths: list[int],
    batch_tokens: int,
    new_tokens: int,
    pads: bool,  # noqa: FBT001 - drawn by the test
) -> None:
    """No row is lost, only a single row exceeds the budget, and lengths mix only where that is exact."""
    rows = [Row(prompt=(1,) * length, seed=0) for length in lengths]
    batches = list(plan_batches(rows, new_tokens=new_tokens, batch_tokens=batch_tokens, pads=pads))
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * (longest + new_tokens) <= batch_tokens
        assert pads or len({lengths[index] for index in batch}) == 1
