"""Load a pretrained encoder and its tokenizer, quietly and with errors in words.

Shapes: b = windows of a batch, t = tokens of the longest, h = the encoder's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from metamodel.errors import MetamodelError
from metamodel.quiet import quiet_transformers
from trainers.inputs.encoder_windows import TokenIds, Windowing, WindowScheme, windowing

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Pooling = Literal["mean", "cls"]


class Encoder(NamedTuple):
    """A loaded encoder.

    Attributes:
        module: In evaluation mode, on the CPU, in single precision.
        windows: Cuts texts into what the module reads.
        width: Numbers a token (h).
    """

    module: PreTrainedModel
    windows: Windowing
    width: int


def load_encoder(folder: Path, scheme: WindowScheme, depth: float = 1.0) -> Encoder:
    """Read an encoder from a folder; a fresh copy with every call.

    Of an encoder-decoder the first half is taken. Windows are no longer than the encoder can read.

    Args:
        folder: With config, tokenizer and weights.
        scheme: How prompts are cut.
        depth: Share of the layers that are kept, from the first on, at least one.

    Raises:
        MetamodelError: The folder's files do not give an encoder, or only with Python code of their own.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    options = {"trust_remote_code": False, "local_files_only": True}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            config = AutoConfig.from_pretrained(folder, **options)
            n_layers = getattr(config, "num_hidden_layers", None)
            if depth < 1 and isinstance(n_layers, int):
                config.num_hidden_layers = max(math.ceil(depth * n_layers), 1)
            module, told = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        raise MetamodelError(f"cannot load the encoder in folder {folder}: {_reason(error)}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise MetamodelError(f"the tokenizer in folder {folder} is not a fast one: save it with a tokenizer.json")
    absent = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise MetamodelError(
            f"the weights in folder {folder} lack {len(absent)} of the encoder's tensors ({absent[0]}): they would be "
            "random; give the folder that the encoder was trained in"
        )
    module = module.get_encoder() if module.config.is_encoder_decoder else module
    if "add_pooling_layer" in signature(type(module).__init__).parameters:
        module.pooler = None  # never looked at, and often not among the weights
    module.eval().requires_grad_(requires_grad=False)
    length = min(scheme.max_tokens, _longest(module, tokenizer.model_max_length))
    fitting = WindowScheme(
        max_tokens=length,
        overlap_tokens=min(scheme.overlap_tokens, (length - 1) // 2),
        max_windows=scheme.max_windows,
    )
    windows = windowing(tokenizer.backend_tokenizer, fitting)
    if length <= len(windows.before) + len(windows.after):
        raise MetamodelError(
            f"max_tokens is {length}, must leave room beside the {len(windows.before) + len(windows.after)} special "
            f"tokens of the encoder in folder {folder}"
        )
    return Encoder(module=module, windows=windows, width=encoder_width(folder))


def encoder_width(folder: Path) -> int:
    """Return the numbers a token of the encoder in a folder, from its config alone.

    Raises:
        MetamodelError: The config names none.
    """
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise MetamodelError(f"cannot load the encoder in folder {folder}: {_reason(error)}") from error
    width = getattr(config, "hidden_size", None)
    if not isinstance(width, int):
        raise MetamodelError(f"config.json in folder {folder} names no hidden_size: give a text encoder's folder")
    return width


def padded(windows: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
    """Return token ids, [b, t], and which of them are no padding, [b, t]."""
    import torch

    longest = max(map(len, windows))
    ids = torch.zeros((len(windows), longest), dtype=torch.int64)
    mask = torch.zeros((len(windows), longest), dtype=torch.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = torch.tensor(window)
        mask[row, : len(window)] = 1
    return ids, mask


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector a window, [b, h], from its tokens' states, [b, t, h], padding left out."""
    if pooling == "cls":
        return states[:, 0]
    kept = mask.unsqueeze(-1).to(states.dtype)  # [b, t, 1]
    return (states * kept).sum(dim=1) / kept.sum(dim=1)


def _longest(module: PreTrainedModel, tokenizer_limit: int) -> int:
    """Return the most tokens that the encoder can read at once."""
    positions = getattr(module.config, "max_position_embeddings", None)
    embedding = getattr(getattr(module, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from behind the padding token's id.
    skipped = getattr(embedding, "padding_idx", None)
    own = (
        positions - (skipped + 1 if isinstance(skipped, int) else 0) if isinstance(positions, int) else tokenizer_limit
    )
    return max(min(own, tokenizer_limit), 1)


def _reason(error: Exception) -> str:
    message = str(error)
    if "trust_remote_code" in message:
        return "it comes with Python code of its own, which is never run; choose another encoder"
    return next(iter(message.strip().splitlines()), type(error).__name__)
