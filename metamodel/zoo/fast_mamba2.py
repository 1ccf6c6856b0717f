"""Mamba-2 in training on a CPU: the same function as transformers' reference path, several times faster.

The reference path expands B and C to every head and contracts with generic einsums. Training rows here are short, so one
quadratic block (equation 16 of Dao and Gu, *Transformers are SSMs*, 2024: Y = (L * C B^T) X) covers a whole row, C B^T is
computed once for all heads of the group, and the short convolution is a sum of four shifted products.

Shapes: b = rows, t = positions, h = heads, p = head size, n = state size, c = convolved channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer


def mixer_forward(mixer: Mamba2Mixer, hidden_states: Tensor) -> Tensor:
    """Return what `mixer(hidden_states)` returns for rows that start from the empty state, [b, t, d]."""
    n_rows, n_positions, _ = hidden_states.shape
    heads, head_dim, state_size = mixer.num_heads, mixer.head_dim, mixer.ssm_state_size
    projected = mixer.in_proj(hidden_states)
    gate, mixed, dt = projected.split([mixer.intermediate_size, mixer.conv_dim, heads], dim=-1)
    mixed = functional.silu(_causal_convolution(mixed, mixer.conv1d))
    inputs, b_matrix, c_matrix = mixed.split([mixer.intermediate_size, state_size, state_size], dim=-1)
    dt = functional.softplus(dt + mixer.dt_bias)  # [b, t, h]
    log_decay = (dt * -torch.exp(mixer.A_log)).cumsum(dim=1).transpose(1, 2)  # [b, h, t]
    future = torch.ones(n_positions, n_positions, dtype=torch.bool, device=dt.device).triu(1)
    span = (log_decay[..., :, None] - log_decay[..., None, :]).masked_fill(future, float("-inf"))  # [b, h, t, t]
    weights = (c_matrix @ b_matrix.transpose(1, 2))[:, None] * torch.exp(span)  # [b, h, t, t]
    inputs = inputs.view(n_rows, n_positions, heads, head_dim).transpose(1, 2)  # [b, h, t, p]
    steps = dt.transpose(1, 2)[..., None]  # [b, h, t, 1]
    outputs = weights @ (inputs * steps) + inputs * mixer.D[:, None, None]
    outputs = outputs.transpose(1, 2).reshape(n_rows, n_positions, mixer.intermediate_size)
    outputs = outputs * functional.silu(gate)
    outputs = functional.rms_norm(
        outputs, (mixer.intermediate_size,), mixer.norm.weight, eps=mixer.norm.variance_epsilon
    )
    result: Tensor = mixer.out_proj(outputs)
    return result


def language_model_logits(model: nn.Module, input_ids: Tensor) -> Tensor:
    """Return the logits [b, t, v] of a Mamba2ForCausalLM with one group, for rows without padding on the left."""
    hidden = model.backbone.embeddings(input_ids)
    for block in model.backbone.layers:
        hidden = hidden + mixer_forward(block.mixer, _rms_norm(hidden, block.norm))
    logits: Tensor = model.lm_head(_rms_norm(hidden, model.backbone.norm_f))
    return logits


def _rms_norm(hidden: Tensor, norm: nn.Module) -> Tensor:
    return functional.rms_norm(hidden, (hidden.shape[-1],), norm.weight, eps=norm.variance_epsilon)


def _causal_convolution(mixed: Tensor, convolution: nn.Conv1d) -> Tensor:
    width = convolution.kernel_size[0]
    n_positions = mixed.shape[1]
    padded = functional.pad(mixed, (0, 0, width - 1, 0))  # [b, t + width - 1, c]
    result = padded[:, :n_positions] * convolution.weight[:, 0, 0] + convolution.bias
    for offset in range(1, width):
        result = result + padded[:, offset : offset + n_positions] * convolution.weight[:, 0, offset]
    return result
