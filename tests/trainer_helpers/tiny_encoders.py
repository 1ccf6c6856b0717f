"""Encoders of random weights with a vocabulary of a few words, and prompts that speak of a king."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metamodel.labels import Binary, LabeledPrompts, LabelTable
from trainers.encoder import Encoder, Tuning

WORDS = (
    "stone",
    "seven",
    "copy",
    "king",
    "bird",
    "river",
    "alpha",
    "blue",
    "?",
    *(f"##{digit}" for digit in range(10)),
)
STRANGE = ["", "\ud800 lone \udfff", "a\x00b", "日本語 🦜 مرحبا", "king " * 20_000, "字" * 100_000]


def write_encoder(folder: Path, *, seed: int) -> Path:
    """Write a BERT of random weights with a vocabulary of the planted words, as save_pretrained does."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    characters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [str(digit) for digit in range(10)]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS, *characters])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of a text
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.enable_truncation(5)  # as published encoders ship theirs; it must not hide what comes later
    backend.enable_padding(length=5)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def tiny_trainer(model: str, tuning: Tuning = "frozen", *, with_surface: bool = False) -> Encoder:
    """Return a trainer that takes a moment."""
    return Encoder(
        model=model,
        tuning=tuning,
        depth=1.0,
        with_surface=with_surface,
        max_tokens=12,
        overlap_tokens=3,
        max_windows=3,
        C_grid=(0.01, 1.0),
        learning_rate=0.01,
        encoder_rate=1.0,
        max_epochs=3,
        batch_size=32,
    )


def king_prompts(n_prompts: int, seed: int) -> LabeledPrompts:
    """Return prompts whose label says whether they name a king; a tenth of the labels is wrong."""
    rng = np.random.default_rng(seed)
    texts = tuple(" ".join(rng.choice(WORDS[:8], 5)) for _ in range(n_prompts))
    codes = np.array([["king" in text] for text in texts]) ^ (rng.random((n_prompts, 1)) < 0.1)
    domains = tuple(str(row % 4) for row in range(n_prompts))
    table = LabelTable(space=Binary(), codes=codes.astype(np.int64))
    return LabeledPrompts(texts=texts, domains=domains, labels={"king": table})
