"""How much two models' labels, and a metamodel's bits on them, differ on the same prompts.

The original and the derived model answer the same prompts with the same random numbers, so every comparison is paired:
what a prompt adds to both sides cancels.

Shapes: n = prompts, c = outcomes, b = bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from metamodel.bootstrap import Interval, bootstrap_means, entropy_bias_bits, percentile_levels
from metamodel.information import empirical_distributions, entropy_bits, prompt_cross_entropies_bits
from metamodel.types import FloatArray, IntArray

SIGN_DRAWS: Final = 9999
_CHUNK_SIGNS: Final = 8_000_000
_LEAST_PROMPTS: Final = 2
_LEAST_P: Final = 1e-12


class MeanChange(NamedTuple):
    """The mean of paired differences, its 95 % interval (None for fewer than two prompts), and p of no change."""

    value: float
    interval: Interval | None
    p: float


def mean_change(differences: FloatArray, *, n_draws: int, seed: int = 0) -> MeanChange:
    """Return the mean difference over prompts.

    The interval is the bootstrap's over prompts, widened for few of them as in `metamodel.bootstrap`. p is that of the
    sign-flip test: were the two models the same, each prompt's difference would as likely have the other sign. Source:
    Fisher, *The Design of Experiments* (1935), section 21; with Monte Carlo draws (1 + hits) / (1 + draws), after
    Phipson and Smyth (2010), so that p is never 0 and the level is held exactly.

    Args:
        differences: The derived model's label less the original's, mean over samples, [n], n >= 1.
        n_draws: Draws of the bootstrap.
        seed: Fixes the draws.

    >>> mean_change(np.zeros(9), n_draws=200).p
    1.0
    """
    value = float(differences.mean())
    return MeanChange(
        value=value,
        interval=_mean_interval(differences, value, n_draws=n_draws, seed=seed),
        p=sign_flip_p(differences, seed=seed),
    )


def sign_flip_p(differences: FloatArray, *, n_draws: int = SIGN_DRAWS, seed: int = 0) -> float:
    """Return the two-sided p of the sign-flip test that differences are symmetric around zero.

    >>> sign_flip_p(np.ones(30)) < 0.001
    True
    """
    moving = differences[differences != 0]
    if not len(moving):
        return 1.0
    observed = abs(moving.sum()) - 1e-12 * np.abs(moving).sum()
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_SIGNS // len(moving))
    hits = 0
    for start in range(0, n_draws, chunk):
        signs = rng.integers(0, 2, size=(min(chunk, n_draws - start), len(moving)), dtype=np.int8) * 2.0 - 1.0
        hits += int((np.abs(signs @ moving) >= observed).sum())
    return (1 + hits) / (1 + n_draws)


def _mean_interval(values: FloatArray, value: float, *, n_draws: int, seed: int) -> Interval | None:
    n = len(values)
    if n < _LEAST_PROMPTS:
        return None
    draws = bootstrap_means(values[:, None], n_draws=n_draws, seed=seed)[:, 0]
    draws = draws.mean() + np.sqrt(n / (n - 1)) * (draws - draws.mean())
    low, high = np.quantile(draws, percentile_levels(n - 1))
    return Interval(low=min(float(low), value), value=value, high=max(float(high), value))


@dataclass(frozen=True, kw_only=True)
class PairedLabels:
    """One domain's prompts with the labels of both models and what a metamodel says.

    Attributes:
        original: How often the original gave each outcome, [n, c]; every prompt at least once.
        derived: The same of the derived model.
        probabilities: What the metamodel predicts, [n, c].
    """

    original: IntArray
    derived: IntArray
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class BitsChange:
    """How a metamodel's figures move from the original's labels to the derived model's.

    Attributes:
        original_bits: Bits explained of the original's labels.
        derived_bits: Bits explained of the derived model's labels.
        change_bits: The second less the first.
        cross_entropy_change_bits: Mean cross-entropy on the derived model's labels less that on the original's.
        p: Two-sided p that the change of bits is zero: estimate over the bootstrap's standard error, by Student's t.
    """

    original_bits: Interval
    derived_bits: Interval
    change_bits: Interval
    cross_entropy_change_bits: Interval
    p: float


def bits_change(domains: Sequence[PairedLabels], *, n_draws: int, seed: int = 0) -> BitsChange | None:
    """Return how a metamodel's figures move, the mean over domains, with 95 % intervals.

    Formula: dH = H(F) - CE on each model's labels, H(F) of the best constant on these very labels, recomputed in every
    draw; prompts are drawn with replacement within each domain, the same for both models. Plug-in entropies are
    corrected as in `metamodel.bootstrap`.

    Args:
        domains: Pairs of labels by domain; one that pools all prompts gives the pooled figure.
        n_draws: Draws of the bootstrap.
        seed: Fixes the draws.

    Returns:
        None where a domain has fewer than two prompts, or there is none.
    """
    if not domains or min(len(one.original) for one in domains) < _LEAST_PROMPTS:
        return None
    totals, values, biases = np.zeros((n_draws, 4)), np.zeros(4), np.zeros(4)
    for one, stream in zip(domains, np.random.SeedSequence(seed).spawn(len(domains)), strict=True):
        columns = _columns(one)
        n_outcomes = one.original.shape[1]
        draws = _figures(
            bootstrap_means(columns, n_draws=n_draws, seed=int(stream.generate_state(1, np.uint64)[0])), n_outcomes
        )
        bias = _biases(columns, n_outcomes)
        n = len(columns)
        totals += draws.mean(axis=0) + np.sqrt(n / (n - 1)) * (draws - draws.mean(axis=0)) + 2 * bias
        values += _figures(columns.mean(axis=0), n_outcomes)
        biases += bias
    totals, values, biases = totals / len(domains), values / len(domains), biases / len(domains)
    freedom = sum(len(one.original) - 1 for one in domains)
    levels = percentile_levels(freedom)
    intervals = []
    for place in range(4):
        low, high = np.quantile(totals[:, place], levels)
        value = float(values[place])
        intervals.append(Interval(low=min(float(low), value), value=value, high=max(float(high), value)))
    return BitsChange(
        original_bits=intervals[0],
        derived_bits=intervals[1],
        change_bits=intervals[2],
        cross_entropy_change_bits=intervals[3],
        p=_t_test_p(float(values[2] + biases[2]), float(totals[:, 2].std(ddof=1)), freedom),
    )


def _columns(one: PairedLabels) -> FloatArray:
    """Return cross-entropy and shares of both models' labels a prompt, [n, 2 + 2 c]."""
    return np.column_stack(
        [
            prompt_cross_entropies_bits(one.original, one.probabilities),
            prompt_cross_entropies_bits(one.derived, one.probabilities),
            empirical_distributions(one.original),
            empirical_distributions(one.derived),
        ]
    )


def _figures(means: FloatArray, n_outcomes: int) -> FloatArray:
    """Return bits of the original and the derived model, their difference, and the cross-entropies', [..., 4]."""
    original = entropy_bits(means[..., 2 : 2 + n_outcomes]) - means[..., 0]
    derived = entropy_bits(means[..., 2 + n_outcomes :]) - means[..., 1]
    figures: FloatArray = np.stack([original, derived, derived - original, means[..., 1] - means[..., 0]], axis=-1)
    return figures


def _biases(columns: FloatArray, n_outcomes: int) -> FloatArray:
    original = entropy_bias_bits(columns[:, 2 : 2 + n_outcomes])
    derived = entropy_bias_bits(columns[:, 2 + n_outcomes :])
    return np.array([original, derived, derived - original, 0.0])


def _t_test_p(value: float, error: float, freedom: int) -> float:
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if value == 0 else _LEAST_P
    return max(_LEAST_P, float(2 * stdtr(freedom, -abs(value) / error)))
