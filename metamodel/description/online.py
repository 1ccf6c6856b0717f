"""The prequential (online) code: labels sent block by block, each coded by what was fitted on those before.

Source: Voita and Titov, *Information-Theoretic Probing with Minimum Description Length* (2020), after Dawid (1984).

Shapes: n = prompts, m = prompts of a block, c = outcomes of a behavior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import numpy as np

from metamodel.information import prompt_cross_entropies_bits
from metamodel.splits import hashed_shares
from metamodel.types import IntArray, Predictions

Order = Literal["shuffled", "domains"]
# Voita and Titov's timesteps, in percent.
TIMESTEPS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25.0, 50.0, 100.0)
# From fewer nothing can be fitted and a share of it still be kept for validation.
LEAST_PREFIX: Final = 10
# Fits on the rows before a block and predicts the block's: (rows before, rows of the block) to probabilities.
FitPredict: TypeAlias = Callable[[IntArray, IntArray], Predictions]


def block_ends(n_prompts: int, *, timesteps: Sequence[float] = TIMESTEPS, least: int = LEAST_PREFIX) -> tuple[int, ...]:
    """Return where blocks end: at the timesteps, in percent, those with fewer than `least` prompts joined to the first.

    >>> block_ends(1000)
    (16, 32, 63, 125, 250, 500, 1000)
    """
    ends = {math.ceil(n_prompts * share / 100) for share in timesteps}
    return (*sorted(end for end in ends if least <= end < n_prompts), n_prompts)


def domain_ends(domains: Sequence[str], *, least: int = LEAST_PREFIX) -> tuple[int, ...]:
    """Return where blocks of whole domains end, for prompts that are sorted by domain.

    >>> domain_ends(["a"] * 20 + ["b"] * 30)
    (20, 50)
    """
    last = len(domains)
    ends = [place for place in range(1, last) if domains[place] != domains[place - 1] and place >= least]
    return (*ends, last)


def ordered(texts: Sequence[str], domains: Sequence[str], *, order: Order, seed: int) -> IntArray:
    """Return the rows in the order in which they are sent, [n]: by a hash of the text, or domain by domain.

    Args:
        texts: Prompt texts, n of them.
        domains: Their domains.
        order: "shuffled" mixes all domains; "domains" sends one after another, themselves in hashed order.
        seed: Seed of the hash.
    """
    shares = hashed_shares(texts, seed=seed, purpose="online order")
    if order == "shuffled":
        return np.argsort(shares, kind="stable").astype(np.int64)
    names = sorted(set(domains))
    rank = dict(zip(names, hashed_shares(names, seed=seed, purpose="online order").tolist(), strict=True))
    return np.lexsort((shares, [rank[domain] for domain in domains])).astype(np.int64)


def uniform_bits(counts: IntArray) -> float:
    """Return the bits of a block's labels under the code that favors no outcome: log2 c a labeled prompt.

    >>> uniform_bits(np.array([[1, 0], [0, 0], [1, 1]]))
    2.0
    """
    return float((counts.sum(axis=1) > 0).sum() * np.log2(counts.shape[1]))


def block_bits(counts: Mapping[str, IntArray], predictions: Predictions | None) -> dict[str, float]:
    """Return the bits of a block's labels, by task.

    Of several samples of a prompt the mean counts, as everywhere: a prompt is one unit. A prompt without a label costs
    nothing.

    Args:
        counts: How often each outcome was drawn, [m, c] a task.
        predictions: What was predicted, [m, c] a task; None is the uniform code.
    """
    if predictions is None:
        return {task: uniform_bits(table) for task, table in counts.items()}
    return {task: float(prompt_cross_entropies_bits(table, predictions[task]).sum()) for task, table in counts.items()}


def online_bits(counts: Mapping[str, IntArray], ends: Sequence[int], fit_predict: FitPredict) -> dict[str, list[float]]:
    """Return the bits of each block of the online code, by task; their sum is the prequential code length.

    Formula: L = n_1 log2 c + sum over blocks i of -log2 q_i(labels of block i + 1 given its prompts), with q_i fitted
    on blocks 1 to i.

    Args:
        counts: How often each outcome was drawn, in the order of sending, [n, c] a task.
        ends: Rising ends of the blocks, the last one n.
        fit_predict: Fits on the rows before a block and predicts the block.
    """
    bits: dict[str, list[float]] = {task: [] for task in counts}
    start = 0
    for end in ends:
        block = np.arange(start, end, dtype=np.int64)
        predictions = None if start == 0 else fit_predict(np.arange(start, dtype=np.int64), block)
        for task, value in block_bits({name: table[block] for name, table in counts.items()}, predictions).items():
            bits[task].append(value)
        start = end
    return bits
