"""The bag's mathematics as a plain module.

Shapes: n = prompts of a batch, b = buckets, d = dimension, h = hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainers.inputs.lengths import N_LENGTHS
from trainers.networks.network import Network
from trainers.networks.prior_heads import PriorHeads
from trainers.networks.sparse_rows import SparseRows, summed_rows


class NGramBag(nn.Module):
    """Sums the weighted embeddings of a prompt's n-grams.

    Args:
        n_buckets: Rows of the table (b).
        dimension: Width of an embedding (d).
    """

    def __init__(self, n_buckets: int, dimension: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_buckets, dimension))
        nn.init.normal_(self.weight, std=dimension**-0.5)

    def forward(self, ngrams: SparseRows) -> Tensor:
        """Return the sums, [n, d], of weights [n, b]."""
        return summed_rows(self.weight, ngrams)


class BagNetwork(Network):
    """Bag of embeddings, one hidden layer, one linear head a behavior; starts out as the training prior.

    Args:
        n_buckets: Rows of the embedding table (b).
        dimension: Width of an embedding (d).
        hidden: Hidden units (h).
        dropout: Share of inputs and of hidden units dropped in training.
        priors: Training prior of each behavior.
    """

    def __init__(
        self, *, n_buckets: int, dimension: int, hidden: int, dropout: float, priors: Sequence[Sequence[float]]
    ) -> None:
        super().__init__()
        self.embedding = NGramBag(n_buckets, dimension)
        self.hidden = nn.Linear(dimension + N_LENGTHS, hidden)
        self.heads = PriorHeads(hidden, priors)
        self.dropout = nn.Dropout(dropout)

    def encode(self, ngrams: SparseRows, lengths: Tensor) -> Tensor:  # type: ignore[override] # its own inputs
        """Return hidden units, [n, h].

        Args:
            ngrams: Weight of each bucket, [n, b].
            lengths: Standardized log lengths, [n, 2].
        """
        inputs = torch.cat([self.embedding(ngrams), lengths], dim=1)  # [n, d + 2]
        hidden: Tensor = self.dropout(torch.relu(self.hidden(self.dropout(inputs))))  # [n, h]
        return hidden
