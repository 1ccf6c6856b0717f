"""Read texts with a causal language model: how surprised it is, how sure, and what state it is left in.

One text at a time and without padding, so that a reading is the same bits whatever other texts are read.

Shapes: t = tokens, v = vocabulary, l = layers with their input first, h = width of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metamodel.errors import MetamodelError
from metamodel.types import FloatArray, TextReading

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Numbers in the logits of one text: 1 GiB. A text is cut before it needs more.
MOST_LOGITS = 1 << 28
# Characters kept at each end of a text for each token that may be read: a tokenizer's longest tokens are shorter.
_CHARACTERS_A_TOKEN = 64
# Positions whose probabilities are held at once.
_PIECE_POSITIONS = 256


class ShortenedTokens(NamedTuple):
    """The tokens that are read of a text.

    Attributes:
        tokens: Beginning and end, at most as many as there is room for.
        n_left_out: Tokens between them.
    """

    tokens: tuple[int, ...]
    n_left_out: int


def room_tokens(*, max_tokens: int, context_tokens: int | None, n_vocabulary: int) -> int:
    """Return how many tokens of a text can be read at once, at least one."""
    limits = [max_tokens, MOST_LOGITS // n_vocabulary, *([] if context_tokens is None else [context_tokens])]
    return max(min(limits), 1)


def shortened_text(text: str, *, room: int) -> str:
    """Leave out the middle of a text that cannot fit, so that a tokenizer never sees more than it must."""
    half = room * _CHARACTERS_A_TOKEN
    return text if len(text) <= 2 * half else text[:half] + text[-half:]


def shortened_tokens(tokens: Sequence[int], *, room: int) -> ShortenedTokens:
    """Leave out the middle of too many tokens: instructions stand at either end of a prompt.

    >>> shortened_tokens([1, 2, 3, 4, 5, 6], room=3)
    ShortenedTokens(tokens=(1, 5, 6), n_left_out=3)
    """
    if len(tokens) <= room:
        return ShortenedTokens(tokens=tuple(tokens), n_left_out=0)
    n_first = room // 2
    kept = (*tokens[:n_first], *tokens[len(tokens) - (room - n_first) :])
    return ShortenedTokens(tokens=kept, n_left_out=len(tokens) - room)


@torch.inference_mode()
def read_tokens(model: PreTrainedModel, shortened: ShortenedTokens) -> TextReading:
    """Return what one forward pass over the tokens shows.

    Args:
        model: In evaluation mode.
        shortened: Within the model's context.

    Raises:
        MetamodelError: The model gives numbers that are not finite.
    """
    tokens = shortened.tokens
    if not tokens:
        return _nothing_read(shortened.n_left_out)
    ids = torch.tensor([tokens], device=model.device)  # [1, t]
    output = model(input_ids=ids, use_cache=False, output_hidden_states=True)
    logprobs, entropies = _surprise(output.logits[0], ids[0])
    last, mean = _states(getattr(output, "hidden_states", None))
    if not all(np.isfinite(values).all() for values in (logprobs, entropies, last, mean)):
        raise MetamodelError(
            f"{type(model).__name__} gives numbers that are not finite when it reads a text: its weights are damaged, "
            "or its dtype is too narrow (use float32 or bfloat16)"
        )
    return TextReading(
        token_ids=np.array(tokens, dtype=np.int64),
        logprobs=logprobs,
        entropies=entropies,
        last_states=last,
        mean_states=mean,
        n_left_out=shortened.n_left_out,
    )


def _surprise(logits: Tensor, ids: Tensor) -> tuple[FloatArray, FloatArray]:
    """Return log-probabilities of tokens 2 to t, [t - 1], and entropies after each token, [t], from logits [t, v]."""
    following = torch.cat([ids[1:], ids[:1]])  # the last token's successor is unknown; its place is dropped below
    logprobs, entropies = [], []
    for begin in range(0, len(ids), _PIECE_POSITIONS):
        piece = torch.log_softmax(logits[begin : begin + _PIECE_POSITIONS].float(), dim=-1)  # [., v]
        logprobs.append(piece.gather(1, following[begin : begin + _PIECE_POSITIONS, None])[:, 0])
        entropies.append(torch.special.entr(piece.exp()).sum(dim=-1))
    return (
        torch.cat(logprobs)[:-1].double().cpu().numpy(),
        torch.cat(entropies).double().cpu().numpy(),
    )


def _states(hidden: Sequence[Tensor] | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each layer's last and mean state, [l, h] both; [0, 0] where the model shows none, or of several widths."""
    if not hidden or len({layer.shape[-1] for layer in hidden}) > 1:
        return np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
    last = torch.stack([layer[0, -1].float().cpu() for layer in hidden])
    mean = torch.stack([layer[0].float().mean(dim=0).cpu() for layer in hidden])
    return last.numpy(), mean.numpy()


def _nothing_read(n_left_out: int) -> TextReading:
    nothing = np.zeros(0)
    no_states = np.zeros((0, 0), np.float32)
    return TextReading(
        token_ids=np.zeros(0, np.int64),
        logprobs=nothing,
        entropies=nothing,
        last_states=no_states,
        mean_states=no_states,
        n_left_out=n_left_out,
    )
