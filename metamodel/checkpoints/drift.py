"""One metamodel of an earlier checkpoint on the labels of a later one: what it loses, and whether behavior moved.

Pure functions over numpy arrays.

Shapes: n = prompts, c = outcomes, g = strata (domains).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from metamodel.bootstrap import CONFIDENCE
from metamodel.information import PROBABILITY_FLOOR
from metamodel.types import FloatArray, IntArray

_LEAST_PROMPTS: Final = 2


class MeanTest(NamedTuple):
    """A mean over strata against zero.

    Attributes:
        value: Mean over strata of the mean over prompts.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        p: Chance of a mean at least so far above zero if it were zero: one-sided.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One checkpoint on the shared prompts.

    Attributes:
        counts: How often each outcome was drawn for each prompt, [n, c]; zeros where a prompt has no label.
        probabilities: What the metamodel trained on this checkpoint predicted, which saw none of these prompts, [n, c].
        base_rates: What the base rate trained on this checkpoint predicted, [n, c]; None where the run has none.
    """

    counts: IntArray
    probabilities: FloatArray
    base_rates: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class PairTest:
    """A metamodel trained on a checkpoint s, judged on a checkpoint t.

    Attributes:
        n_prompts: Prompts with labels of both.
        gain: Bits gained over the best constant of each stratum of t's labels: H(F) - CE.
        over_base_rate: Bits gained over the base rate trained on t; None where the run has none.
        loss: Bits lost against the metamodel trained on t: CE of s's less CE of t's.
        drift: Bits by which each of the two metamodels does better on its own checkpoint than on the other's, summed.
    """

    n_prompts: int
    gain: MeanTest
    over_base_rate: MeanTest | None
    loss: MeanTest
    drift: MeanTest

    @property
    def p_wrong(self) -> float:
        """P of "it loses bits, and because behavior moved": both must hold, so the larger of the two p counts.

        A union of two null hypotheses is rejected at a level where each of them is (Berger, *Multiparameter hypothesis
        testing and acceptance sampling*, 1982).
        """
        return max(self.loss.p, self.drift.p)


def pair_test(source: Judged, target: Judged, strata: Sequence[IntArray]) -> PairTest | None:
    """Test a metamodel of one checkpoint on the labels of another.

    For a prompt with shares p_s and p_t of the outcomes under the two checkpoints and predictions q_s and q_t:

        loss  = sum over outcomes of p_t (log2 q_t - log2 q_s)
        drift = sum over outcomes of (p_t - p_s) (log2 q_t - log2 q_s)
        gain  = sum over outcomes of p_t (log2 q_s - log2 f), f the mean of p_t over the stratum

    The loss alone is no sign that behavior moved: of two metamodels fitted on equal behavior one is better by luck of
    its labels, and with enough prompts any difference is clear. In the drift, which is the loss less the same figure on
    s's own labels, that luck cancels: it has mean zero whatever the two metamodels are, if the prompts' distributions
    of outcomes are the same under both checkpoints. It is our own; summed over both directions it is Jeffreys'
    divergence of the predictions where these are right. The gain's mean is the plug-in H(F) - CE exactly, and its
    spread that of the delta method.

    Args:
        source: Checkpoint s.
        target: Checkpoint t.
        strata: Numbers of the prompts of each domain, or all of them in one.

    Returns:
        The tests; None if a stratum has fewer than two prompts with labels of both.
    """
    is_labeled = (source.counts.sum(axis=1) > 0) & (target.counts.sum(axis=1) > 0)
    rows = [mine[is_labeled[mine]] for mine in strata]
    rows = [mine for mine in rows if len(mine)]
    if not rows or min(map(len, rows)) < _LEAST_PROMPTS:
        return None
    own, other = _shares(target.counts), _shares(source.counts)
    log_source, log_target = _log2(source.probabilities), _log2(target.probabilities)
    constant = np.empty_like(own)
    for mine in rows:
        constant[mine] = _log2(own[mine].mean(axis=0))
    ahead = log_target - log_source
    base = None if target.base_rates is None else own * (log_source - _log2(target.base_rates))
    return PairTest(
        n_prompts=sum(map(len, rows)),
        gain=mean_test([(own[mine] * (log_source[mine] - constant[mine])).sum(axis=1) for mine in rows]),
        over_base_rate=None if base is None else mean_test([base[mine].sum(axis=1) for mine in rows]),
        loss=mean_test([(own[mine] * ahead[mine]).sum(axis=1) for mine in rows]),
        drift=mean_test([((own[mine] - other[mine]) * ahead[mine]).sum(axis=1) for mine in rows]),
    )


def mean_test(strata: Sequence[FloatArray]) -> MeanTest:
    """Test the mean over strata of the mean over prompts against zero, one-sided: is it above?

    t = m / se, m = mean over strata of m_h, se^2 = sum of s_h^2 / n_h over g^2, with Satterthwaite's degrees of freedom
    (Biometrics Bulletin, 1946). Every stratum counts once, and prompts are drawn within strata: the test is about these
    domains. Where no prompt differs from another there is no spread to go by; n equal values above zero then have
    p = 2^-n, as in the sign test.

    Args:
        strata: Values of each stratum's prompts, two at least.

    >>> mean_test([np.array([1.0, 2.0, 3.0])]).p.__round__(4)
    0.0371
    """
    from scipy.special import stdtr, stdtrit

    n_strata = len(strata)
    value = float(np.mean([mine.mean() for mine in strata]))
    parts = np.array([mine.var(ddof=1) / len(mine) for mine in strata]) / n_strata**2
    variance = float(parts.sum())
    if variance <= np.finfo(float).eps * value**2:
        p = 0.5 ** sum(map(len, strata)) if value > 0 else 1.0
        return MeanTest(value=value, low=value, high=value, p=p)
    df = variance**2 / float((parts**2 / np.array([len(mine) - 1 for mine in strata])).sum())
    error = variance**0.5
    half = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * error
    return MeanTest(value=value, low=value - half, high=value + half, p=float(stdtr(df, -value / error)))


def _shares(counts: IntArray) -> FloatArray:
    """Return the share of each outcome among a prompt's labels, [n, c]; zeros without a label."""
    shares: FloatArray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _log2(probabilities: FloatArray) -> FloatArray:
    """Return logarithms, of at least the floor that all bits of the project share."""
    logs: FloatArray = np.log2(np.maximum(probabilities, PROBABILITY_FLOOR))
    return logs
