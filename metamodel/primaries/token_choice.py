"""Choose the next token of each row from logits and one uniform number a row.

Shapes: b = rows, v = vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metamodel.types import Sampling


class Choice(NamedTuple):
    """The next token of each row.

    Attributes:
        tokens: Token ids, [b].
        logprobs: Natural log-probability of each under the model at temperature 1, nothing cut off, [b].
    """

    tokens: Tensor
    logprobs: Tensor


def choose_tokens(logits: Tensor, sampling: Sampling, uniforms: Tensor) -> Choice:
    """Draw by inverting the cumulative distribution, or take the most likely token if greedy.

    Args:
        logits: Of the next token, [b, v].
        sampling: Temperature, top_k and top_p, applied in this order.
        uniforms: One number in [0, 1) a row, float64, [b]; not read if greedy.
    """
    logits = logits.float()
    if sampling.is_greedy:
        tokens = logits.argmax(dim=-1)
    else:
        weights = sampling_weights(logits, sampling)
        cumulative = weights.cumsum(dim=-1)  # [b, v]
        targets = (uniforms * cumulative[:, -1])[:, None]
        # Logits that are no numbers would lead beyond the vocabulary; whoever reads the log-probabilities sees them.
        tokens = torch.searchsorted(cumulative, targets, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    logprobs = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=-1)
    return Choice(tokens, logprobs)


def sampling_weights(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the distribution to draw from, up to a constant, float64, [b, v]."""
    weights = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    if 0 < sampling.top_k < weights.shape[-1]:
        order = weights.argsort(dim=-1, descending=True, stable=True)
        weights = weights.scatter(1, order[:, sampling.top_k :], 0.0)
    if sampling.top_p < 1:
        ordered, order = weights.sort(dim=-1, descending=True, stable=True)
        ordered = ordered / ordered.sum(dim=-1, keepdim=True)
        # A token stays if those before it do not yet hold the mass: the first always does.
        dropped = ordered.cumsum(dim=-1) - ordered >= sampling.top_p
        weights = weights.masked_fill(torch.zeros_like(dropped).scatter(1, order, dropped), 0.0)
    return weights
