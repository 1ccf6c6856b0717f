"""Intervals from a bootstrap over prompts: the samples of one prompt are a cluster and stay together.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), with two corrections, both of which vanish as
prompts become many:

- The plug-in entropy is biased downwards, once in the data and once more in every draw, so plain percentile intervals
  would miss the population's value by twice the bias. Draws are shifted by twice its second-order estimate,
  sum over outcomes of Var(F_j) / (2 F_j ln 2), with Var(F_j) the variance of the mean over prompts (Miller 1955, here
  for clusters).
- Percentile intervals are too short for few prompts, like a normal interval with the variance divided by n. Deviations
  are stretched by sqrt(n / (n - 1)), and the levels come from Student's t (the expanded percentile interval of
  Hesterberg, *What Teachers Should Know About the Bootstrap*, 2015).

Shapes in this file: n = prompts, m = prompts with at least one label, b = bootstrap draws,
c = outcomes, s = statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from metamodel.information import empirical_distributions, entropy_bits, prompt_cross_entropies_bits
from metamodel.rare_reductions import highest_rare_reduction
from metamodel.types import FloatArray, IntArray

DEFAULT_DRAWS: Final = 1000
CONFIDENCE: Final = 0.95

# Draws are made in chunks of so many weights (32 MB), whatever the number of prompts.
_CHUNK_WEIGHTS: Final = 4_000_000
_MIN_PROMPTS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A value with the ends of its 95 % interval, which always contains it.

    Attributes:
        low: Lower end.
        value: The estimate on all prompts.
        high: Upper end.
    """

    low: float
    value: float
    high: float


