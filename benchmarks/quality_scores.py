"""What a way of predicting is worth: AUROC and bits within each judged domain, with a bootstrap over prompts.

Shapes: t = judged prompts of a split, m = primary models, b = bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from metamodel.types import FloatArray

N_DRAWS = 300
_LEAST_OF_A_CLASS = 5
_FLOOR = 1e-6


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One split's labels and predictions.

    Attributes:
        name: Of the split.
        labels: 1, 0 or NaN, [t, m].
        probabilities: Of label 1, [t, m].
    """

    name: str
    labels: FloatArray
    probabilities: FloatArray


class Draws(NamedTuple):
    """One statistic of several splits: the value and its bootstrap draws; [s] and [b, s]."""

    values: FloatArray
    draws: FloatArray


class Scores(NamedTuple):
    """A way's scores on several splits; AUROC and bits are means over primary models."""

    auroc: Draws
    bits: Draws


def score(judged: Sequence[Judged], *, seed: int = 0, n_draws: int = N_DRAWS) -> Scores:
    """Return AUROC and reduction in bits of each split; the same seed resamples every way alike."""
    aurocs, bits = [], []
    for one in judged:
        rng = np.random.default_rng([seed, len(one.labels)])
        rows = rng.integers(0, len(one.labels), (n_draws, len(one.labels)))
        counts = np.stack([np.bincount(row, minlength=len(one.labels)) for row in rows]).astype(np.float64)
        everyone = np.ones((1, len(one.labels)))
        bits.append(_reductions(one, np.concatenate([everyone, counts])))
        aurocs.append(np.concatenate([[_mean_auroc(one, None)], [_mean_auroc(one, row) for row in rows]]))
    return Scores(auroc=_as_draws(aurocs), bits=_as_draws(bits))


def mean_with_interval(draws: Draws) -> tuple[float, float, float]:
    """Return the mean over splits that can be judged, with its 95 % percentile interval; NaN where none can."""
    judged = draws.draws[:, np.isfinite(draws.values)]
    if not judged.size:
        return float("nan"), float("nan"), float("nan")
    low, high = np.nanquantile(np.nanmean(judged, axis=1), [0.025, 0.975])
    return float(np.nanmean(draws.values)), float(low), float(high)


def difference_with_interval(ours: Draws, theirs: Draws) -> tuple[float, float, float]:
    """Return the paired difference of means over splits with its 95 % interval."""
    return mean_with_interval(Draws(values=ours.values - theirs.values, draws=ours.draws - theirs.draws))


def _as_draws(columns: Sequence[FloatArray]) -> Draws:
    stacked = np.stack(columns, axis=1)
    return Draws(values=stacked[0], draws=stacked[1:])


def _reductions(one: Judged, weights: FloatArray) -> FloatArray:
    """Return the mean over primary models of H(best constant) - cross-entropy in bits, for each weighting, [b]."""
    present = ~np.isnan(one.labels)
    labels = np.where(present, one.labels, 0.0)
    inside = np.clip(one.probabilities, _FLOOR, 1 - _FLOOR)
    losses = -np.where(present, labels * np.log2(inside) + (1 - labels) * np.log2(1 - inside), 0.0)  # [t, m]
    totals = weights @ present  # [b, m]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.clip((weights @ labels) / totals, 1e-12, 1 - 1e-12)
        entropy = -(rates * np.log2(rates) + (1 - rates) * np.log2(1 - rates))
        reductions = entropy - (weights @ losses) / totals
    counted = totals > 0
    with np.errstate(invalid="ignore"):  # no primary model has a label here
        found: FloatArray = np.where(counted, reductions, 0.0).sum(axis=1) / counted.sum(axis=1)
    return found


def _mean_auroc(one: Judged, rows: np.ndarray | None) -> float:
    labels = one.labels if rows is None else one.labels[rows]
    probabilities = one.probabilities if rows is None else one.probabilities[rows]
    values = []
    for truth, predicted in zip(labels.T, probabilities.T, strict=True):
        present = ~np.isnan(truth)
        n_positive = int(truth[present].sum())
        n_negative = int(present.sum()) - n_positive
        if min(n_positive, n_negative) < _LEAST_OF_A_CLASS:
            continue
        ranks = rankdata(predicted[present])
        positive = ranks[truth[present] == 1].sum()
        values.append((positive - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
    return float(np.mean(values)) if values else float("nan")
