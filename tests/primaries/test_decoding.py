"""The parts of the decoding loop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metamodel.primaries.randomness import generation_seed, uniform_streams
from metamodel.primaries.token_choice import choose_tokens, sampling_weights
from metamodel.primaries.waiting import Job, Waiting
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
    n_samples=st.integers(1, 9),
    budget=st.integers(1, 400),
    new_tokens=st.integers(1, 20),
    one_length=st.booleans(),
)
def test_jobs_are_handed_out_once_within_the_budget(
    lengths: list[int],
    n_samples: int,
    budget: int,
    new_tokens: int,
    one_length: bool,  # noqa: FBT001 - drawn by the test
) -> None:
    """No sample is lost, only a single row exceeds the budget, and lengths mix only where that is exact."""
    samples = tuple(range(n_samples))
    jobs = [Job(name=str(i), prompt=(1,) * n, samples=samples, seeds=samples) for i, n in enumerate(lengths)]
    waiting = Waiting(iter([jobs[:15], jobs[15:]]), new_tokens=new_tokens)
    seen: list[tuple[str, int]] = []
    while waiting.has_more():
        taken = waiting.take(budget=budget, n_running=0, n_positions=0, one_length=one_length)
        n_rows = sum(len(job.samples) for job in taken)
        longest = max(len(job.prompt) for job in taken)
        assert n_rows == 1 or n_rows * (longest + new_tokens) <= budget
        assert not one_length or len({len(job.prompt) for job in taken}) == 1
        seen += [(job.name, sample) for job in taken for sample in job.samples]
    assert sorted(seen) == sorted((job.name, sample) for job in jobs for sample in samples)


def test_jobs_that_do_not_fit_beside_others_wait() -> None:
    """Beside rows that run, a prompt is read once there is room for all of its samples, in half-full places never."""
    job = Job(name="a", prompt=(1,) * 6, samples=(0, 1, 2), seeds=(0, 1, 2))
    waiting = Waiting(iter([[job]]), new_tokens=4)
    assert waiting.take(budget=50, n_running=3, n_positions=10, one_length=False) == []
    assert waiting.take(budget=50, n_running=2, n_positions=25, one_length=False) == []
    assert waiting.take(budget=50, n_running=2, n_positions=10, one_length=False) == [job]
    assert not waiting.has_more()


def test_prompts_are_read_ahead_only_so_far() -> None:
    """The next window is read when the last has been handed out, and each begins with its shortest prompts."""
    n_read = 0

    def windows() -> Iterator[list[Job]]:
        nonlocal n_read
        for _ in range(3):
            n_read += 1
            yield [Job(name="", prompt=(1,) * n, samples=(0,), seeds=(0,)) for n in (5, 1, 3)]

    waiting = Waiting(windows(), new_tokens=1)
    lengths = []
    while waiting.has_more():
        (job,) = waiting.take(budget=1, n_running=0, n_positions=0, one_length=False)
        lengths.append(len(job.prompt))
        assert n_read <= len(lengths) // 3 + 1
    assert lengths == [1, 3, 5, 1, 3, 5, 1, 3, 5]
