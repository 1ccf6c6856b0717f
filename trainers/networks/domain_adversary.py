"""Domain-adversarial training: hidden units from which the domain cannot be told.

Ganin, Ustinova, Ajakan, Germain, Larochelle, Laviolette, Marchand and Lempitsky, Domain-adversarial training of neural
networks (2016): a classifier learns the domain from the hidden units, and its gradient reaches what is below it with
the sign reversed.

Shapes: n = prompts of a batch, h = hidden units, g = domains.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class _Reversal(torch.autograd.Function):
    """The identity forward; backward, the gradient times -factor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:  # noqa: ANN401 - torch's own context
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's own context
        return -ctx.factor * gradient, None


def reverse_gradient(values: Tensor, factor: float) -> Tensor:
    """Return the values; what flows back through them is multiplied by -factor."""
    reversed_values: Tensor = _Reversal.apply(values, factor)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return reversed_values


def reversal_factor(progress: float, weight: float) -> float:
    """Return weight * (2 / (1 + exp(-10 * progress)) - 1), Ganin et al.'s schedule: 0 at first, weight at the end.

    Args:
        progress: Share of the passes that are over, from 0 to 1.
        weight: What the factor rises to.

    >>> reversal_factor(0.0, 0.5), round(reversal_factor(1.0, 0.5), 4)
    (0.0, 0.5)
    """
    return weight * math.tanh(5 * progress)  # the same function


class DomainAdversary(nn.Module):
    """A linear classifier of the domain behind a gradient reversal.

    Args:
        width: Hidden units (h).
        n_domains: How many there are (g).
    """

    def __init__(self, width: int, n_domains: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, n_domains)

    def forward(self, hidden: Tensor, domains: Tensor, factor: float) -> Tensor:
        """Return the bits that each prompt's domain costs the classifier, [n].

        Args:
            hidden: Hidden units, [n, h].
            domains: Domain number of each prompt, [n].
            factor: The gradient by `hidden` is multiplied by -factor; the classifier's own is not.
        """
        logits = self.classifier(reverse_gradient(hidden, factor))  # [n, g]
        return nn.functional.cross_entropy(logits, domains, reduction="none") / math.log(2)
