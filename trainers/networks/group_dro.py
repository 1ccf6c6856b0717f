"""Group DRO: minimize the worst domain's loss, not the mean's.

Sagawa, Koh, Hashimoto and Liang, Distributionally robust neural networks for group shifts (2020), algorithm 1, without
their adjustment by a group's size.

Shapes: n = prompts of a batch, g = domains.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class GroupSums(NamedTuple):
    """A batch's losses by domain; sums of several processes may be added.

    Attributes:
        losses: Sum of the losses of each domain's prompts, [g].
        counts: Prompts of each domain, [g].
    """

    losses: Tensor
    counts: Tensor


def group_sums(losses: Tensor, domains: Tensor, n_domains: int) -> GroupSums:
    """Add up losses by domain.

    Args:
        losses: Loss of each prompt, [n].
        domains: Domain number of each prompt, [n].
        n_domains: How many there are (g).

    >>> group_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), 3)
    GroupSums(losses=tensor([1., 0., 6.]), counts=tensor([1., 0., 2.]))
    """
    zeros = losses.new_zeros(n_domains)
    return GroupSums(
        losses=zeros.index_add(0, domains, losses), counts=zeros.index_add(0, domains, torch.ones_like(losses))
    )


class GroupWeights(nn.Module):
    """Weights of the domains, q: each batch multiplies q_g by exp(step_size * mean loss of g) and normalizes.

    The loss of a batch is sum over g of q_g * mean loss of g; a domain without a prompt in it keeps its q.

    Args:
        n_domains: How many there are (g).
        step_size: How fast weight moves to the domains with the largest loss, above 0.

    Attributes:
        q: [g], a distribution; uniform at first.
    """

    q: Tensor

    def __init__(self, n_domains: int, step_size: float) -> None:
        super().__init__()
        self._step_size = step_size
        self.register_buffer("q", torch.full((n_domains,), 1 / n_domains))

    @torch.no_grad()
    def update(self, sums: GroupSums) -> None:
        """Move weight to the domains with large losses."""
        means = sums.losses / sums.counts.clamp(min=1)
        self.q.copy_((self.q.log() + self._step_size * means).softmax(dim=0))

    def prompt_weights(self, domains: Tensor, counts: Tensor) -> Tensor:
        """Return the factor of each prompt's loss, [n], with which the sum over prompts is the loss of the batch.

        Args:
            domains: Domain number of each prompt, [n].
            counts: Prompts of each domain in the whole batch, [g].
        """
        return (self.q / counts.clamp(min=1))[domains]
