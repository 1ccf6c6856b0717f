"""Rows on their way through a model: what the decoding engine drives, and the way that suits every model.

Shapes: n = rows, v = vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from metamodel.primaries.stepping import Stepper

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class Lanes(Protocol):
    """Rows 0 to n - 1; row i is the same row until it is moved or its place is given to another."""

    @property
    def can_join(self) -> bool:
        """Whether prompts may be admitted while others run."""
        ...

    def admit(self, prompts: Sequence[Sequence[int]], sources: Sequence[int], into: Sequence[int]) -> Tensor:
        """Read prompts, put row `into[i]` behind prompt `sources[i]`, return the new rows' logits, [len(into), v]."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, [n]; return the logits of the next ones, [n, v]."""
        ...

    def retire(self, rows: Sequence[int]) -> None:
        """Forget rows that have ended."""
        ...

    def move(self, into: Sequence[int], sources: Sequence[int], n_rows: int) -> None:
        """Copy rows into the places of others and keep the first `n_rows`."""
        ...


class BatchLanes:
    """A batch that begins together; rows leave it, none joins.

    Attributes:
        can_join: Never.
    """

    can_join = False

    def __init__(self, model: PreTrainedModel, *, use_cache: bool) -> None:
        """Begin without rows.

        Args:
            model: In evaluation mode.
            use_cache: Whether to go on from the model's cache; otherwise each step reads the whole prefix.
        """
        self._model = model
        self._use_cache = use_cache
        self._stepper: Stepper | None = None
        self._n_rows = 0

    def admit(self, prompts: Sequence[Sequence[int]], sources: Sequence[int], into: Sequence[int]) -> Tensor:
        """Read the prompts of a new batch; `into` counts from 0."""
        self._stepper = None  # frees the last batch's cache first
        self._stepper = Stepper(self._model, prompts, use_cache=self._use_cache)
        self._stepper.take(torch.tensor(list(sources), device=self._model.device))
        self._n_rows = len(into)
        return self._stepper.logits

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, [n]; return the logits of the next ones, [n, v]."""
        stepper = self._running()
        stepper.step(tokens)
        return stepper.logits

    def retire(self, rows: Sequence[int]) -> None:
        """Do nothing: rows of a batch make no more steps than the slowest of them."""

    def move(self, into: Sequence[int], sources: Sequence[int], n_rows: int) -> None:
        """Copy rows into the places of others and keep the first `n_rows`."""
        if n_rows:
            order = torch.arange(self._n_rows)
            order[torch.tensor(list(into), dtype=torch.long)] = torch.tensor(list(sources), dtype=torch.long)
            self._running().take(order[:n_rows].to(self._model.device))
        else:
            self._stepper = None
        self._n_rows = n_rows

    def _running(self) -> Stepper:
        if self._stepper is None:
            raise RuntimeError("no row was admitted yet")
        return self._stepper
