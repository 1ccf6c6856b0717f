"""The zoo's architectures: size, tokenizer, caches, and the fast path through Mamba-2."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metamodel.zoo.architectures import BOS_ID, EOS_ID, PAD_ID, ZOO_NAMES, build_model, build_tokenizer
from metamodel.zoo.lstm import LstmConfig, LstmForCausalLM
from metamodel.zoo.training import logits_function

TOKENIZER = build_tokenizer()


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_size(name: str) -> None:
    """Protects the comparison across architectures: each has about a million parameters."""
    n_parameters = sum(weight.numel() for weight in build_model(name, seed=0).parameters())
    assert 0.9e6 < n_parameters < 1.2e6


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_seed_fixes_the_first_weights(name: str) -> None:
    """Protects reproduction from a seed: the same seed gives the same weights, another one others."""
    first, again, other = (torch.cat([w.flatten() for w in build_model(name, seed=s).parameters()]) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.text())
def test_tokenizer_round_trip(text: str) -> None:
    """Protects outputs: any text comes back, one token a byte after bos, special tokens' names included."""
    token_ids = TOKENIZER(text)["input_ids"]
    assert token_ids == [BOS_ID, *text.encode()]
    assert TOKENIZER.decode(token_ids, skip_special_tokens=True) == text


def test_tokenizer_reads_special_names_as_text() -> None:
    """Protects against prompts that name a special token: they cannot end or start anything."""
    text = "a <|eos|> b <|bos|><|pad|>"
    assert TOKENIZER(text)["input_ids"] == [BOS_ID, *text.encode()]
    assert (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id) == (BOS_ID, EOS_ID, PAD_ID)


def _small_lstm() -> LstmForCausalLM:
    torch.manual_seed(0)
    return LstmForCausalLM(LstmConfig(hidden_size=16, num_hidden_layers=2, initializer_range=1.0)).eval()


@torch.inference_mode()
def test_lstm_cache_continues_the_full_reading() -> None:
    """Protects cached decoding: reading in pieces gives the logits of reading at once."""
    model = _small_lstm()
    token_ids = torch.randint(0, 256, (3, 12), generator=torch.Generator().manual_seed(1))
    whole = model(input_ids=token_ids).logits
    first = model(input_ids=token_ids[:, :5])
    second = model(input_ids=token_ids[:, 5:6], past_key_values=first.past_key_values)
    third = model(input_ids=token_ids[:, 6:], past_key_values=second.past_key_values, logits_to_keep=2)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole[:, :6])
    torch.testing.assert_close(third.logits, whole[:, -2:])
    assert third.past_key_values.get_seq_length() == 12


@pytest.mark.parametrize("side", ["left", "right"])
@torch.inference_mode()
def test_lstm_skips_padding(side: str) -> None:
    """Protects batches of unequal rows: padding on either side changes neither logits nor the state carried on."""
    model = _small_lstm()
    token_ids = torch.randint(0, 256, (1, 7), generator=torch.Generator().manual_seed(1))
    padding = torch.full((1, 4), PAD_ID)
    parts = [padding, token_ids] if side == "left" else [token_ids, padding]
    padded, mask = torch.cat(parts, dim=1), torch.cat([(part != PAD_ID).int() for part in parts], dim=1)
    other = torch.randint(0, 256, (1, 11), generator=torch.Generator().manual_seed(2))
    alone = model(input_ids=token_ids)
    batch = model(input_ids=torch.cat([padded, other]), attention_mask=torch.cat([mask, torch.ones_like(mask)]))
    torch.testing.assert_close(batch.logits[:1][mask.bool()], alone.logits[0])
    torch.testing.assert_close(batch.past_key_values.cell[:, :1], alone.past_key_values.cell)


@torch.inference_mode()
def test_lstm_state_follows_its_rows() -> None:
    """Protects samples that leave a batch: a selected row goes on as it would have alone."""
    model = _small_lstm()
    token_ids = torch.randint(0, 256, (3, 6), generator=torch.Generator().manual_seed(1))
    state = model(input_ids=token_ids[:, :5]).past_key_values
    state.reorder_cache(torch.tensor([2, 0, 2]))
    logits = model(input_ids=token_ids[[2, 0, 2], 5:], past_key_values=state).logits
    torch.testing.assert_close(logits[:, 0], model(input_ids=token_ids).logits[[2, 0, 2], 5])


def test_lstm_generates_through_transformers() -> None:
    """Protects users who call generate: greedy generation writes the most likely token of each step."""
    model = _small_lstm()
    token_ids = torch.tensor([[BOS_ID, 97, 98]])
    output = model.generate(token_ids, attention_mask=torch.ones_like(token_ids), max_new_tokens=5, do_sample=False)
    with torch.inference_mode():
        guesses = model(input_ids=output).logits.argmax(dim=-1)
    assert output.shape[1] > 3
    assert torch.equal(output[:, 3:], guesses[:, 2:-1])


def test_fast_mamba2_equals_transformers() -> None:
    """Protects the training of Mamba-2: logits and gradients equal those of transformers' reference path."""
    model = build_model("mamba2", seed=0)
    token_ids = torch.randint(0, 256, (2, 19), generator=torch.Generator().manual_seed(1))
    model.backbone.layers[0].mixer.A_log.data += 4  # a decay so fast that exp of the reversed difference overflows
    results = []
    for logits in (logits_function(model)(token_ids), model(input_ids=token_ids, use_cache=False).logits):
        model.zero_grad()
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), token_ids[:, 1:].flatten()).backward()
        results.append((logits.detach(), [weight.grad.clone() for weight in model.parameters()]))
    (fast, fast_gradients), (reference, gradients) = results
    torch.testing.assert_close(fast, reference, rtol=1e-4, atol=1e-5)
    for gradient, expected in zip(fast_gradients, gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)
