"""What a network must be for `trainers.fitting.network_training` to train it.

Shapes: n = prompts of a batch, h = hidden units, c = outcomes of a behavior.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from trainers.networks.prior_heads import PriorHeads


class Network(nn.Module, ABC):
    """A plain module in two halves: `encode` reads a batch's inputs, `heads` give each behavior's log-probabilities.

    A subclass sets `heads` and writes `encode`. The cut between the halves is where a domain classifier looks.
    """

    heads: PriorHeads

    @abstractmethod
    def encode(self, *inputs: object) -> Tensor:
        """Return hidden units, [n, h]."""

    def forward(self, *inputs: object) -> tuple[Tensor, ...]:
        """Return log-probabilities of each behavior's outcomes, [n, c] each."""
        parts: tuple[Tensor, ...] = self.heads(self.encode(*inputs))
        return parts
