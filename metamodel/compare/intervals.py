"""Intervals and p values of differences between two runs, prompts paired and domains weighed alike.

Intervals are those of `metamodel.bootstrap` (percentiles over prompts within each domain, stretched for few prompts),
for statistics that it does not have: means of anything, and bits gained on two sets of labels of the same prompts.

Shapes: d = domains, m = labeled prompts of a domain, c = outcomes, b = bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from metamodel.bootstrap import DEFAULT_DRAWS, Interval, bootstrap_means, entropy_bias_bits, percentile_levels
from metamodel.information import entropy_bits
from metamodel.types import FloatArray

LEAST_PROMPTS_OF_A_DOMAIN = 2

# From means over prompts, [..., s], to the statistic, [...].
_Statistic: TypeAlias = Callable[[FloatArray], FloatArray]


def mean_interval(domains: Sequence[FloatArray], *, n_draws: int = DEFAULT_DRAWS, seed: int = 0) -> Interval | None:
    """Return the mean over domains of each domain's mean over prompts, with a 95 % interval.

    Args:
        domains: One value a prompt, [m] each, at least two.
        n_draws: Bootstrap draws.
        seed: Fixes the draws; the same as in `metamodel.bootstrap` for the same domains.

    >>> mean_interval([np.array([1.0, 1.0]), np.array([2.0, 2.0])])
    Interval(low=1.5, value=1.5, high=1.5)
    """
    columns = [values[:, None] for values in domains]
    return _interval(columns, lambda means: means[..., 0], [0.0] * len(columns), n_draws=n_draws, seed=seed)


def gain_difference_interval(
    domains: Sequence[tuple[FloatArray, FloatArray, FloatArray, FloatArray]],
    *,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
) -> Interval | None:
    """Return bits gained on new labels less bits gained on old ones, the mean over domains, with a 95 % interval.

    The labels differ, so the entropies do not cancel: H(F) - CE is recomputed for both in every draw of prompts, and
    the difference of their biases (`entropy_bias_bits`) corrected as in `macro_reduction_interval`.

    Args:
        domains: For each domain the old losses in bits [m], old label shares [m, c], new losses and new shares.
        n_draws: Bootstrap draws.
        seed: Fixes the draws.
    """
    if not domains:
        return None
    n_old = domains[0][1].shape[1]
    columns = [np.column_stack(parts) for parts in domains]

    def difference(means: FloatArray) -> FloatArray:
        old, new = means[..., : n_old + 1], means[..., n_old + 1 :]
        gained: FloatArray = (entropy_bits(new[..., 1:]) - new[..., 0]) - (entropy_bits(old[..., 1:]) - old[..., 0])
        return gained

    biases = [entropy_bias_bits(new) - entropy_bias_bits(old) for _, old, _, new in domains]
    return _interval(columns, difference, biases, n_draws=n_draws, seed=seed)


def mean_p_value(domains: Sequence[FloatArray]) -> float | None:
    """Return the two-sided p of the mean over domains being zero; domains are fixed, prompts are drawn.

    Formula: t = mean over d of the domain means / sqrt(sum of s_d^2 / m_d) * d, with the degrees of freedom of Welch
    (1947) and Satterthwaite (1946). With one domain it is Student's paired t-test. Without any spread p is 1 where the
    mean is zero, and 0 elsewhere.

    Args:
        domains: One difference a prompt, [m] each, at least two; None without a domain.

    >>> round(mean_p_value([np.array([0.1, -0.1, 0.2, 0.3])]), 3)
    0.239
    """
    if not domains:
        return None
    from scipy.special import stdtr

    mean = float(np.mean([values.mean() for values in domains]))
    parts = np.array([values.var(ddof=1) / len(values) for values in domains])
    if mean == 0 or not (parts > 0).any():
        return 1.0 if mean == 0 else 0.0
    # As shares of the greatest, so that squares of tiny variances do not vanish.
    shares = parts / parts.max()
    freedom = shares.sum() ** 2 / sum(share**2 / (len(v) - 1) for share, v in zip(shares, domains, strict=True))
    t = mean * len(domains) / np.sqrt(parts.sum())
    return float(2 * stdtr(freedom, -abs(t)))


def _interval(
    domains: Sequence[FloatArray], statistic: _Statistic, biases: Sequence[float], *, n_draws: int, seed: int
) -> Interval | None:
    if not domains or min(len(values) for values in domains) < LEAST_PROMPTS_OF_A_DOMAIN:
        return None
    estimates, total = [], np.zeros(n_draws)
    streams = np.random.SeedSequence(seed).spawn(len(domains))
    for values, bias, stream in zip(domains, biases, streams, strict=True):
        domain_seed = int(stream.generate_state(1, np.uint64)[0])
        draws = statistic(bootstrap_means(values, n_draws=n_draws, seed=domain_seed))  # [b]
        center = draws.mean()
        total += center + np.sqrt(len(values) / (len(values) - 1)) * (draws - center) + 2 * bias
        estimates.append(float(statistic(values.mean(axis=0))))
    value = float(np.mean(estimates))
    low, high = np.quantile(total / len(domains), percentile_levels(sum(len(values) - 1 for values in domains)))
    return Interval(low=min(float(low), value), value=value, high=max(float(high), value))
