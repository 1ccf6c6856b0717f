"""Bits of every source on every target by matrix products, with what their intervals need.

For one behavior, with l_A(x, f) = log2 q_A(f given x) and s_B(x, f) the share of outcome f among B's samples for x:

    CE[A, B] = -mean over x of sum over f of l_A(x, f) s_B(x, f)          bits[A, B] = H(F_B) - CE[A, B]

so the sums over prompts are one matrix product [s, m c] x [m c, t]. They are kept by group of prompts (prompts were
dealt into groups at random, domain by domain): the groups' deviations from the mean,

    U_g[A, B] = f / m (sum over x in g of (gain(x) - bits[A, B])),   gain(x) = sum over f of s_B (l_A - log2 p_B),

are what a delete-a-group jackknife makes of the statistic (Kott 2001), to first order: gain's mean is bits, and
the derivative of the plug-in entropy at p_B is -log2 p_B. Any smooth function of bits has the variance of the same
function of U, summed over groups, at G - 1 degrees of freedom: ratios, differences and means over cells alike, with
their covariances. f^2 = 1 / (1 - sum over g of (m_g / m)^2) makes the variance unbiased; it is m / (m - 1) where each
prompt is a group. Deviation from Kott: groups are of fixed prompts in each domain, and entropy is linearized.

Shapes: s = sources, t = targets, m = prompts (each with a label of each target), c = outcomes, d = domains, g = groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from metamodel.information import entropy_bits
from metamodel.types import FloatArray, IntArray

# So many bytes of log-probabilities are in memory at once.
PIECE_BYTES: Final = 64 * 2**20

# Gives log2 probabilities of prompts start to stop, [s, stop - start, c].
ReadLogs = Callable[[int, int], FloatArray]


@dataclass(frozen=True, kw_only=True)
class DomainSums:
    """Sums over one domain's prompts.

    Attributes:
        domain: Number of the domain.
        n_prompts: Prompts m_d.
        group_sizes: Prompts of each group, [g].
        losses: Sum of -log2 q of each group's prompts, [g, s, t].
        shares: Sum of each group's label shares, [g, c, t].
        squares: Sum of squared label shares, [c, t].
    """

    domain: int
    n_prompts: int
    group_sizes: FloatArray
    losses: FloatArray
    shares: FloatArray
    squares: FloatArray

    @property
    def rates(self) -> FloatArray:
        """Mean label distribution p_B, [c, t]."""
        mean: FloatArray = self.shares.sum(axis=0) / self.n_prompts
        return mean


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Bits, and their groups' deviations.

    Attributes:
        bits: H(F) less the cross-entropy, [s, t].
        deviations: U, [g, s, t]; NaN where a domain has a single prompt, whose spread is unknown.
        entropy: H(F), [t].
        bias: By how many bits the plug-in entropy is expected to fall short, [t].
        curvature: At least the second-order part of the entropy's variance, 2 bias^2, [t]: all of it where the labels'
            rates make the first-order part vanish (a fair coin), and the same for all sources of a target.
        degrees: Degrees of freedom of the intervals.
        n_prompts: Prompts.
    """

    bits: FloatArray
    deviations: FloatArray
    entropy: FloatArray
    bias: FloatArray
    curvature: FloatArray
    degrees: int
    n_prompts: int


