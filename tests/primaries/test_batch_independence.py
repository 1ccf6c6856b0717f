"""An output does not depend on what shared its batch, but for ties within the rounding of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metamodel.primaries.capabilities import requests_for_all
from metamodel.primaries.randomness import uniform_streams
from metamodel.primaries.token_choice import sampling_weights
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import Generation, Prompt, Sampling

REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"
NAMES = ("stories260K-llama", "vanilla1M-gpt2-byte", "charlstm-darwin", "charlstm-shakespeare")
# The tolerance that TransformersModel states, relative to the largest logit.
TOLERANCE = 1e-4
WORDS = [
    "the",
    "king",
    "said",
    "to",
    "his",
    "old",
    "friend",
    "that",
    "it",
    "was",
    "late",
    "and",
    "they",
    "had",
    "no",
    "bread",
]
TEXTS = [" ".join(WORDS[start % 7 : start % 7 + 1 + start % 13]).capitalize() for start in range(64)]
PROMPTS = [Prompt.create(text, domain=str(index)) for index, text in enumerate(TEXTS)]
GREEDY = Sampling(temperature=0, max_new_tokens=24)


def drawn(model: TransformersModel, prompts: list[Prompt], sampling: Sampling) -> dict[str, Generation]:
    """Return one generation a prompt."""
    rows = [row for batch in model.generate(prompts, sampling) for row in batch if isinstance(row, Generation)]
    return {row.prompt_id: row for row in rows}


def logits_after(model: TransformersModel, prompt: Prompt, tokens: tuple[int, ...]) -> torch.Tensor:
    """Return the logits of the next token, read alone and at once, [v]."""
    loaded = model._load()
    ids = [*loaded.encode([prompt.text], add_special_tokens=True)[0], *tokens]
    with torch.inference_mode():
        return torch.as_tensor(loaded.model(input_ids=torch.tensor([ids])).logits[0, -1].double())


def is_near_tie(logits: torch.Tensor, one: int, other: int, sampling: Sampling, uniform: float) -> bool:
    """Say whether logits that differ by the tolerance could lead to either token."""
    slack = TOLERANCE * float(logits.abs().max())
    if sampling.is_greedy:
        return abs(float(logits[one] - logits[other])) <= 2 * slack
    weights = sampling_weights(logits[None], sampling)[0]
    borders = torch.cat([torch.zeros(1, dtype=torch.float64), weights.cumsum(0)]) / weights.sum()
    # A change of every logit by e changes every probability by a factor within exp(2 e / temperature).
    return all(
        float(borders[token]) - uniform <= 2 * slack / sampling.temperature
        and uniform - float(borders[token + 1]) <= 2 * slack / sampling.temperature
        for token in (one, other)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sampling", [GREEDY, replace(GREEDY, temperature=1.0, seed=11)])
def test_a_batch_of_one_and_a_batch_of_64_draw_the_same(name: str, sampling: Sampling) -> None:
    """On trained models every output is the same, or the first other token is a tie within the stated tolerance."""
    if not (REAL_MODELS / name).is_dir():
        pytest.skip(f"{REAL_MODELS / name} is not on this machine")
    model = TransformersModel(model=str(REAL_MODELS / name), trust_remote_code=name.startswith("charlstm"))
    together = drawn(model, PROMPTS, sampling)
    for prompt in PROMPTS[::4]:
        alone, beside = drawn(replace(model, batch_tokens=1), [prompt], sampling)[prompt.id], together[prompt.id]
        assert alone.token_ids is not None
        assert beside.token_ids is not None
        pairs = list(zip(alone.token_ids, beside.token_ids, strict=False))
        same = next((step for step, (one, other) in enumerate(pairs) if one != other), len(pairs))
        largest = float(logits_after(model, prompt, ()).abs().max())
        assert alone.logprobs is not None
        assert beside.logprobs is not None
        np.testing.assert_allclose(alone.logprobs[:same], beside.logprobs[:same], atol=2 * TOLERANCE * largest)
        if same == len(pairs):
            assert alone == replace(beside, logprobs=alone.logprobs)
        else:
            assert alone.seed is not None
            uniform = float(uniform_streams([alone.seed], same + 1)[0, same])
            logits = logits_after(model, prompt, alone.token_ids[:same])
            assert is_near_tie(logits, *pairs[same], sampling, uniform)


def test_a_near_tie_is_told_from_a_mistake() -> None:
    """The judgment above accepts tokens whose logits or borders touch, and no others."""
    logits = torch.tensor([1.0, 1.0 + 1e-6, 0.0, -3.0], dtype=torch.float64)
    assert is_near_tie(logits, 0, 1, GREEDY, 0.0)
    assert not is_near_tie(logits, 0, 2, GREEDY, 0.0)
    sampled = replace(GREEDY, temperature=1.0)
    border = float(torch.softmax(logits, 0)[0])
    assert is_near_tie(logits, 0, 1, sampled, border + 1e-6)
    assert not is_near_tie(logits, 0, 1, sampled, border + 0.01)
    assert not is_near_tie(logits, 0, 2, sampled, border)


def test_requests_are_read_only_so_far_ahead(tiny_model: Callable[[str], str]) -> None:
    """A stream of prompts is drawn from as it comes: outcomes arrive long before its end is read."""
    n_read = 0

    def prompts() -> Iterator[Prompt]:
        nonlocal n_read
        for index in range(20_000):
            n_read += 1
            yield Prompt.create(str(index), domain="d")

    sampling = Sampling(temperature=0, max_new_tokens=1)
    model = TransformersModel(model=tiny_model("gpt2"))
    batches = model.draw(requests_for_all(prompts(), sampling), sampling)
    assert next(batches)
    assert n_read < 10_000
