"""Readings: the model's own numbers, the same whatever else is read, bounded by the context."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamodel.errors import MetamodelError
from metamodel.primaries.reading_texts import ShortenedTokens, read_tokens, shortened_text, shortened_tokens
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.primaries.zoo_model import ZooModel
from metamodel.protocols import ReadsTexts
from metamodel.types import TextReading

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "mamba2", "lstm")
REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"
TEXTS = ["Once upon a time", "", "a", "é😀", "2 + 2 =", "Once upon a time"]

TinyModel = Callable[[str], str]


def assert_same(left: TextReading, right: TextReading) -> None:
    """Fail unless both are equal bit for bit."""
    for name in ("token_ids", "logprobs", "entropies", "last_states", "mean_states"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    assert left.n_left_out == right.n_left_out


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_reading_is_the_models_own(tiny_model: TinyModel, name: str) -> None:
    """Surprisals, entropies and states are those of a plain forward pass, computed here in double precision."""
    import torch

    primary = TransformersModel(model=tiny_model(name))
    loaded = primary._load()
    for text, reading in zip(TEXTS, primary.read_texts(TEXTS, max_tokens=64), strict=True):
        ids = loaded.encode([text], add_special_tokens=True)[0]
        assert tuple(reading.token_ids) == ids
        with torch.no_grad():
            output = loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        logprobs = output.logits[0].double().log_softmax(dim=-1).numpy()
        expected = [logprobs[place, token] for place, token in enumerate(ids[1:])]
        np.testing.assert_allclose(reading.logprobs, expected, atol=1e-4)
        np.testing.assert_allclose(reading.entropies, -(np.exp(logprobs) * logprobs).sum(axis=1), atol=1e-4)
        if name == "lstm":
            assert reading.last_states.shape == reading.mean_states.shape == (0, 0)
            continue
        states = torch.stack(output.hidden_states)[:, 0].numpy()
        np.testing.assert_allclose(reading.last_states, states[:, -1], atol=1e-4)
        np.testing.assert_allclose(reading.mean_states, states.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_reading_depends_on_its_text_alone(tiny_model: TinyModel, name: str) -> None:
    """Readings are equal bit for bit alone, together and in another order, so that a cache may mix them."""
    primary = TransformersModel(model=tiny_model(name))
    assert isinstance(primary, ReadsTexts)
    together = list(primary.read_texts(TEXTS, max_tokens=64))
    backward = list(primary.read_texts(TEXTS[::-1], max_tokens=64))[::-1]
    for text, one, other in zip(TEXTS, together, backward, strict=True):
        assert_same(one, other)
        assert_same(one, next(primary.read_texts([text], max_tokens=64)))


@pytest.mark.parametrize(("max_tokens", "room"), [(10, 10), (10_000, 96)])
def test_long_texts_are_read_at_both_ends(tiny_model: TinyModel, max_tokens: int, room: int) -> None:
    """Of what exceeds the limit or the context, both ends are read, in one pass, whatever lies between them."""
    primary = TransformersModel(model=tiny_model("gpt2"))
    begin, end = "b" * 60, "e" * 60
    short, long = primary.read_texts([begin + "x" * 100 + end, begin + "y" * 100_000 + end], max_tokens=max_tokens)
    assert len(short.token_ids) == len(long.token_ids) == room
    assert np.array_equal(short.token_ids, long.token_ids)
    assert long.n_left_out > short.n_left_out > 0
    assert long.token_ids[1] != long.token_ids[-1]


def test_shortening_keeps_what_fits() -> None:
    """Whatever fits is untouched; what does not keeps as many tokens as there is room for, even for one."""
    assert shortened_tokens(range(5), room=5) == ShortenedTokens(tokens=(0, 1, 2, 3, 4), n_left_out=0)
    assert shortened_tokens(range(6), room=4) == ShortenedTokens(tokens=(0, 1, 4, 5), n_left_out=2)
    assert shortened_tokens(range(6), room=1) == ShortenedTokens(tokens=(5,), n_left_out=5)
    assert shortened_text("abc", room=1) == "abc"
    assert len(shortened_text("abc" * 1000, room=2)) == 256


def test_numbers_that_are_not_finite_are_told(tiny_model: TinyModel) -> None:
    """A damaged model is an error in words, not a feature."""
    import torch

    loaded = TransformersModel(model=tiny_model("llama"))._load()
    weight = next(iter(loaded.model.parameters()))
    with torch.no_grad():
        kept = weight.clone()
        weight.fill_(float("nan"))
        try:
            with pytest.raises(MetamodelError, match="not finite"):
                read_tokens(loaded.model, ShortenedTokens(tokens=(1, 2), n_left_out=0))
        finally:
            weight.copy_(kept)


def test_weights_are_counted_as_loaded(tiny_model: TinyModel) -> None:
    """32 bits a parameter in single precision and 16 in half: what a reader borrows is what it loads."""
    name = tiny_model("gpt2")
    single, half = TransformersModel(model=name), TransformersModel(model=name, dtype="bfloat16")
    n_parameters = sum(weight.numel() for weight in single._load().model.parameters())
    assert single.weight_bits == 32 * n_parameters == 2 * half.weight_bits


@pytest.mark.slow
def test_bundled_models_read() -> None:
    """A story is less surprising to a bundled model than its letters in disorder."""
    story = "Once upon a time there was a little girl. She had a red ball."
    letters = "".join(np.random.default_rng(0).permutation(list(story)))
    for name in ("gpt2", "gpt_neox", "mamba2", "lstm"):
        tidy, mixed = ZooModel(model=name).read_texts([story, letters], max_tokens=128)
        assert tidy.logprobs.mean() > mixed.logprobs.mean() + 1
        assert ZooModel(model=name).weight_bits > 32e6 * 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["stories260K-llama", "vanilla1M-gpt2-byte", "charlstm-darwin", "charlstm-shakespeare"]
)
def test_real_models_read(name: str) -> None:
    """Real models are read, those with code of their own among them, and agree with their own scores."""
    folder = REAL_MODELS / name
    if not folder.is_dir():
        pytest.skip(f"no real model at {folder}")
    primary = TransformersModel(model=str(folder), trust_remote_code=name.startswith("charlstm"))
    text = "the king of the river"
    reading = next(primary.read_texts([text], max_tokens=128))
    first = primary._load().decode([()], [reading.token_ids[:1].tolist()])[0]
    scored = primary.token_logprobs([first], [reading.token_ids[1:].tolist()])[0]
    if reading.token_ids[0] in primary._load().end_ids:  # a start token, which no text spells
        scored = primary.token_logprobs([""], [reading.token_ids[1:].tolist()])[0]
    np.testing.assert_allclose(reading.logprobs, scored, atol=1e-3)
