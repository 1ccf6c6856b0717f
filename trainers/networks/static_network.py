"""Attention over pretrained token vectors that do not depend on their context, as a plain module.

A token's score and projection are functions of its vector alone, so both are computed once for each different token of
a batch, and a prompt is a weighted sum over its token counts, whatever its length.

Shapes: n = prompts of a batch, v = tokens of the vocabulary, d = width of a vector, k = attention heads, w = width of
a pool, h = hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainers.inputs.lengths import N_LENGTHS
from trainers.networks.network import Network
from trainers.networks.prior_heads import PriorHeads
from trainers.networks.sparse_rows import SparseRows, summed_rows

# A token weighs at most e^2 times another: sharper attention predicted worse on domains that training did not have.
FARTHEST_SCORE = 1.0


class StaticNetwork(Network):
    """Attention pools and the mean of token vectors, one hidden layer, one linear head a behavior.

    Args:
        vectors: Pretrained vectors, standardized, [v, d]; never trained.
        n_pools: Attention heads (k), each with a scorer of its own; the mean is one pool more.
        pool_width: Width that each pool is projected to (w).
        hidden: Hidden units (h).
        dropout: Share of the pools and of the hidden units dropped in training.
        priors: Training prior of each behavior.
    """

    vectors: Tensor

    def __init__(
        self,
        *,
        vectors: Tensor,
        n_pools: int,
        pool_width: int,
        hidden: int,
        dropout: float,
        priors: Sequence[Sequence[float]],
    ) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        width = vectors.shape[1]
        scorers = torch.randn(n_pools, width) * 0.1 * width**-0.5
        self.scorers = nn.Parameter(scorers, requires_grad=n_pools > 0)  # processes wait for every gradient
        self.projections = nn.Parameter(torch.randn(n_pools + 1, width, pool_width) * width**-0.5)
        self.hidden = nn.Linear((n_pools + 1) * pool_width + N_LENGTHS, hidden)
        self.heads = PriorHeads(hidden, priors)
        self.dropout = nn.Dropout(dropout)

    def encode(self, tokens: SparseRows, lengths: Tensor) -> Tensor:  # type: ignore[override] # its own inputs
        """Return hidden units, [n, h].

        Args:
            tokens: How often each token occurs, [n, v].
            lengths: Standardized log lengths, [n, 2].
        """
        used, columns = torch.unique(tokens.columns, return_inverse=True)  # the batch's own vocabulary is far smaller
        tokens = tokens._replace(columns=columns.to(tokens.offsets.dtype))
        vectors = self.vectors[used]  # [v', d]
        scores = FARTHEST_SCORE * torch.tanh(vectors @ self.scorers.T)  # [v', k]
        weights = [*scores.exp().unbind(dim=1), scores.new_ones(len(scores))]  # one [v'] a pool, the mean's last
        pools = [
            _pool(vectors @ projection, weight, tokens)
            for projection, weight in zip(self.projections, weights, strict=True)
        ]
        inputs = self.dropout(torch.cat([*pools, lengths], dim=1))  # [n, (k + 1) * w + 2]
        hidden: Tensor = self.dropout(torch.relu(self.hidden(inputs)))  # [n, h]
        return hidden


def _pool(projected: Tensor, weights: Tensor, tokens: SparseRows) -> Tensor:
    """Return the mean of the tokens' projections by count * weight, [n, w]; zeros where a prompt has no token."""
    entries = tokens.weights * weights[tokens.columns]
    owners = tokens.owners
    totals = entries.new_zeros(len(tokens.offsets) - 1).index_add(0, owners, entries)
    shares = entries / totals[owners]
    return summed_rows(projected, tokens._replace(weights=shares))
