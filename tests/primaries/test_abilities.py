"""What a model's cache and padding can do is measured, so that a wrong one is never trusted."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from metamodel.errors import MetamodelError
from metamodel.primaries.abilities import measure_abilities
from metamodel.primaries.decoding import Decoder
from metamodel.primaries.drawn import DecodedRow
from metamodel.primaries.slots import SlotLanes
from metamodel.primaries.stepping import Abilities, Stepper
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.primaries.waiting import Job
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
        (GPT2LMHeadModel, Abilities(caches=True, pads=True, joins=True)),
        (IgnoresPadding, Abilities(caches=True, pads=False)),
        (ForgetsItsCache, Abilities(caches=False, pads=True)),
    ],
)
def test_abilities_are_found_out(model_class: type[GPT2LMHeadModel], expected: Abilities) -> None:
    """A model that mishandles padding or its cache is caught before it draws anything."""
    assert measure_abilities(small_gpt2(model_class), n_tokens=64) == expected


def decoded(
    model: GPT2LMHeadModel, jobs: list[Job], sampling: Sampling, abilities: Abilities, *, batch_tokens: int = 10_000
) -> dict[tuple[str, int], DecodedRow]:
    """Return every row by job and sample; each must come once."""
    decoder = Decoder(model, sampling, end_ids=[5], abilities=abilities, batch_tokens=batch_tokens)
    rows = [row for batch in decoder.decode(iter([jobs[:4], jobs[4:]])) for row in batch]
    by_place = {(row.job.name, row.sample): row for row in rows}
    assert len(by_place) == len(rows) == sum(len(job.samples) for job in jobs)
    return by_place


def some_jobs() -> list[Job]:
    """Return jobs of two samples each, of several lengths."""
    return [
        Job(name=str(index), prompt=tuple(range(1, length)), samples=(0, 1), seeds=(index, 100 + index))
        for index, length in enumerate((3, 9, 9, 20, 21, 22, 4, 15))
    ]


def test_every_way_of_reading_draws_the_same() -> None:
    """In slots, in batches with a cache, without one and without padding, under any budget, the tokens are the same."""
    model = small_gpt2(GPT2LMHeadModel)
    sampling = Sampling(n_samples=2, max_new_tokens=30)
    ways = [
        (Abilities(caches=True, pads=True, joins=True), 10_000),
        (Abilities(caches=True, pads=True, joins=True), 200),
        (Abilities(caches=True, pads=True), 300),
        (Abilities(caches=True, pads=False), 10_000),
        (Abilities(caches=False, pads=True), 10_000),
        (Abilities(caches=False, pads=False), 1),
    ]
    found = [decoded(model, some_jobs(), sampling, abilities, batch_tokens=budget) for abilities, budget in ways]
    tokens = [{place: row.token_ids for place, row in rows.items()} for rows in found]
    assert all(other == tokens[0] for other in tokens)
    assert {row.finish_reason for row in found[0].values()} == {"stop", "length"}


def test_rows_join_while_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for few rows, prompts take the places of rows that ended before the last of them has."""
    joined: list[int] = []
    admit = SlotLanes.admit

    def watched(self: SlotLanes, prompts: list[list[int]], sources: list[int], into: list[int]) -> torch.Tensor:
        joined.append(self._window.n_rows)
        return admit(self, prompts, sources, into)

    monkeypatch.setattr(SlotLanes, "admit", watched)
    rows = decoded(
        small_gpt2(GPT2LMHeadModel),
        some_jobs(),
        Sampling(n_samples=2, max_new_tokens=30),
        Abilities(caches=True, pads=True, joins=True),
        batch_tokens=250,
    )
    assert len(rows) == 16
    assert any(joined)


@pytest.mark.parametrize("joins", [True, False])
def test_out_of_memory_halves_the_budget_and_goes_on(monkeypatch: pytest.MonkeyPatch, joins: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whatever was drawn before stays, the rest is drawn with fewer rows, and the tokens are those of plenty."""
    model, sampling = small_gpt2(GPT2LMHeadModel), Sampling(n_samples=2, max_new_tokens=30)
    abilities = Abilities(caches=True, pads=True, joins=joins)
    wanted = decoded(model, some_jobs(), sampling, abilities)
    forward = model.forward
    n_refused = 0

    def narrow(**inputs: torch.Tensor) -> object:
        nonlocal n_refused
        if len(inputs["input_ids"]) > 3:
            n_refused += 1
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate much")
        return forward(**inputs)

    narrow.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined] # what the stepper looks at
    monkeypatch.setattr(model, "forward", narrow)
    found = decoded(model, some_jobs(), sampling, abilities)
    assert n_refused > 1
    assert {place: row.token_ids for place, row in found.items()} == {
        place: row.token_ids for place, row in wanted.items()
    }


def test_memory_for_no_row_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even one row fits, the user learns what to change; other errors keep their own words."""
    model = small_gpt2(GPT2LMHeadModel)
    abilities = Abilities(caches=True, pads=True, joins=True)

    def failing(message: str) -> Callable[..., object]:
        def forward(**_: object) -> object:
            raise RuntimeError(message)

        return forward

    for message, error, words in (
        ("CUDA out of memory", MetamodelError, "does not hold a single prompt"),
        ("shapes differ", RuntimeError, "shapes differ"),
    ):
        monkeypatch.setattr(model, "forward", failing(message))
        with pytest.raises(error, match=words):
            decoded(model, some_jobs(), Sampling(max_new_tokens=3), abilities)


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


@pytest.mark.parametrize(("name", "joins"), [("gpt2", True), ("gpt_neox", True), ("llama", True), ("lstm", False)])
def test_attention_models_let_rows_join(tiny_model: Callable[[str], str], name: str, joins: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Models whose cache merely grows are drawn in slots, others in batches."""
    assert TransformersModel(model=tiny_model(name))._load().abilities.joins == joins
