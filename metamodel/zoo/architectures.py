"""The four architectures of the zoo and the tokenizer that they share.

Every config has about one million parameters, reads at most 512 tokens, and differs from the others in nothing but the
way it carries information from one position to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

ZOO_NAMES = ("gpt2", "gpt_neox", "mamba2", "lstm")
CONTEXT_TOKENS = 512
BOS_ID, EOS_ID, PAD_ID = 256, 257, 258
VOCABULARY_SIZE = 259
BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"


class Shape(NamedTuple):
    """How wide and how deep a GPT-NeoX is; the inner layers are four times as wide."""

    hidden_size: int
    n_layers: int
    n_heads: int


SHIPPED_SHAPE = Shape(128, 5, 4)
# The sizes of the ladder: each has about four times the parameters of the one before.
LADDER_SHAPES = {
    "gpt_neox-small": Shape(32, 3, 2),
    "gpt_neox-medium": Shape(64, 4, 4),
    "gpt_neox-large": Shape(112, 5, 4),
}


def register_lstm() -> None:
    """Make transformers' Auto classes know the zoo's LSTM; calling it again changes nothing."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from metamodel.zoo.lstm import LstmConfig, LstmForCausalLM

    AutoConfig.register(LstmConfig.model_type, LstmConfig, exist_ok=True)
    AutoModelForCausalLM.register(LstmConfig, LstmForCausalLM, exist_ok=True)


def build_config(name: str) -> PreTrainedConfig:
    """Return the config of one of ZOO_NAMES or LADDER_SHAPES; raises KeyError for another name."""
    if name in LADDER_SHAPES:
        return _gpt_neox(LADDER_SHAPES[name])
    return {"gpt2": _gpt2, "gpt_neox": _gpt_neox, "mamba2": _mamba2, "lstm": _lstm}[name]()


def build_model(name: str, *, seed: int) -> PreTrainedModel:
    """Return the named architecture with fresh float32 weights that are a function of the seed."""
    import torch
    from transformers import AutoModelForCausalLM

    register_lstm()
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(build_config(name), dtype=torch.float32)
    return model


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the byte-level tokenizer: token b is byte b, then bos, eos and pad; every text starts with bos."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {character: byte for byte, character in enumerate(byte_characters())}
    vocabulary |= {BOS: BOS_ID, EOS: EOS_ID, PAD: PAD_ID}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (BOS, EOS, PAD)])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, BOS_ID)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def byte_characters() -> list[str]:
    """Return the printable character that stands for each of the 256 bytes (GPT-2's table).

    >>> byte_characters()[ord("a")], byte_characters()[ord(" ")]
    ('a', 'Ġ')
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    characters = {byte: chr(byte) for byte in printable}
    shifted = (byte for byte in range(256) if byte not in characters)
    characters |= {byte: chr(256 + index) for index, byte in enumerate(shifted)}
    return [characters[byte] for byte in range(256)]


def _gpt2() -> PreTrainedConfig:
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=VOCABULARY_SIZE,
        n_positions=CONTEXT_TOKENS,
        n_embd=128,
        n_layer=5,
        n_head=4,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )


def _gpt_neox(shape: Shape = SHIPPED_SHAPE) -> PreTrainedConfig:
    from transformers import GPTNeoXConfig

    return GPTNeoXConfig(
        vocab_size=VOCABULARY_SIZE,
        max_position_embeddings=CONTEXT_TOKENS,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        intermediate_size=4 * shape.hidden_size,
        hidden_act="relu",
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
        tie_word_embeddings=False,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )


def _mamba2() -> PreTrainedConfig:
    from transformers import Mamba2Config

    return Mamba2Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=192,
        num_hidden_layers=4,
        expand=2,
        head_dim=64,
        num_heads=6,
        state_size=32,
        n_groups=1,
        chunk_size=64,
        initializer_range=0.02,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )


def _lstm() -> PreTrainedConfig:
    from metamodel.zoo.lstm import LstmConfig

    return LstmConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=256,
        num_hidden_layers=2,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
