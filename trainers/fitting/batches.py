"""Batches of prompts for a network: which rows, in which order, for which process.

Shapes: n = prompts, b = prompts of a batch, o = outcomes of all behaviors together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from metamodel.labels import LabeledPrompts
from metamodel.types import FloatArray, IntArray
from trainers.heads.outcomes import outcome_shares


class NetworkInputs(Protocol):
    """All prompts' inputs, from which batches are cut."""

    def __len__(self) -> int:
        """Return the number of prompts n."""
        ...

    def rows(self, index: IntArray) -> tuple[object, ...]:
        """Return what the network's `encode` takes for some prompts, in their order."""
        ...


class Examples(NamedTuple):
    """Prompts as a network sees them.

    Attributes:
        inputs: Their inputs.
        prompts: Their labels and domains.
    """

    inputs: NetworkInputs
    prompts: LabeledPrompts


class Batch(NamedTuple):
    """One process's part of one step.

    Attributes:
        inputs: The network's inputs for b prompts.
        targets: See `weighted_targets`, [b, o].
        domains: Domain number of each prompt, [b].
        n_prompts: Prompts of the step in all processes together.
    """

    inputs: tuple[object, ...]
    targets: Tensor
    domains: Tensor
    n_prompts: int


class Batches:
    """Passes over prompts; every pass in another order where a seed is given, the same whatever ran before.

    With several processes each takes every so-manieth prompt of a batch, so that a step sees the same prompts however
    many processes there are.

    Args:
        inputs: The network's inputs.
        targets: See `weighted_targets`, [n, o].
        domains: Domain number of each prompt, [n].
        batch_size: Prompts a step.
        seed: None keeps the order.
    """

    def __init__(
        self, inputs: NetworkInputs, targets: FloatArray, domains: IntArray, *, batch_size: int, seed: int | None
    ) -> None:
        self._inputs, self._domains = inputs, domains.astype(np.int64)
        self._targets = targets.astype(np.float32)
        self._batch_size, self._seed = batch_size, seed
        self._pass = 0

    @property
    def n_domains(self) -> int:
        """How many domains the prompts come from."""
        return int(self._domains.max(initial=0)) + 1

    @property
    def has_labels(self) -> bool:
        """Whether any prompt has a label."""
        return bool(self._targets.any())

    def set_pass(self, number: int) -> None:
        """Say which pass comes next, counted from 0."""
        self._pass = number

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return math.ceil(len(self._targets) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield this process's part of one pass."""
        n = len(self._targets)
        order = np.arange(n)
        if self._seed is not None:
            order = np.random.default_rng([self._seed, self._pass]).permutation(n)
        rank, n_processes = process_rank()
        for start in range(0, n, self._batch_size):
            rows = order[start : start + self._batch_size]
            yield self._batch(rows[rank::n_processes], rows)

    def _batch(self, mine: IntArray, rows: IntArray) -> Batch:
        is_spare = not len(mine)  # fewer prompts are left than processes: this one computes a row that counts nothing
        mine = rows[:1] if is_spare else mine
        targets = torch.from_numpy(self._targets[mine])
        return Batch(
            inputs=self._inputs.rows(mine),
            targets=torch.zeros_like(targets) if is_spare else targets,
            domains=torch.from_numpy(self._domains[mine]),
            n_prompts=len(rows),
        )


def process_rank() -> tuple[int, int]:
    """Return which of how many training processes this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def weighted_targets(prompts: LabeledPrompts, behaviors: Sequence[str], sizes: Sequence[int]) -> FloatArray:
    """Return the outcome shares of all behaviors side by side, [n, o], zero rows where there is no label.

    Each behavior's are scaled by n / (its labeled prompts): summed over a pass and divided by n they give its mean over
    the prompts that have it, so that a behavior with few labels weighs as much as one with many.

    Args:
        prompts: Labeled prompts.
        behaviors: Names of the behaviors, in the order of the network's heads.
        sizes: Outcomes of each.
    """
    blocks = []
    for name, size in zip(behaviors, sizes, strict=True):
        block = np.zeros((len(prompts), size))
        if name in prompts.labels:
            rows, shares = outcome_shares(prompts.labels[name])
            block[rows] = shares * (len(prompts) / max(len(rows), 1))
        blocks.append(block)
    return np.hstack(blocks)


def domain_numbers(prompts: LabeledPrompts) -> IntArray:
    """Return the number of each prompt's domain in the order of their names, [n]."""
    _, numbers = np.unique(np.array(prompts.domains, dtype=str), return_inverse=True)
    return numbers.astype(np.int64)
