"""Information between outputs and prompts, and between outputs and functions of prompts, from a cross-scoring matrix.

The matrix holds log p(y_m given x_j) for every output y_m under every prompt x_j of a sample of n prompts. With X
uniform over the sample, p(y) is the mean over its prompts, p(y given b) the mean over the prompts that B maps to b, and

    I(Y; B(X)) = E over y of the divergence KL(p(b given y) || p(b)),

where p(b given y) follows by Bayes' rule from the matrix. I(Y; X) is the case in which every prompt is a value of its
own. For the sampled prompts this is exact: the mean over drawn outputs only stands for the mean over all outputs. Every
output's term lies in [0, log2 n], and that of B never exceeds that of X (data processing, output by output).

As a statement about the population that the prompts were drawn from, the sample's I(Y; X) is a lower bound in
expectation, at most log2 n; with the prompt's own likelihood left out of p(y) it is an upper bound. Source: Poole,
Ozair, van den Oord, Alemi, Tucker, *On Variational Bounds of Mutual Information* (2019), section 2 (InfoNCE with the
known conditional distribution, and its leave-one-out form).

Our deviation: the term of an output is the divergence (its expectation over the prompt, given the output) and not
log2 p(y_i given x_i) - log2 p(y_i) of the prompt that drew it: the same expectation, with less variance (Rao and
Blackwell).

Shapes: n = prompts, m = outputs, c = bins (values of B), s = partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.types import FloatArray, IntArray

_LN2 = float(np.log(2))


class Influenced(NamedTuple):
    """A statistic and what each prompt contributes to its sampling error.

    Attributes:
        bits: The statistic.
        influence: Derivative by the weight of each prompt, as a source of outputs and as a part of p(y), centered, [n].
    """

    bits: float
    influence: FloatArray


@dataclass(frozen=True, kw_only=True)
class CrossScores:
    """How likely every output is under every prompt.

    Attributes:
        scores: Natural log-probabilities, [m, n]; -inf where an output is impossible.
        sources: Which prompt drew each output, [m].
        weights: Weight of each output, [m]; they sum to one, and those of each prompt's outputs to 1 / n.
    """

    scores: FloatArray
    sources: IntArray
    weights: FloatArray

    @classmethod
    def of_drawn(cls, scores: FloatArray, sources: IntArray) -> CrossScores:
        """Weigh drawn outputs so that every prompt counts equally, however many outputs it has.

        Raises:
            ValueError: A prompt has no output, or a score is no number.
        """
        n_prompts = scores.shape[1]
        times = np.bincount(sources, minlength=n_prompts)
        if len(times) != n_prompts or not times.all():
            raise ValueError("every prompt must have an output")
        return cls(scores=scores, sources=sources, weights=1 / (n_prompts * times[sources]))

    def __post_init__(self) -> None:
        """Refuse scores that are no log-probabilities."""
        if np.isnan(self.scores).any() or not np.isfinite(self.scores.max(axis=1)).all():
            raise ValueError("every output must have a log-probability, and be possible under some prompt")

    @property
    def n_prompts(self) -> int:
        """Prompts n."""
        return int(self.scores.shape[1])

    @cached_property
    def ratios(self) -> FloatArray:
        """p(y given x) / p(y), [m, n]; the mean of each row is one."""
        likelihoods = np.exp(self.scores - self.scores.max(axis=1, keepdims=True))
        ratios: FloatArray = likelihoods / likelihoods.mean(axis=1, keepdims=True)
        return ratios

    @property
    def singletons(self) -> IntArray:
        """The partition in which every prompt stands alone: B(X) = X."""
        return np.arange(self.n_prompts, dtype=np.int64)

    def by_source(self, values: FloatArray) -> FloatArray:
        """Return n times the weighted sum of values over each prompt's outputs, [n]: their mean for drawn ones."""
        sums = np.zeros(self.n_prompts)
        np.add.at(sums, self.sources, self.weights * values)
        return self.n_prompts * sums


def partition_information(cross: CrossScores, bins: IntArray) -> Influenced:
    """Return I(Y; B(X)) for the sampled prompts.

    Formula: sum over outputs of w_m sum over bins of pi_b rho_mb log2 rho_mb, with pi_b the share of prompts in bin b
    and rho_mb = p(y_m given b) / p(y_m).

    Args:
        cross: The matrix.
        bins: Value of B for each prompt, whole numbers from 0, [n].

    >>> likelihoods = np.array([[0.5, 0.25], [0.5, 0.75]])  # two outputs under two prompts
    >>> cross = CrossScores(scores=np.log(likelihoods).repeat(2, axis=0), sources=np.array([0, 1, 0, 1]),
    ...                     weights=likelihoods.ravel() / 2)
    >>> round(partition_information(cross, np.array([0, 1])).bits, 6)  # h(3/8) - (h(1/2) + h(1/4)) / 2
    0.048795
    """
    bits, influence = partitions_information(cross, bins[None])
    return Influenced(float(bits[0]), influence[0])


