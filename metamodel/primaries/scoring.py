"""How likely a model finds given continuations.

Shapes: b = rows, t = positions, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from metamodel.types import FloatArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LOGITS_LIMIT = 1 << 26  # numbers in one batch of logits: 256 MiB


@dataclass(frozen=True, kw_only=True)
class ScoredRow:
    """A continuation behind its prompt.

    Attributes:
        tokens: Prompt and continuation.
        n_prompt: How many of them are the prompt, at least one.
    """

    tokens: tuple[int, ...]
    n_prompt: int


class Encode(Protocol):
    """From texts to token ids; an empty text becomes the start token where there is one."""

    def __call__(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[tuple[int, ...]]:
        """Return the token ids of each text."""
        ...


def continuation_rows(
    prompts: Sequence[str], continuations: Sequence[str], *, encode: Encode, add_special_tokens: bool
) -> list[ScoredRow]:
    """Return the tokens of each continuation behind its prompt, parted as lm-evaluation-harness does.

    Prompt and continuation are encoded as one text, and as many tokens count as the prompt's as the prompt alone has.
    White space at the end of a prompt belongs to the continuation, since most tokenizers join it to the next word. An
    empty prompt is the start token alone.

    Args:
        prompts: Inputs.
        continuations: One a prompt.
        encode: The tokenizer.
        add_special_tokens: Whether prompts begin with the tokenizer's special tokens.
    """
    stripped = [prompt.rstrip() for prompt in prompts]
    whole_texts = [prompt + more for prompt, more in zip(prompts, continuations, strict=True)]
    starts = encode(stripped, add_special_tokens=add_special_tokens)
    wholes = encode(whole_texts, add_special_tokens=add_special_tokens)
    rows = []
    for text, whole_text, start, whole in zip(stripped, whole_texts, starts, wholes, strict=True):
        more = whole[len(start) :]
        if not text:
            more = encode([whole_text], add_special_tokens=False)[0] if whole_text else ()
        rows.append(ScoredRow(tokens=start + more, n_prompt=len(start)))
    return rows


@torch.inference_mode()
def score_rows(
    model: PreTrainedModel, rows: Sequence[ScoredRow], *, batch_tokens: int, n_vocabulary: int
) -> list[FloatArray]:
    """Return the natural log-probability of each token of each row's continuation, [t] each.

    Args:
        model: In evaluation mode.
        rows: Each within the model's context.
        batch_tokens: Limit of rows times positions; a single row may exceed it.
        n_vocabulary: Size of the vocabulary.
    """
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].tokens), reverse=True)
    scored: dict[int, FloatArray] = {}
    start = 0
    while start < len(order):
        longest = len(rows[order[start]].tokens)
        size = max(1, min(batch_tokens, _LOGITS_LIMIT // n_vocabulary) // longest)
        batch = order[start : start + size]
        scored.update(zip(batch, _score_batch(model, [rows[index] for index in batch]), strict=True))
        start += size
    return [scored[index] for index in range(len(rows))]


def _score_batch(model: PreTrainedModel, rows: Sequence[ScoredRow]) -> list[FloatArray]:
    longest = max(len(row.tokens) for row in rows)
    # Padding stands on the right, where no position of a causal model sees it, so it needs no mask.
    padded = [[*row.tokens, *([0] * (longest - len(row.tokens)))] for row in rows]
    ids = torch.tensor(padded, device=model.device)  # [b, t]
    logits = model(input_ids=ids).logits[:, :-1].float()  # [b, t - 1, v]
    logprobs = logits.gather(2, ids[:, 1:, None])[..., 0] - logits.logsumexp(dim=-1)  # [b, t - 1]
    values = logprobs.cpu().double().numpy()
    return [values[index, row.n_prompt - 1 : len(row.tokens) - 1] for index, row in enumerate(rows)]
