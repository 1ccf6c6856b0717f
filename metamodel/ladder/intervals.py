"""The mean bits gained over domains, primary models and behaviors, with an interval that keeps prompts together.

Shapes: n = prompts of a domain, m = those with a label, b = bootstrap draws, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metamodel.bootstrap import Interval, bootstrap_weights, entropy_bias_bits, percentile_levels
from metamodel.information import (
    empirical_distributions,
    entropy_bits,
    prompt_cross_entropies_bits,
    reduction_bits,
)
from metamodel.types import FloatArray, IntArray

# Counts and predicted probabilities, [n, c] each, of one primary model's behavior.
Judged = tuple[IntArray, FloatArray]


def mean_reduction_interval(
    domains: Sequence[Mapping[str, Judged]], *, n_draws: int, seed: int
) -> tuple[float, Interval | None]:
    """Return the mean over domains and cells of the bits gained, and its 95 % interval.

    As `metamodel.bootstrap.macro_reduction_interval`, of which it is the case of several cells: within each domain one
    draw of prompts serves every cell, since one prompt's labels of several behaviors and primary models belong
    together.

    Args:
        domains: For each domain its cells (a primary model's behavior), all over the same n prompts.
        n_draws: Draws of the bootstrap.
        seed: Fixes the draws.

    Returns:
        The mean, NaN without any label; no interval where a cell has a single labeled prompt.

    >>> counts = np.array([[4, 0], [0, 4]] * 50)
    >>> mean, interval = mean_reduction_interval([{"a/f": (counts, np.full((100, 2), 0.5))}], n_draws=200, seed=0)
    >>> mean, interval.low <= 0 <= interval.high
    (0.0, True)
    """
    labeled = [{name: one for name, one in cells.items() if one[0].sum() > 0} for cells in domains]
    n_cells = sum(len(cells) for cells in labeled)
    if not n_cells:
        return float("nan"), None
    values = [reduction_bits(*one) for cells in labeled for one in cells.values()]
    mean = float(np.mean([value for value in values if value is not None]))
    n_labeled = [int((one[0].sum(axis=1) > 0).sum()) for cells in labeled for one in cells.values()]
    if min(n_labeled) < 2:  # noqa: PLR2004 - the spread of one is unknown
        return mean, None
    total = np.zeros(n_draws)
    streams = np.random.SeedSequence(seed).spawn(len(labeled))
    for cells, stream in zip(labeled, streams, strict=True):
        if cells:
            total += _domain_draws(cells, n_draws=n_draws, seed=int(stream.generate_state(1, np.uint64)[0]))
    n_prompts = sum(len(next(iter(cells.values()))[0]) - 1 for cells in labeled if cells)
    low, high = np.quantile(total / n_cells, percentile_levels(n_prompts))
    return mean, Interval(low=min(float(low), mean), value=mean, high=max(float(high), mean))


def _domain_draws(cells: Mapping[str, Judged], *, n_draws: int, seed: int) -> FloatArray:
    """Return the sum over cells of the bits gained in every draw of one domain's prompts, corrected for bias, [b]."""
    columns, bias = [], 0.0
    widths = [probabilities.shape[1] + 2 for _, probabilities in cells.values()]
    for counts, probabilities in cells.values():
        is_labeled = counts.sum(axis=1) > 0
        shares = empirical_distributions(counts)  # [m, c]
        block = np.zeros((len(counts), probabilities.shape[1] + 2))
        block[is_labeled, 0] = 1
        block[is_labeled, 1] = prompt_cross_entropies_bits(counts, probabilities)
        block[is_labeled, 2:] = shares
        columns.append(block)
        bias += 2 * entropy_bias_bits(shares)
    stacked = np.hstack(columns)
    weights = bootstrap_weights(len(stacked), n_draws=n_draws, seed=seed)
    means = np.concatenate([chunk @ stacked for chunk in weights])  # [b, sum of widths]
    gained = np.zeros(n_draws)
    for block in np.split(means, np.cumsum(widths)[:-1], axis=1):
        # A draw without any labeled prompt of a cell gains nothing there.
        present = np.maximum(block[:, :1], np.finfo(float).tiny)
        gained += entropy_bits(block[:, 2:] / present) - block[:, 1] / present[:, 0]
    n_prompts = len(stacked)
    center, stretch = gained.mean(), np.sqrt(n_prompts / max(n_prompts - 1, 1))
    drawn: FloatArray = center + stretch * (gained - center) + bias
    return drawn
