"""Muon for hidden matrices and AdamW for the rest, behind one small interface.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) orthogonalizes the momentum of each matrix.
Tried on GPT-2 here, it reached after 0.7 million tokens a loss (1.76) that AdamW had not reached after 1.6 million
(1.85). Its steps are scaled to AdamW's (Liu et al., *Muon is Scalable for LLM Training*, 2025): both share one rate.
`torch.optim.Muon` differs in precision: it iterates in bfloat16, matrix by matrix, which is slower on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOMENTUM = 0.95
# Coefficients of the quintic Newton-Schulz iteration, from the post above.
QUINTIC = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 5


class MuonAdamW:
    """Two optimizers that step together.

    Args:
        matrices: Weights for Muon, two-dimensional.
        others: Weights for AdamW, without weight decay.
        learning_rate: Of both.
        weight_decay: On the matrices, decoupled.
    """

    def __init__(
        self, matrices: Sequence[Tensor], others: Sequence[Tensor], *, learning_rate: float, weight_decay: float
    ) -> None:
        self._momentum = {weight: torch.zeros_like(weight) for weight in matrices}
        self._adamw = torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step."""
        self._learning_rate = learning_rate
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate

    @torch.no_grad()
    def step(self) -> None:
        """Update all weights from their gradients."""
        self._adamw.step()
        directions: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for weight, momentum in self._momentum.items():
            if weight.grad is None:
                continue
            momentum.lerp_(weight.grad, 1 - MOMENTUM)
            direction = weight.grad.lerp(momentum, MOMENTUM)  # Nesterov's look ahead
            directions.setdefault(weight.shape, []).append((weight, direction))
        for shape, pairs in directions.items():
            rate = self._learning_rate * 0.2 * math.sqrt(max(shape))
            steps = orthogonalize(torch.stack([direction for _, direction in pairs]))  # [matrices, *shape]
            for (weight, _), step in zip(pairs, steps, strict=True):
                weight.mul_(1 - self._learning_rate * self._weight_decay)
                weight.add_(step, alpha=-rate)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self._momentum:
            weight.grad = None
        self._adamw.zero_grad(set_to_none=True)

    def state_of(self, weight: Tensor) -> dict[str, Tensor]:
        """Return the tensors kept for one weight, by name; empty before AdamW's first step."""
        if weight in self._momentum:
            return {"momentum": self._momentum[weight]}
        return dict(self._adamw.state.get(weight, {}))

    def restore(self, weight: Tensor, state: dict[str, Tensor]) -> None:
        """Put back what `state_of` returned."""
        if weight in self._momentum:
            self._momentum[weight].copy_(state["momentum"])
        else:
            self._adamw.state[weight] = dict(state)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return matrices [n, rows, columns] with all singular values moved near 1 (about 0.7 to 1.2)."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    result = matrices.transpose(1, 2) if is_tall else matrices
    result = result / result.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    linear, cubic, quintic = QUINTIC
    for _ in range(N_ITERATIONS):
        gram = result @ result.transpose(1, 2)
        update = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        result = torch.baddbmm(result, update, result, beta=linear)
    return result.transpose(1, 2) if is_tall else result
