"""How often a behavior occurs, with how sure that is.

Shapes: n = outputs, p = prompts, c = outcomes of the label space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metamodel.information import entropy_bits
from metamodel.labels import Binary, Categorical, LabelSpace
from metamodel.types import FloatArray, IntArray

# Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One behavior of one primary model in one domain, every prompt weighing the same.

    Attributes:
        behavior: Name of the behavior.
        primary: Name of the primary model.
        domain: Name of the domain; None for all of them.
        n_prompts: Prompts with a label.
        n_labels: Outputs with a label.
        n_missing: Outputs without.
        shares: Share of each outcome that occurs, by name; bins for counts and reals.
        entropy_bits: Entropy of the shares.
        mean: Mean label; of binary labels the base rate, None for categories.
        median: Median over outputs; None for categories.
        low: Lower end of the base rate's 95 % interval; None for other than binary labels.
        high: Upper end of it.
    """

    behavior: str
    primary: str
    domain: str | None
    n_prompts: int
    n_labels: int
    n_missing: int
    shares: Mapping[str, float]
    entropy_bits: float
    mean: float | None
    median: float | None
    low: float | None
    high: float | None


def rate_of(
    values: FloatArray, prompt_rows: IntArray, space: LabelSpace, *, behavior: str, primary: str, domain: str | None
) -> Rate:
    """Return the rate of some labels.

    Args:
        values: Labels, NaN where missing, [n].
        prompt_rows: Number of each output's prompt, [n].
        space: Their label space.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        domain: Name of the domain; None for all.
    """
    present = ~np.isnan(values)
    codes = space.encode(values[present])
    weights = prompt_weights(prompt_rows[present])
    shares = np.bincount(codes, weights=weights, minlength=len(space.outcomes))
    shares = shares / max(shares.sum(), np.finfo(np.float64).tiny)  # a sum of many small weights is not quite one
    has_mean = len(codes) > 0 and not isinstance(space, Categorical)
    mean = _mean(values[present], weights, space, shares) if has_mean else None
    n_prompts = len(np.unique(prompt_rows[present]))
    low, high = wilson_interval(mean, n_prompts) if isinstance(space, Binary) and mean is not None else (None, None)
    return Rate(
        behavior=behavior,
        primary=primary,
        domain=domain,
        n_prompts=n_prompts,
        n_labels=int(present.sum()),
        n_missing=int((~present).sum()),
        shares={space.outcomes[code]: float(shares[code]) for code in np.flatnonzero(shares).tolist()},
        entropy_bits=float(entropy_bits(shares)),
        mean=mean,
        median=float(np.median(values[present])) if has_mean else None,
        low=low,
        high=high,
    )


def _mean(values: FloatArray, weights: FloatArray, space: LabelSpace, shares: FloatArray) -> float:
    return float(shares[1]) if isinstance(space, Binary) else float(weights @ values)


def prompt_weights(prompt_rows: IntArray) -> FloatArray:
    """Return weights that sum to one, equal for every prompt and within it for every output, [n].

    >>> prompt_weights(np.array([0, 0, 7])).tolist()
    [0.25, 0.25, 0.5]
    """
    _, inverse, counts = np.unique(prompt_rows, return_inverse=True, return_counts=True)
    weights: FloatArray = 1.0 / (counts[inverse] * max(len(counts), 1))
    return weights


def wilson_interval(rate: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate over n prompts.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927). Prompts are the trials:
    exact in spirit for one sample a prompt, too wide where a prompt's samples differ.

    >>> [round(end, 3) for end in wilson_interval(0.0, 10)]
    [0.0, 0.278]
    """
    center = (rate + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    return float(max(center - half, 0.0)), float(min(center + half, 1.0))