def bootstrap_weights(n_prompts: int, *, n_draws: int = DEFAULT_DRAWS, seed: int = 0) -> Iterator[FloatArray]:
    """Yield weights of the prompts in each bootstrap draw, chunk by chunk.

    A draw takes n prompts with replacement; a prompt's weight is how often it was taken, divided by n. The same
    arguments yield the same weights, so two statistics of the same prompts are paired by giving them one seed.

    Args:
        n_prompts: Prompts to draw from, n >= 1.
        n_draws: Draws in all, b.
        seed: Fixes the draws.

    Yields:
        Weights, [draws of this chunk, n]; each row sums to one.

    >>> [weights.sum(axis=1).tolist() for weights in bootstrap_weights(4, n_draws=3)]
    [[1.0, 1.0, 1.0]]
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_WEIGHTS // n_prompts)
    for start in range(0, n_draws, chunk):
        rows = min(chunk, n_draws - start)
        taken = rng.integers(0, n_prompts, size=(rows, n_prompts))
        taken += np.arange(rows)[:, None] * n_prompts
        times = np.bincount(taken.ravel(), minlength=rows * n_prompts)
        yield times.reshape(rows, n_prompts) / n_prompts


def bootstrap_means(values: FloatArray, *, n_draws: int = DEFAULT_DRAWS, seed: int = 0) -> FloatArray:
    """Return the mean over prompts of each statistic in every bootstrap draw.

    Args:
        values: Statistics of each prompt, [m, s].
        n_draws: Draws, b.
        seed: Fixes the draws.

    Returns:
        Means, [b, s].

    >>> bootstrap_means(np.ones((5, 2)), n_draws=3).shape
    (3, 2)
    """
    return np.concatenate([weights @ values for weights in bootstrap_weights(len(values), n_draws=n_draws, seed=seed)])


def reduction_interval(
    counts: IntArray, probabilities: FloatArray, *, n_draws: int = DEFAULT_DRAWS, seed: int = 0
) -> Interval | None:
    """Return the bits gained, H(F) - CE, with a 95 % interval; entropy and cross-entropy are recomputed in every draw.

    The value is the plug-in of `metamodel.information.reduction_bits`. The interval is for the population that the
    prompts were drawn from and is corrected for the plug-in entropy's bias, so the value need not lie in its middle.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].
        n_draws: Bootstrap draws.
        seed: Fixes the draws.

    Returns:
        Bits, or None with fewer than two labeled prompts.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.

    >>> counts = np.array([[4, 0], [0, 4]] * 50)
    >>> reduction_interval(counts, np.array([[0.9, 0.1], [0.1, 0.9]] * 50)).value.__round__(3)
    0.848
    """
    return macro_reduction_interval([(counts, probabilities)], n_draws=n_draws, seed=seed)


def paired_difference_interval(
    counts: IntArray,
    probabilities: FloatArray,
    rival_probabilities: FloatArray,
    *,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
) -> Interval | None:
    """Return how many more bits one metamodel gains than its rival on the same prompts, with a 95 % interval.

    The entropy of the labels cancels: the difference of reductions is the mean over prompts of the rival's
    cross-entropy less the metamodel's. Shapes, None and errors are those of `reduction_interval`.

    >>> counts, sure, unsure = np.array([[0, 4]] * 50), np.array([[0.25, 0.75]] * 50), np.array([[0.5, 0.5]] * 50)
    >>> paired_difference_interval(counts, sure, unsure).low.__round__(3)
    0.585
    """
    domains = [(counts, probabilities, rival_probabilities)]
    return macro_difference_interval(domains, n_draws=n_draws, seed=seed)


def macro_reduction_interval(
    domains: Sequence[tuple[IntArray, FloatArray]], *, n_draws: int = DEFAULT_DRAWS, seed: int = 0
) -> Interval | None:
    """Return the mean over domains of the bits gained in each, with a 95 % interval.

    Every domain counts equally, however many prompts it has. Prompts are resampled within each domain: the interval is
    about these domains, not about domains that might have been chosen. Of a single domain with few events the upper end
    is raised as `metamodel.rare_reductions` says; of several it is not.

    Args:
        domains: Counts [n, c] and probabilities [n, c] of each domain; one without any label is left out.
        n_draws: Bootstrap draws.
        seed: Fixes the draws.

    Returns:
        Bits, or None without a labeled domain or if one has a single labeled prompt, whose spread is unknown.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.
    """
    strata = []
    for counts, probabilities in domains:
        shares = empirical_distributions(counts)
        losses = prompt_cross_entropies_bits(counts, probabilities)
        strata.append(np.column_stack([losses, shares]))
    interval = _stratified_interval(strata, n_draws=n_draws, seed=seed)
    labeled = [domain for domain, values in zip(domains, strata, strict=True) if len(values)]
    if interval is None or len(labeled) > 1:
        return interval
    highest = highest_rare_reduction(*labeled[0])
    return interval if highest is None else replace(interval, high=max(interval.high, highest))


def macro_difference_interval(
    domains: Sequence[tuple[IntArray, FloatArray, FloatArray]], *, n_draws: int = DEFAULT_DRAWS, seed: int = 0
) -> Interval | None:
    """Return the mean over domains of how many more bits one metamodel gains than its rival, with a 95 % interval.

    Args:
        domains: Counts, the metamodel's probabilities and the rival's of each domain, each [n, c].
        n_draws: Bootstrap draws.
        seed: Fixes the draws.

    Returns:
        Bits, or None as `macro_reduction_interval`.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.
    """
    strata = []
    for counts, own, rival in domains:
        excess = prompt_cross_entropies_bits(counts, own) - prompt_cross_entropies_bits(counts, rival)
        strata.append(excess[:, None])
    return _stratified_interval(strata, n_draws=n_draws, seed=seed)


def entropy_bias_bits(shares: FloatArray) -> float:
    """Return by how many bits the entropy of the mean distribution is expected to fall short of the population's.

    Formula: sum over outcomes of Var(F_j) / (2 F_j ln 2), the second-order term of the entropy's expansion, with
    Var(F_j) the variance of the mean over prompts. With one label a prompt that is Miller's (c - 1) / (2 n ln 2), c
    counting the outcomes seen. Source: Miller, *Note on the bias of information estimates* (1955).

    Args:
        shares: Empirical distribution of each labeled prompt, [m, c].

    >>> round(entropy_bias_bits(np.eye(2)[[0, 1] * 50]) * 200 * float(np.log(2)), 9)
    1.0
    """
    mean = shares.mean(axis=0)
    seen = mean > 0
    variance_of_mean = shares[:, seen].var(axis=0) / len(shares)
    return float((variance_of_mean / mean[seen]).sum() / (2 * np.log(2)))


def percentile_levels(degrees_of_freedom: int) -> tuple[float, float]:
    """Return the lower and upper level at which to read draws, widened for few prompts by Student's t.

    >>> [round(level, 4) for level in percentile_levels(10**6)]
    [0.025, 0.975]
    """
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(stdtrit(degrees_of_freedom, (1 - CONFIDENCE) / 2)))
    return tail, 1 - tail


def _stratified_interval(strata: Sequence[FloatArray], *, n_draws: int, seed: int) -> Interval | None:
    """Return the interval of the mean over strata of entropy(mean of columns 1...) - mean of column 0."""
    labeled = [values for values in strata if len(values)]
    if not labeled or min(len(values) for values in labeled) < _MIN_PROMPTS:
        return None
    estimates, total = [], np.zeros(n_draws)
    for values, stream in zip(labeled, np.random.SeedSequence(seed).spawn(len(labeled)), strict=True):
        stratum_seed = int(stream.generate_state(1, np.uint64)[0])
        draws = _reductions(bootstrap_means(values, n_draws=n_draws, seed=stratum_seed))  # [b]
        center, stretch = draws.mean(), np.sqrt(len(values) / (len(values) - 1))
        total += center + stretch * (draws - center) + 2 * entropy_bias_bits(values[:, 1:])
        estimates.append(_reductions(values.mean(axis=0)))
    value = float(np.mean(estimates))
    levels = percentile_levels(sum(len(values) - 1 for values in labeled))
    low, high = np.quantile(total / len(labeled), levels)
    return Interval(low=min(float(low), value), value=value, high=max(float(high), value))


def _reductions(means: FloatArray) -> FloatArray:
    bits: FloatArray = entropy_bits(means[..., 1:]) - means[..., 0]
    return bits
