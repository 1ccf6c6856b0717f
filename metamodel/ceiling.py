"""The noise ceiling I(F; X) = H(F) - H(F given X): the most bits about a label that a function of the prompt can give.

H(F given X) is the mean entropy of each prompt's own label distribution, of which only k samples are seen. With a few
samples a prompt it is not identified: k samples fix k moments of how the distribution varies over prompts, and entropy
is no polynomial. So the ceiling is an interval first, and a point estimate second.

Point estimate: the plug-in H(F) less the empirical-Bayes mean entropy of the prompts. The prior is a Dirichlet
distribution (beta for binary labels) whose mean is the labels' and whose concentration has the largest marginal
likelihood (Minka, *Estimating a Dirichlet Distribution*, 2000); a prompt's posterior mean entropy is sum over j of a_j
/ A (psi(A + 1) - psi(a_j + 1)) nats, A = sum of a_j (Wolpert and Wolf, 1995). It is moved into the interval if the
labels contradict the prior's shape.

Interval for binary labels: all values of I(F; X) whose likelihood ratio against the best mixing distribution of
probabilities, any shape at all, stays below a quantile of F(1, n - 1) (Owen, *Empirical Likelihood*, 2001; see
`metamodel.mixture_bounds`). It shrinks with n to the sharp bounds that k samples a prompt allow, not to a point. The
quantile is the 95 % one at the upper end and the 97.5 % one at the lower: where all prompts share one probability, the
ratio has a longer tail than F (its 95 % point was at most 5.0 in simulation, k from 2 to 60).

Interval for c > 2: H(F given X) is at most the leave-one-sample-out cross-entropy of the Dirichlet prior's predictions.
It is at least the plug-in mean entropy (Jensen), and at least what the collision probability IC = E sum p_j^2 allows,
the polygon through (1/j, log2 j) (Harremoes and Topsoe, 2001); IC is estimated without bias from pairs of samples. The
ends are bootstrap quantiles over prompts of H(F) less these; at the upper one the bias of H(F) is taken off. This is
wider than the binary interval, most of all for k below 5.

With greedy decoding the label is a function of x: the ceiling is H(F), with the likelihood-ratio interval of a
proportion for binary labels, and for c > 2 a bootstrap interval shifted by the bias of H(F) as in
`metamodel.bootstrap`. All intervals are clipped at 0, which I(F; X) never passes.

Shapes in this file: n = prompts, m = prompts with at least one label, k = samples a prompt (it may differ from
prompt to prompt), c = outcomes, g = grid points, r = distinct label patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.bootstrap import DEFAULT_DRAWS, bootstrap_means, entropy_bias_bits, percentile_levels
from metamodel.information import empirical_distributions, entropy_bits
from metamodel.mixture_bounds import MixtureLikelihood, profile_interval
from metamodel.types import FloatArray, IntArray

_MIN_SAMPLES: Final = 2
_MIN_PROMPTS: Final = 2
_BINARY: Final = 2
_LOG_CONCENTRATIONS: Final = (float(np.log(1e-6)), float(np.log(1e6)))
_MIN_HALF_GRID: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """The noise ceiling I(F; X) of a behavior, in bits; low_bits <= bits <= high_bits.

    Attributes:
        low_bits: Lower end of the 95 % interval.
        bits: Point estimate.
        high_bits: Upper end.
    """

    low_bits: float
    bits: float
    high_bits: float


def noise_ceiling(
    counts: IntArray, *, is_deterministic: bool = False, n_draws: int = DEFAULT_DRAWS, seed: int = 0
) -> Ceiling | None:
    """Return the noise ceiling I(F; X) with a 95 % interval for the population that the prompts were drawn from.

    Methods and sources: see the module.

    Rows of one label inform H(F) alone, rows without labels nothing. Every prompt counts equally in H(F).

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        is_deterministic: Whether outputs are functions of the prompt (greedy decoding).
        n_draws: Bootstrap draws, made for c > 2 alone.
        seed: Fixes the draws.

    Returns:
        The ceiling, or None with fewer than two labeled prompts, or where labels are sampled and fewer than two prompts
        have two labels.

    >>> ceiling = noise_ceiling(np.array([[5, 0], [0, 5]] * 100))
    >>> [round(bits, 2) for bits in (ceiling.low_bits, ceiling.bits, ceiling.high_bits)]
    [0.97, 1.0, 1.0]
    >>> noise_ceiling(np.array([[1, 0], [0, 1]])) is None
    True
    """
    drawn = np.asarray(counts)
    shares = empirical_distributions(drawn)
    n_repeated = int((drawn.sum(axis=1) >= _MIN_SAMPLES).sum())
    if len(shares) < _MIN_PROMPTS or (n_repeated < _MIN_PROMPTS and not is_deterministic):
        return None
    entropy = float(entropy_bits(shares.mean(axis=0)))
    if is_deterministic:
        if drawn.shape[1] == _BINARY:
            low, high = _profile(_deterministic_likelihood(shares), len(shares), low_level=0.95)
        else:
            low, high = _resampled_entropy(shares, n_draws=n_draws, seed=seed)
        return _ordered(min(low, entropy), entropy, max(high, entropy))
    labeled = drawn[drawn.sum(axis=1) > 0]
    prior = dirichlet_prior(labeled)
    repeated = labeled[labeled.sum(axis=1) >= _MIN_SAMPLES]
    bits = entropy - float(posterior_entropies_bits(repeated, prior).mean())
    if drawn.shape[1] == _BINARY:
        low, high = _profile(_binomial_likelihood(labeled), len(labeled), low_level=0.975)
    else:
        low, high = _resampled_bounds(labeled, prior, n_draws=n_draws, seed=seed)
    return _ordered(low, bits, high)


def dirichlet_prior(counts: IntArray) -> FloatArray:
    """Return the parameters [c] of the Dirichlet prior with the labels' mean and the likeliest concentration.

    Args:
        counts: How often each outcome was drawn for each prompt, each with a label, [m, c].

    >>> (dirichlet_prior(np.array([[5, 0], [0, 5]])) < 1e-3).all()
    np.True_
    """
    from scipy.optimize import minimize_scalar

    mean = empirical_distributions(counts).mean(axis=0)
    seen = mean > 0
    totals = counts.sum(axis=1)
    times = np.arange(int(totals.max()))  # [t]
    # prompts in which an outcome was drawn more than t times [seen, t], and prompts with more than t samples [t]
    more = np.stack([_survival(column, len(times)) for column in counts[:, seen].T])
    longer = _survival(totals, len(times))

    def loss(log_concentration: float) -> float:
        concentration = np.exp(log_concentration)
        rising = np.log(concentration * mean[seen][:, None] + times)
        return float(longer @ np.log(concentration + times) - (more * rising).sum())

    grid = np.linspace(*_LOG_CONCENTRATIONS, 81)
    best = int(np.argmin([loss(value) for value in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    prior: FloatArray = mean * np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)
    return prior


def posterior_entropies_bits(counts: IntArray, prior: FloatArray) -> FloatArray:
    """Return each prompt's expected entropy under its posterior Dirichlet distribution, [m].

    Args:
        counts: How often each outcome was drawn for each prompt, [m, c].
        prior: Parameters of the Dirichlet prior, [c].

    >>> posterior_entropies_bits(np.array([[0, 0]]), np.array([1.0, 1.0])).round(4).tolist()
    [0.7213]
    """
    from scipy.special import psi

    parameters = counts + prior  # [m, c]
    total = parameters.sum(axis=1, keepdims=True)
    nats = (parameters / total * (psi(total + 1) - psi(parameters + 1))).sum(axis=1)
    bits: FloatArray = nats / np.log(2)
    return bits


def left_out_cross_entropies_bits(counts: IntArray, prior: FloatArray) -> FloatArray:
    """Return each prompt's mean of -log2 of a sample's probability predicted from its siblings and the prior, [m].

    Formula: mean over samples s of -log2 ((c_j - 1 + a_j) / (k - 1 + A)), j the outcome of s. In expectation a
    cross-entropy, hence at least H(F given X).

    Args:
        counts: How often each outcome was drawn for each prompt, at least two in all, [m, c].
        prior: Parameters of the Dirichlet prior, above 0 for every outcome drawn, [c].
    """
    totals = counts.sum(axis=1, keepdims=True)
    siblings = np.where(counts > 0, counts - 1 + prior, 1.0)
    logs = np.log2(siblings) - np.log2(totals - 1 + prior.sum())
    bits: FloatArray = -(counts / totals * logs).sum(axis=1)
    return bits


def collision_probabilities(counts: IntArray) -> FloatArray:
    """Return the share of pairs of a prompt's samples that agree, [m]: an unbiased estimate of sum over j of p_j^2.

    >>> collision_probabilities(np.array([[2, 1, 0]])).round(3).tolist()
    [0.333]
    """
    totals = counts.sum(axis=1)
    shares: FloatArray = (counts * (counts - 1)).sum(axis=1) / (totals * (totals - 1))
    return shares


def least_entropy_bits(collisions: FloatArray) -> FloatArray:
    """Return the least mean entropy that a mean collision probability allows: the polygon through (1/j, log2 j).

    Source: Harremoes and Topsoe, *Inequalities between entropy and index of coincidence* (2001). The polygon is convex,
    so the bound holds for means over prompts too.

    >>> least_entropy_bits(np.array([1.0, 0.75, 0.5, 0.25])).tolist()
    [0.0, 0.5, 1.0, 2.0]
    """
    shares = np.clip(collisions, 1e-6, 1.0)
    corner = np.floor(1 / shares + 1e-12)
    near, far = 1 / corner, 1 / (corner + 1)
    part = (near - shares) / (near - far)
    bits: FloatArray = (1 - part) * np.log2(corner) + part * np.log2(corner + 1)
    return np.maximum(bits, 0.0)


def _survival(values: IntArray, n_times: int) -> FloatArray:
    """Return how many values exceed 0, 1, ..., n_times - 1."""
    at_most = np.cumsum(np.bincount(values, minlength=n_times))[:n_times]
    return (len(values) - at_most).astype(np.float64)


def _profile(likelihood: MixtureLikelihood, n_prompts: int, *, low_level: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    # F(1, n - 1) instead of chi-square with one degree of freedom: a t interval where the statistic is a mean.
    low_slack, high_slack = (float(stdtrit(n_prompts - 1, (1 + level) / 2)) ** 2 / 2 for level in (low_level, 0.95))
    return profile_interval(likelihood, low_slack=low_slack, high_slack=high_slack)


def _binomial_likelihood(counts: IntArray) -> MixtureLikelihood:
    """Return the likelihood of mixtures over a grid of probabilities, finer toward 0 and 1: even in arcsin sqrt p."""
    patterns, times = np.unique(counts, axis=0, return_counts=True)  # [r, 2]
    # A binomial share has deviation 1 / (2 sqrt k) in arcsin sqrt p: the grid stays three times finer.
    half = max(_MIN_HALF_GRID, int(np.ceil(1.5 * np.pi * np.sqrt(patterns.sum(axis=1).max()))))
    even = np.sin(np.linspace(0, np.pi / 2, 2 * half + 1)) ** 2
    # The likeliest single probability is a point too: labels that ignore the prompt then have their exact likelihood.
    yes = np.sort(np.append(even, counts[:, 1].sum() / counts.sum()))
    outcomes = np.column_stack([1 - yes, yes])  # [g, 2]
    logs = np.log(outcomes, out=np.full_like(outcomes, -1e9), where=outcomes > 0)
    exponents = patterns @ logs.T  # [r, g]
    return MixtureLikelihood(
        pattern_likelihoods=np.exp(exponents - exponents.max(axis=1, keepdims=True)),
        pattern_weights=times.astype(np.float64),
        outcome_probabilities=outcomes,
    )


def _deterministic_likelihood(shares: FloatArray) -> MixtureLikelihood:
    """Return the likelihood of mixtures of certain outcomes, one grid point each."""
    weights = shares.sum(axis=0)
    certain = np.eye(shares.shape[1])
    return MixtureLikelihood(
        pattern_likelihoods=certain[weights > 0], pattern_weights=weights[weights > 0], outcome_probabilities=certain
    )


def _resampled_entropy(shares: FloatArray, *, n_draws: int, seed: int) -> tuple[float, float]:
    """Return the ends of the interval of H(F) from a bootstrap over prompts."""
    draws = entropy_bits(bootstrap_means(shares, n_draws=n_draws, seed=seed)) + 2 * entropy_bias_bits(shares)
    low, high = np.quantile(draws, percentile_levels(len(shares) - 1))
    return float(low), float(high)


def _resampled_bounds(counts: IntArray, prior: FloatArray, *, n_draws: int, seed: int) -> tuple[float, float]:
    """Return the ends of the interval for c > 2 from a bootstrap over prompts, before clipping."""
    shares = empirical_distributions(counts)
    is_repeated = counts.sum(axis=1) >= _MIN_SAMPLES
    statistics = np.zeros((len(counts), 4))  # [m, 4], zero where a row of one label says nothing
    repeated = counts[is_repeated]
    statistics[is_repeated] = np.column_stack(
        [
            np.ones(len(repeated)),
            left_out_cross_entropies_bits(repeated, prior),
            entropy_bits(shares[is_repeated]),
            collision_probabilities(repeated),
        ]
    )
    draws = bootstrap_means(np.column_stack([statistics, shares]), n_draws=n_draws, seed=seed)  # [b, 4 + c]
    draws = draws[draws[:, 0] > 0]
    left_out, plug_in, collisions = (draws[:, 1:4] / draws[:, :1]).T
    entropies = entropy_bits(draws[:, 4:])
    means = statistics[:, 1:].sum(axis=0) / len(repeated)
    is_plug_in_tighter = means[1] > float(least_entropy_bits(means[2]))
    least = plug_in if is_plug_in_tighter else least_entropy_bits(collisions)
    low_level, high_level = percentile_levels(len(counts) - 1)
    low = float(np.quantile(entropies - left_out, low_level))
    high = float(np.quantile(entropies - least, high_level)) + 2 * entropy_bias_bits(shares)
    return low, high


def _ordered(low: float, bits: float, high: float) -> Ceiling:
    """Return the ceiling with its ends at least 0 and the point between them."""
    low, high = max(low, 0.0), max(high, 0.0)
    return Ceiling(low_bits=min(low, high), bits=min(max(bits, low), max(low, high)), high_bits=max(low, high))
