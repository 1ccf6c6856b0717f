"""How likely a model finds given continuations.

Shapes: b = rows, t = positions, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
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


@torch.inference_mode()
def continuation_logprobs(
    model: PreTrainedModel, rows: Sequence[ScoredRow], *, batch_tokens: int, n_vocabulary: int
) -> FloatArray:
    """Return the natural log-probability of each row's continuation, [n]."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].tokens), reverse=True)
    scores = np.zeros(len(rows), dtype=np.float64)
    start = 0
    while start < len(order):
        longest = len(rows[order[start]].tokens)
        size = max(1, min(batch_tokens, _LOGITS_LIMIT // n_vocabulary) // longest)
        batch = order[start : start + size]
        scores[batch] = _batch_logprobs(model, [rows[index] for index in batch])
        start += size
    return scores


def _batch_logprobs(model: PreTrainedModel, rows: Sequence[ScoredRow]) -> FloatArray:
    longest = max(len(row.tokens) for row in rows)
    # Padding stands on the right, where no position of a causal model sees it, so it needs no mask.
    padded = [[*row.tokens, *([0] * (longest - len(row.tokens)))] for row in rows]
    ids = torch.tensor(padded, device=model.device)  # [b, t]
    logits = model(input_ids=ids).logits[:, :-1].float()  # [b, t - 1, v]
    taken = logits.gather(2, ids[:, 1:, None])[..., 0] - logits.logsumexp(dim=-1)  # [b, t - 1]
    target = torch.arange(1, longest, device=model.device)[None, :]
    first = torch.tensor([row.n_prompt for row in rows], device=model.device)[:, None]
    end = torch.tensor([len(row.tokens) for row in rows], device=model.device)[:, None]
    counted = taken.masked_fill((target < first) | (target >= end), 0.0)
    sums: FloatArray = counted.cpu().double().sum(dim=1).numpy()
    return sums