def partitions_information(cross: CrossScores, partitions: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return I(Y; B(X)) of several partitions, [s], and the influence of every prompt on each, [s, n].

    Args:
        cross: The matrix.
        partitions: Bins of each partition, [s, n].
    """
    n_partitions, n_prompts = partitions.shape
    n_bins = int(partitions.max()) + 1
    columns = partitions + n_bins * np.arange(n_partitions)[:, None]  # [s, n]
    members = np.zeros((n_prompts, n_partitions * n_bins))
    members[np.arange(n_prompts), columns] = 1.0
    sizes = members.sum(axis=0)  # [s c]
    rho = cross.ratios @ (members / np.maximum(sizes, 1))  # [m, s c]
    logs = np.log2(rho, out=np.zeros_like(rho), where=rho > 0)
    terms = (rho * logs * (sizes / n_prompts)).reshape(len(rho), n_partitions, n_bins).sum(axis=2)  # [m, s]
    # The derivative of an output's term by the weight of prompt i: (p_i / q) (log2 rho_b - term) - rho_b / ln 2.
    excess = (logs.reshape(len(rho), n_partitions, n_bins) - terms[:, :, None]).reshape(rho.shape)
    moved = cross.ratios.T @ (cross.weights[:, None] * excess)  # [n, s c]
    spread = cross.weights @ rho / _LN2  # [s c]
    influence = moved[np.arange(n_prompts), columns] - spread[columns]  # [s, n]
    influence += np.stack([cross.by_source(terms[:, place]) for place in range(n_partitions)])
    return cross.weights @ terms, influence - influence.mean(axis=1, keepdims=True)


def conditional_entropy(cross: CrossScores) -> Influenced:
    """Return H(Y given X): the mean of -log2 p(y given x) over drawn outputs and their own prompts."""
    own = -cross.scores[np.arange(len(cross.sources)), cross.sources] / _LN2
    bits = float(cross.weights @ own)
    return Influenced(bits, cross.by_source(own) - bits)


def population_high(cross: CrossScores) -> Influenced:
    """Return an upper bound on the population's I(Y; X): the prompt that drew an output is left out of p(y).

    Formula: mean of log2 p(y_i given x_i) - log2 of the mean over j other than i of p(y_i given x_j). Source: Poole et
    al. (2019), section 2: the leave-one-out form. Without any limit, and the wider the more an output tells of its
    prompt; infinite where no other prompt can give some output.

    Raises:
        ValueError: There is a single prompt.
    """
    own = cross.scores[np.arange(len(cross.sources)), cross.sources]
    return _mixture_difference(cross, own, np.zeros_like(cross.ratios), _others(cross))


def population_bounds(cross: CrossScores, bins: IntArray) -> tuple[Influenced, Influenced]:
    """Return a lower and an upper bound, in expectation, on the population's I(Y; B(X)).

    For the lower one, the prompt that drew an output is left out of p(y given b) and kept in p(y); for the upper one
    the other way round (both steps by Jensen's inequality, as in Poole et al. 2019). A prompt alone in its bin has no
    p(y given b) without itself; the lower bound then takes that of all others, which is one of a constant B and valid
    as well.

    Args:
        cross: The matrix, of at least two prompts.
        bins: Value of B for each prompt, [n].
    """
    same = bins[cross.sources][:, None] == bins[None]  # [m, n]
    others, everyone = _others(cross), np.ones_like(same)
    same_others = same & others
    same_others = np.where(same_others.any(axis=1, keepdims=True), same_others, others)
    low = _mixture_difference(cross, *_log_mixture(cross, same_others), everyone)
    high = _mixture_difference(cross, *_log_mixture(cross, same), others)
    return low, high


def _others(cross: CrossScores) -> NDArray[np.bool_]:
    others = np.ones_like(cross.scores, dtype=np.bool_)
    others[np.arange(len(cross.sources)), cross.sources] = False
    if not others.any(axis=1).all():
        raise ValueError("a single prompt has no others: there must be at least two")
    return others


def _log_mixture(cross: CrossScores, mask: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return the natural log of the mean likelihood over the masked prompts, [m], and its derivative by weight, [m, n].

    The derivative is that of log q for q = sum of w_j p_j / sum of w_j over masked prompts, at w = 1 / n.
    """
    scores = np.where(mask, cross.scores, -np.inf)
    top = scores.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    n_masked = mask.sum(axis=1, keepdims=True)
    means = np.exp(scores - top).sum(axis=1, keepdims=True) / n_masked  # [m, 1]
    with np.errstate(divide="ignore"):
        logs = top + np.log(means)
    ratios = np.exp(scores - np.where(np.isfinite(logs), logs, 0.0))
    derivative: FloatArray = (ratios - mask) * (cross.n_prompts / n_masked)
    return logs[:, 0], derivative


def _mixture_difference(
    cross: CrossScores, logs: FloatArray, derivative: FloatArray, reference: NDArray[np.bool_]
) -> Influenced:
    """Return the mean over outputs of `logs` less the log mean likelihood over the reference prompts, in bits."""
    below, below_derivative = _log_mixture(cross, reference)
    values = (logs - below) / _LN2
    bits = float(cross.weights @ values)
    if not np.isfinite(bits):
        return Influenced(bits, np.zeros(cross.n_prompts))
    influence = cross.by_source(values) + cross.weights @ (derivative - below_derivative) / _LN2
    return Influenced(bits, influence - influence.mean())
