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
ends are those of the empirical likelihood of H(F) less these (see `metamodel.empirical_likelihood`), with the same
quantile of F(1, n - 1). At the upper end mass may lie on outcomes never seen, the bias of the plug-in H(F) is added,
and the jackknife's own end is taken if it is farther (Zahl, 1977): with many outcomes the bias itself is uncertain.
This is wider than the binary interval, most of all for k below 5.

Rare outcomes: where few prompts show anything but the commonest outcome, the ratio's tail is that of a Poisson count.
The upper ends allow for it (`rare_slack`: our own step, from Garwood's exact limits).

With greedy decoding the label is a function of x: the ceiling is H(F), with the likelihood-ratio interval of a
proportion for binary labels, and for c > 2 the same as above without a loss. All intervals are clipped at 0, which
I(F; X) never passes.

Shapes in this file: n = prompts, m = prompts with at least one label, k = samples a prompt (it may differ from
prompt to prompt), c = outcomes, g = grid points, r = distinct label patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.ceiling_statistics import (
    collision_probabilities,
    dirichlet_prior,
    least_entropy_bits,
    least_entropy_tangent,
    left_out_cross_entropies_bits,
    posterior_entropies_bits,
)
from metamodel.empirical_likelihood import (
    PromptKinds,
    Tangent,
    jackknifed,
    least_information,
    most_information,
    rare_slack,
    with_unseen,
)
from metamodel.information import empirical_distributions, entropy_bits
from metamodel.mixture_bounds import MixtureLikelihood, profile_interval
from metamodel.types import FloatArray, IntArray

_MIN_SAMPLES: Final = 2
_MIN_PROMPTS: Final = 2
_BINARY: Final = 2
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


def noise_ceiling(counts: IntArray, *, is_deterministic: bool = False) -> Ceiling | None:
    """Return the noise ceiling I(F; X) with a 95 % interval for the population that the prompts were drawn from.

    Methods and sources: see the module.

    Rows of one label inform H(F) alone, rows without labels nothing. Every prompt counts equally in H(F).

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        is_deterministic: Whether outputs are functions of the prompt (greedy decoding).

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
    is_binary = drawn.shape[1] == _BINARY
    slacks = _slacks(shares, low_level=0.975 if is_binary and not is_deterministic else 0.95)
    if is_deterministic:
        low, high = (_certain_binary_ends if is_binary else _certain_ends)(shares, slacks)
        return _ordered(min(low, entropy), entropy, max(high, entropy))
    labeled = drawn[drawn.sum(axis=1) > 0]
    prior = dirichlet_prior(labeled)
    repeated = labeled[labeled.sum(axis=1) >= _MIN_SAMPLES]
    bits = entropy - float(posterior_entropies_bits(repeated, prior).mean())
    low, high = _binary_ends(labeled, slacks) if is_binary else _bounded_ends(labeled, prior, slacks)
    return _ordered(low, bits, high)


class _Slacks(NamedTuple):
    """How many nats below its maximum the log-likelihood may lie at either end."""

    low: float
    high: float


def _slacks(shares: FloatArray, *, low_level: float) -> _Slacks:
    from scipy.special import stdtrit

    # F(1, n - 1) instead of chi-square with one degree of freedom: a t interval where the statistic is a mean.
    low, high = (float(stdtrit(len(shares) - 1, (1 + level) / 2)) ** 2 / 2 for level in (low_level, 0.95))
    commonest = int(shares.mean(axis=0).argmax())
    return _Slacks(low=low, high=max(high, rare_slack(int((shares[:, commonest] < 1).sum()))))


def _binary_ends(counts: IntArray, slacks: _Slacks) -> tuple[float, float]:
    return profile_interval(_binomial_likelihood(counts), low_slack=slacks.low, high_slack=slacks.high)


def _certain_binary_ends(shares: FloatArray, slacks: _Slacks) -> tuple[float, float]:
    return profile_interval(_deterministic_likelihood(shares), low_slack=slacks.low, high_slack=slacks.high)


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


def _certain_ends(shares: FloatArray, slacks: _Slacks) -> tuple[float, float]:
    """Return the ends of the interval of H(F)."""
    seen = _kinds(shares)
    low = least_information(seen, np.zeros(len(seen.weights)), slack=slacks.low)
    prompts = with_unseen(seen.shares, seen.weights)
    no_loss = np.zeros(len(prompts.weights))
    return low, _upper_end(seen, prompts, lambda _: no_loss, slack=slacks.high)


def _bounded_ends(counts: IntArray, prior: FloatArray, slacks: _Slacks) -> tuple[float, float]:
    """Return the ends of the interval for c > 2, before clipping."""
    patterns, times = np.unique(counts, axis=0, return_counts=True)  # [r, c]
    seen = PromptKinds(shares=patterns / patterns.sum(axis=1, keepdims=True), weights=times.astype(np.float64))
    is_repeated = patterns.sum(axis=1) >= _MIN_SAMPLES
    repeated, weights = patterns[is_repeated], seen.weights[is_repeated] / seen.weights[is_repeated].sum()
    left_out = left_out_cross_entropies_bits(repeated, prior)
    low = least_information(seen, _imputed(left_out, weights, is_repeated), slack=slacks.low)
    prompts = with_unseen(seen.shares, seen.weights)
    n_unseen = len(prompts.weights) - len(seen.weights)
    plug_in = np.append(_imputed(entropy_bits(seen.shares[is_repeated]), weights, is_repeated), np.zeros(n_unseen))
    pairs = np.append(_imputed(collision_probabilities(repeated), weights, is_repeated), np.ones(n_unseen))
    masses = seen.weights / seen.weights.sum()
    is_plug_in_tighter = masses @ plug_in[:-n_unseen] > float(least_entropy_bits(masses @ pairs[:-n_unseen]))
    tangent: Tangent = (
        (lambda _: plug_in) if is_plug_in_tighter else (lambda masses: least_entropy_tangent(pairs, masses))
    )
    return low, _upper_end(seen, prompts, tangent, slack=slacks.high)


def _upper_end(seen: PromptKinds, prompts: PromptKinds, tangent: Tangent, *, slack: float) -> float:
    """Return the farther one of the ends of the empirical likelihood and of the jackknife, bias removed from both.

    Of rare outcomes the likelihood knows more. Of many outcomes that were each seen once or twice the jackknife does:
    the correction of the bias varies too.

    Args:
        seen: The kinds of prompts seen.
        prompts: The same, and after them the unseen ones.
        tangent: The loss.
        slack: How many nats below its maximum the log-likelihood may lie.
    """
    masses = prompts.weights / prompts.weights.sum()
    losses = tangent(masses)
    left_out = jackknifed(seen, losses[: len(seen.weights)])
    plug_in = float(entropy_bits(seen.mean) - masses @ losses)
    farther = plug_in + np.sqrt(2 * slack) * left_out.standard_error_bits
    return max(most_information(prompts, tangent, slack=slack), float(farther)) + left_out.bias_bits


def _kinds(shares: FloatArray) -> PromptKinds:
    rows, times = np.unique(shares, axis=0, return_counts=True)
    return PromptKinds(shares=rows, weights=times.astype(np.float64))


def _imputed(values: FloatArray, weights: FloatArray, is_known: NDArray[np.bool_]) -> FloatArray:
    """Return the values of all patterns [r]: the mean where a single label tells nothing."""
    filled = np.full(len(is_known), float(weights @ values))
    filled[is_known] = values
    return filled


def _ordered(low: float, bits: float, high: float) -> Ceiling:
    """Return the ceiling with its ends at least 0 and the point between them."""
    low, high = max(low, 0.0), max(high, 0.0)
    return Ceiling(low_bits=min(low, high), bits=min(max(bits, low), max(low, high)), high_bits=max(low, high))
