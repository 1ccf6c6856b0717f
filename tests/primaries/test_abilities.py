"""What a model's cache and padding can do is measured, so that a wrong one is never trusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from metamodel.primaries.decoding import Row, decode
from metamodel.primaries.stepping import Abilities, Stepper, measure_abilities
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import Sampling


def small_gpt2(model_class: type[GPT2LMHeadModel]) -> GPT2LMHeadModel:
    """Return a random GPT-2 of the given class."""
    torch.manual_seed(0)
    return model_class(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, initializer_range=0.4)).eval()


class IgnoresPadding(GPT2LMHeadModel):
    """Reads padding as if it were text."""

    def forward(self, input_ids: torch.Tensor, past_key_values: object = None, use_cache: bool = True) -> object:  # noqa: FBT001, FBT002 - transformers' signature
        """Drop mask and positions."""
        return super().forward(input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache)


class ForgetsItsCache(GPT2LMHeadModel):
    """Returns a cache and does not use it."""

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: object = None,
        use_cache: bool = True,  # noqa: FBT001, FBT002 - transformers' signature
    ) -> object:
        """Drop what an earlier call returned."""
        mask = attention_mask[:, -input_ids.shape[1] :] if attention_mask is not None else None
        positions = None if mask is None else (mask.cumsum(1) - 1).clamp(min=0)
        del past_key_values
        return super().forward(input_ids=input_ids, attention_mask=mask, position_ids=positions, use_cache=use_cache)


@pytest.mark.parametrize(
    ("model_class", "expected"),
    [
        (GPT2LMHeadModel, Abilities(caches=True, pads=True)),
        (IgnoresPadding, Abilities(caches=True, pads=False)),
        (ForgetsItsCache, Abilities(caches=False, pads=True)),
    ],
)
def test_abilities_are_found_out(model_class: type[GPT2LMHeadModel], expected: Abilities) -> None:
    """A model that mishandles padding or its cache is caught before it draws anything."""
    assert measure_abilities(small_gpt2(model_class), n_tokens=64) == expected


def test_every_way_of_reading_draws_the_same() -> None:
    """With the cache and without it, the tokens are the same."""
    model = small_gpt2(GPT2LMHeadModel)
    rows = [Row(prompt=tuple(range(1, length)), seed=length) for length in (3, 9, 9, 20, 21, 22)]
    sampling = Sampling(n_samples=2, max_new_tokens=30)
    with_cache = decode(model, rows, sampling, end_ids=[5], abilities=Abilities(caches=True, pads=True))
    without = decode(model, rows, sampling, end_ids=[5], abilities=Abilities(caches=False, pads=True))
    assert [row.token_ids for row in with_cache] == [row.token_ids for row in without]
    assert {row.finish_reason for row in with_cache} == {"stop", "length"}


def test_the_cache_grows_beyond_its_spare_room() -> None:
    """After hundreds of steps the cache holds what a fresh reading computes."""
    model = small_gpt2(GPT2LMHeadModel)
    with torch.inference_mode():
        stepper = Stepper(model, [[1, 2, 3], [4]], use_cache=True)
        tokens = torch.randint(0, 64, (2, 150), generator=torch.Generator().manual_seed(1))
        for step in range(150):
            stepper.step(tokens[:, step])
        fresh = Stepper(model, [[1, 2, 3, *tokens[0].tolist()]], use_cache=False)
    torch.testing.assert_close(stepper.logits[:1], fresh.logits, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "mamba2", "lstm"])
def test_the_usual_architectures_use_their_cache(tiny_model: Callable[[str], str], name: str) -> None:
    """No architecture of the zoo falls back to reading the whole prefix for every token."""
    assert TransformersModel(model=tiny_model(name))._load().abilities.caches
