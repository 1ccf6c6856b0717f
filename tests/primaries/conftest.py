"""Tiny models with random weights, one of each way to carry information, saved as folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "mamba2", "lstm")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a function from an architecture's name to a model folder with the zoo's byte tokenizer."""
    folders: dict[str, str] = {}

    def build(name: str) -> str:
        if name not in folders:
            folders[name] = str(save_tiny_model(name, tmp_path_factory.mktemp(name)))
        return folders[name]

    return build


def save_tiny_model(name: str, folder: Path) -> Path:
    """Save a model of some thousand parameters; wide initial values make its outputs differ from prompt to prompt."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, Mamba2Config

    from metamodel.zoo.architectures import BOS_ID, EOS_ID, PAD_ID, VOCABULARY_SIZE, build_tokenizer, register_lstm
    from metamodel.zoo.lstm import LstmConfig

    register_lstm()
    common = {
        "vocab_size": VOCABULARY_SIZE,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
        "initializer_range": 0.4,
    }
    attention = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 96,
    }
    configs = {
        "gpt2": lambda: GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=96, **common),
        "gpt_neox": lambda: GPTNeoXConfig(**attention, **common),
        "llama": lambda: LlamaConfig(**attention, **common),
        "mamba2": lambda: Mamba2Config(
            hidden_size=16,
            num_hidden_layers=2,
            head_dim=8,
            num_heads=4,
            state_size=8,
            n_groups=1,
            chunk_size=8,
            **common,
        ),
        "lstm": lambda: LstmConfig(hidden_size=16, num_hidden_layers=2, **common),
    }
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(configs[name]())
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder
