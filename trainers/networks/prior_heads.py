"""The last layer that all networks share: one linear head a behavior.

Shapes: n = prompts, h = hidden units, c = outcomes of a behavior, o = outcomes of all behaviors together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PriorHeads(nn.Linear):
    """One linear head a behavior, side by side in one matrix; starts out as the training prior whatever it is fed.

    Args:
        width: Hidden units (h).
        priors: Training prior of each behavior, without zeros.
    """

    def __init__(self, width: int, priors: Sequence[Sequence[float]]) -> None:
        super().__init__(width, sum(len(prior) for prior in priors))
        self.sizes = [len(prior) for prior in priors]
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(torch.cat([torch.tensor(prior).log() for prior in priors]))

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override] # parts, where Linear gives them joined
        """Return log-probabilities of each behavior's outcomes, [n, c] each, of hidden units [n, h]."""
        logits = super().forward(hidden)  # [n, o]
        return tuple(part.log_softmax(dim=1) for part in torch.split(logits, self.sizes, dim=1))
