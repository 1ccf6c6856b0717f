"""Mamba-2 in training on a CPU: the same function as transformers' reference path, several times faster.

The reference path expands B and C to every head and contracts with generic einsums. Training rows here are short, so
one quadratic block (equation 16 of Dao and Gu, *Transformers are SSMs*, 2024: Y = (L * C B^T) X) covers a whole row,
C B^T is computed once for all heads of the group, and the short convolution is a sum of four shifted products.

Shapes: b = rows, t = positions, h = heads, p = head size, n = state size, c = convolved channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Block, Mamba2ForCausalLM, Mamba2Mixer, Mamba2RMSNorm


def mixer_forward(mixer: Mamba2Mixer, hidden_states: Tensor) -> Tensor:
    """Return what `mixer(hidden_states)` returns for rows that start from the empty state, [b, t, d]."""
    n_rows, n_positions, _ = hidden_states.shape
    heads, head_dim, state_size = mixer.num_heads, mixer.head_dim, mixer.ssm_state_size
    projected = mixer.in_proj(hidden_states)
    gate, mixed, dt = torch.split(projected, [mixer.intermediate_size, mixer.conv_dim, heads], dim=-1)
    mixed = functional.silu(short_convolution(mixed, mixer.conv1d.weight[:, 0], cast("Tensor", mixer.conv1d.bias)))
    inputs, b_matrix, c_matrix = torch.split(mixed, [mixer.intermediate_size, state_size, state_size], dim=-1)
    dt = functional.softplus(dt + mixer.dt_bias)  # [b, t, h]
    log_decay = (dt * -torch.exp(mixer.A_log)).cumsum(dim=1).transpose(1, 2).contiguous()  # [b, h, t]
    past = torch.ones(n_positions, n_positions, device=dt.device).tril()
    scores = (c_matrix @ b_matrix.transpose(1, 2)) * past  # [b, t, t]
    weights = decayed_scores(log_decay, scores)  # [b, h, t, t]
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


def mamba2_logits(model: Mamba2ForCausalLM, input_ids: Tensor) -> Tensor:
    """Return the logits [b, t, v] of a Mamba2ForCausalLM with one group, for rows without padding on the left."""
    hidden = model.backbone.embeddings(input_ids)
    for block in cast("Iterable[Mamba2Block]", model.backbone.layers):
        hidden = hidden + mixer_forward(block.mixer, _rms_norm(hidden, block.norm))
    logits: Tensor = model.lm_head(_rms_norm(hidden, model.backbone.norm_f))
    return logits


def _rms_norm(hidden: Tensor, norm: Mamba2RMSNorm) -> Tensor:
    return functional.rms_norm(hidden, (hidden.shape[-1],), norm.weight, eps=norm.variance_epsilon)


def decayed_scores(log_decay: Tensor, scores: Tensor) -> Tensor:
    """Return scores[b, i, j] * exp(log_decay[b, h, i] - log_decay[b, h, j]), [b, h, t, t]; scores are 0 where j > i."""
    weights: Tensor = _DecayedScores.apply(log_decay, scores)  # type: ignore[no-untyped-call] # torch has none
    return weights


def short_convolution(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the depthwise causal convolution over positions of inputs [b, t, c]; weight is [c, width], bias [c]."""
    outputs: Tensor = _ShortConvolution.apply(inputs, weight, bias)  # type: ignore[no-untyped-call] # as above
    return outputs


class _Context(Protocol):
    @property
    def saved_tensors(self) -> tuple[Tensor, ...]: ...

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _DecayedScores(torch.autograd.Function):
    """Keeps two tensors of [b, h, t, t] where autograd would keep four."""

    @staticmethod
    def forward(context: _Context, log_decay: Tensor, scores: Tensor) -> Tensor:
        # The decay falls with the position: above the diagonal, where nothing counts, the difference could overflow.
        decay = (log_decay[..., :, None] - log_decay[..., None, :]).clamp_(max=0).exp_()  # [b, h, t, t]
        weights = decay * scores[:, None]
        context.save_for_backward(decay, weights)
        return weights

    @staticmethod
    def backward(context: _Context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        decay, weights = context.saved_tensors
        flow = gradient * weights
        scores_gradient = torch.einsum("bhij,bhij->bij", gradient, decay)
        return flow.sum(dim=-1) - flow.sum(dim=-2), scores_gradient


class _ShortConvolution(torch.autograd.Function):
    """Sums in place where autograd would keep every partial sum."""

    @staticmethod
    def forward(context: _Context, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        width = weight.shape[1]
        outputs = torch.addcmul(bias, inputs, weight[:, -1])  # [b, t, c]
        for lag in range(1, width):
            outputs[:, lag:].addcmul_(inputs[:, :-lag], weight[:, -1 - lag])
        context.save_for_backward(inputs, weight)
        return outputs

    @staticmethod
    def backward(context: _Context, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs, weight = context.saved_tensors
        inputs_gradient = gradient * weight[:, -1]
        weight_gradient = torch.empty_like(weight)
        weight_gradient[:, -1] = (gradient * inputs).sum(dim=(0, 1))
        for lag in range(1, weight.shape[1]):
            inputs_gradient[:, :-lag].addcmul_(gradient[:, lag:], weight[:, -1 - lag])
            weight_gradient[:, -1 - lag] = (gradient[:, lag:] * inputs[:, :-lag]).sum(dim=(0, 1))
        return inputs_gradient, weight_gradient, gradient.sum(dim=(0, 1))
