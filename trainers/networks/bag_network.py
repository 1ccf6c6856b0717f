"""The bag's mathematics as a plain module.

Shapes: n = prompts of a batch, b = buckets, d = dimension, h = hidden units, o = outcomes of all behaviors together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainers.inputs.lengths import N_LENGTHS

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_array


class _SparseProduct(torch.autograd.Function):
    """Multiply a constant sparse matrix by a dense parameter, on the CPU.

    What `nn.EmbeddingBag` with `mode="sum"` and weights computes; its backward pass takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, ngrams: csr_array[np.float32]) -> Tensor:  # noqa: ANN401 - torch's own context
        ctx.ngrams = ngrams
        return torch.from_numpy(ngrams @ table.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's own context
        return torch.from_numpy(ctx.ngrams.T @ gradient.numpy()), None


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

    def forward(self, ngrams: csr_array[np.float32]) -> Tensor:
        """Return the sums, [n, d], of weights [n, b]."""
        product: Tensor = _SparseProduct.apply(self.weight, ngrams)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return product


class BagNetwork(nn.Module):
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
        self.sizes = [len(prior) for prior in priors]
        self.embedding = NGramBag(n_buckets, dimension)
        self.hidden = nn.Linear(dimension + N_LENGTHS, hidden)
        self.heads = nn.Linear(hidden, sum(self.sizes))
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.heads.weight)
        with torch.no_grad():
            self.heads.bias.copy_(torch.cat([torch.tensor(prior).log() for prior in priors]))

    def forward(self, ngrams: csr_array[np.float32], lengths: Tensor) -> tuple[Tensor, ...]:
        """Return log probabilities of each behavior's outcomes, [n, c] each.

        Args:
            ngrams: Weight of each bucket, [n, b].
            lengths: Standardized log lengths, [n, 2].
        """
        inputs = torch.cat([self.embedding(ngrams), lengths], dim=1)  # [n, d + 2]
        hidden = torch.relu(self.hidden(self.dropout(inputs)))  # [n, h]
        logits = self.heads(self.dropout(hidden))  # [n, o]
        return tuple(part.log_softmax(dim=1) for part in logits.split(self.sizes, dim=1))