def domain_sums(
    read: ReadLogs,
    shares: FloatArray,
    domains: IntArray,
    groups: IntArray,
    *,
    n_sources: int,
    n_groups: int,
    piece_bytes: int = PIECE_BYTES,
) -> Iterator[DomainSums]:
    """Yield the sums of each domain in turn; no more than a piece of the log-probabilities is held.

    Args:
        read: Gives log-probabilities.
        shares: Label shares, [m, c, t].
        domains: Number of each prompt's domain, sorted, [m].
        groups: Group of each prompt, sorted within each domain, [m].
        n_sources: Sources s.
        n_groups: Groups g.
        piece_bytes: Most bytes of log-probabilities at once.
    """
    _, c, t = shares.shape
    most = max(1, piece_bytes // max(n_sources * c * 8, 1))
    for domain in np.unique(domains):
        start, stop = np.searchsorted(domains, [domain, domain + 1])
        losses = np.zeros((n_groups, n_sources, t))
        for low in range(start, stop, most):
            high = min(low + most, stop)
            logs = read(low, high)
            mine = groups[low:high]
            cuts = [0, *(np.flatnonzero(np.diff(mine)) + 1), high - low]
            for a, b in pairwise(cuts):
                flat = np.ascontiguousarray(logs[:, a:b]).reshape(n_sources, -1)  # [s, (b - a) c]
                losses[mine[a]] -= flat @ shares[low + a : low + b].reshape(-1, t)
        inside = shares[start:stop]
        sums = np.zeros((n_groups, c, t))
        first = np.flatnonzero(np.diff(groups[start:stop], prepend=-1))
        sums[groups[start:stop][first]] = np.add.reduceat(inside, first, axis=0)
        yield DomainSums(
            domain=int(domain),
            n_prompts=int(stop - start),
            group_sizes=np.bincount(groups[start:stop], minlength=n_groups).astype(np.float64),
            losses=losses,
            shares=sums,
            squares=np.square(inside).sum(axis=0),
        )


def moments_of(sums: DomainSums) -> Moments:
    """Return the bits on one domain's prompts."""
    return _moments(sums, sums.losses, sums.shares, sums.squares)


class MeanOverDomains:
    """Averages domains, each of which counts once, whatever its number of prompts."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sum: Moments | None = None
        self._n = 0
        self._free = 0

    def add(self, sums: DomainSums) -> Moments:
        """Add one domain and return its own bits."""
        one = moments_of(sums)
        self._n += 1
        self._free += one.n_prompts - 1
        old = self._sum
        self._sum = (
            one
            if old is None
            else Moments(
                bits=old.bits + one.bits,
                deviations=old.deviations + one.deviations,
                entropy=old.entropy + one.entropy,
                bias=old.bias + one.bias,
                curvature=old.curvature + one.curvature,
                degrees=one.degrees,
                n_prompts=old.n_prompts + one.n_prompts,
            )
        )
        return one

    def moments(self) -> Moments:
        """Return the mean; at least one domain was added."""
        if self._sum is None:
            raise ValueError("no domain was added")
        total, n = self._sum, self._n
        return Moments(
            bits=total.bits / n,
            deviations=total.deviations / n,
            entropy=total.entropy / n,
            bias=total.bias / n,
            curvature=total.curvature / n**2,
            degrees=max(min(len(total.deviations) - 1, self._free), 1),
            n_prompts=total.n_prompts,
        )


class Pool:
    """Adds up domains whose prompts count as one sample: the in-distribution split."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._total: DomainSums | None = None

    def add(self, sums: DomainSums) -> Moments:
        """Add one domain and return its own bits."""
        one = moments_of(sums)
        if self._total is None:
            self._total = sums
            return one
        old = self._total
        self._total = DomainSums(
            domain=-1,
            n_prompts=old.n_prompts + sums.n_prompts,
            group_sizes=old.group_sizes + sums.group_sizes,
            losses=old.losses + sums.losses,
            shares=old.shares + sums.shares,
            squares=old.squares + sums.squares,
        )
        return one

    def moments(self) -> Moments:
        """Return the bits on all prompts together; at least one domain was added."""
        if self._total is None:
            raise ValueError("no domain was added")
        return moments_of(self._total)


def _moments(sums: DomainSums, losses: FloatArray, shares: FloatArray, squares: FloatArray) -> Moments:
    n, sizes = sums.n_prompts, sums.group_sizes
    rates = sums.rates  # [c, t]
    logs = np.log2(rates, out=np.zeros_like(rates), where=rates > 0)
    entropy = entropy_bits(rates, axis=0)
    bits = entropy - losses.sum(axis=0) / n
    surprise = -(shares * logs).sum(axis=1)  # [g, t]
    spread = 1 - np.square(sizes / n).sum()
    scale = 1 / (n * np.sqrt(spread)) if spread > 1e-12 else np.nan  # noqa: PLR2004 - all prompts in one group
    deviations = scale * (surprise[:, None] - losses - sizes[:, None, None] * bits)
    variance = np.maximum(squares / n - np.square(rates), 0) / n  # of the mean of each share, [c, t]
    bias = np.divide(variance, rates, out=np.zeros_like(rates), where=rates > 0).sum(axis=0) / (2 * np.log(2))
    n_used = int((sizes > 0).sum())
    return Moments(
        bits=bits,
        deviations=deviations,
        entropy=entropy,
        bias=bias,
        curvature=2 * np.square(bias),
        degrees=max(n_used - 1, 1),
        n_prompts=n,
    )
