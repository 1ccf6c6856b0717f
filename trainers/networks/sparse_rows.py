"""Sums of table rows: the one operation of networks on counted or weighted tokens.

Shapes: n = prompts of a batch, b = rows of the table, d = its width, g = entries of all prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SparseRows(NamedTuple):
    """A sparse matrix [n, b] as compressed rows, in tensors so that it moves between devices with its batch.

    Attributes:
        offsets: Prompt i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        columns: Row of the table that each entry adds, [g].
        weights: How much of it, [g].
    """

    offsets: Tensor
    columns: Tensor
    weights: Tensor

    @property
    def owners(self) -> Tensor:
        """Number of the prompt that each entry belongs to, [g]."""
        n = len(self.offsets) - 1
        return torch.arange(n, device=self.offsets.device).repeat_interleave(self.offsets.diff())


def sparse_rows(matrix: csr_array[np.float32]) -> SparseRows:
    """Return a scipy matrix as tensors, without copying it."""
    return SparseRows(*(torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data)))


def summed_rows(table: Tensor, rows: SparseRows) -> Tensor:
    """Return the weighted sum of the table's rows for each prompt, [n, d]; gradients reach table and weights.

    On the CPU scipy computes what `embedding_bag` computes elsewhere: its backward pass takes several times as long.
    """
    if table.device.type != "cpu":
        return torch.nn.functional.embedding_bag(
            rows.columns,
            table,
            rows.offsets,
            mode="sum",
            per_sample_weights=rows.weights.to(table.dtype),
            include_last_offset=True,
        )
    has_half = table.dtype not in (torch.float32, torch.float64)  # numpy lacks what mixed precision brings
    whole, weights = (table.float(), rows.weights.float()) if has_half else (table, rows.weights)
    summed: Tensor = _SparseProduct.apply(whole, weights, rows)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return summed.to(table.dtype)


class _SparseProduct(torch.autograd.Function):
    """Multiply a sparse matrix by a dense one on the CPU."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, weights: Tensor, rows: SparseRows) -> Tensor:  # noqa: ANN401 - torch's own context
        from scipy.sparse import csr_array

        arrays = (weights.detach().numpy(), rows.columns.numpy(), rows.offsets.numpy())
        ctx.matrix = csr_array(arrays, shape=(len(rows.offsets) - 1, len(table)))
        ctx.rows = rows
        ctx.save_for_backward(table)
        return torch.from_numpy(ctx.matrix @ table.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401 - the same
        (table,) = ctx.saved_tensors
        of_table = of_weights = None
        if ctx.needs_input_grad[0]:
            of_table = torch.from_numpy(ctx.matrix.T @ gradient.numpy())
        if ctx.needs_input_grad[1]:
            of_weights = torch.einsum("gd,gd->g", gradient[ctx.rows.owners], table[ctx.rows.columns])
        return of_table, of_weights, None
