"""Outcome shares, priors and cross-entropy: what every trainer counts with.

Shapes: n = prompts, m = prompts with at least one label, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelTable
from metamodel.types import FloatArray, IntArray

# Krichevsky and Trofimov, The performance of universal encoding (1981): half a count an outcome.
HALF_COUNT = 0.5
# A model may be sure, but a bit string that it excludes would cost infinitely many bits.
FLOOR = 1e-6


class Shares(NamedTuple):
    """The labels of the prompts that have any.

    Attributes:
        rows: Row numbers of those prompts, [m].
        values: How often each outcome was drawn, divided by the prompt's number of labels, [m, c]; rows sum to one,
            so that every prompt weighs the same however many samples it has.
    """

    rows: IntArray
    values: FloatArray


def outcome_shares(table: LabelTable) -> Shares:
    """Return the outcome shares of the prompts with at least one label."""
    counts = table.counts
    rows = np.flatnonzero(counts.sum(axis=1))
    labeled = counts[rows]
    return Shares(rows=rows, values=labeled / labeled.sum(axis=1, keepdims=True))


def smoothed_prior(shares: FloatArray, *, smoothing: float = HALF_COUNT) -> FloatArray:
    """Return the mean outcome distribution, [c]: (sum of shares + smoothing) / (m + c * smoothing).

    With no labeled prompt that is the uniform distribution.

    Args:
        shares: Outcome shares, [m, c].
        smoothing: Prompts added to each outcome, above 0; 1/2 is Krichevsky and Trofimov's estimator.
    """
    m, c = shares.shape
    prior: FloatArray = (shares.sum(axis=0) + smoothing) / (m + c * smoothing)
    return prior


def cross_entropy_bits(shares: FloatArray, probabilities: FloatArray) -> float:
    """Return the mean over prompts of -sum of share * log2(probability), in bits; both arguments are [m, c].

    A prompt's term is the code length of its k samples under the prediction, divided by k. NaN for no prompt.
    """
    if not len(shares):
        return float("nan")
    return float(-(shares * np.log2(probabilities)).sum(axis=1).mean())


def softmax(logits: FloatArray) -> FloatArray:
    """Return exp(logits) normalized over the last axis, [..., c]."""
    # Contiguous always: numpy may round differently on strided memory, and then a batch's width would show.
    shifted = np.ascontiguousarray(logits - logits.max(axis=-1, keepdims=True))
    powers = np.exp(shifted)
    normalized: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return normalized


def softmax_parts(logits: FloatArray, sizes: Sequence[int]) -> list[FloatArray]:
    """Return softmax of each run of columns, [n, c] each; `sizes` are the runs' numbers of columns."""
    if len(sizes) == 1:
        return [softmax(logits)]
    ends = np.cumsum(sizes)
    if len(set(sizes)) > 1:
        return [softmax(part) for part in np.split(logits, ends[:-1], axis=1)]
    parts = softmax(logits.reshape(-1, sizes[0])).reshape(len(logits), len(sizes), sizes[0])
    return [parts[:, place] for place in range(len(sizes))]


def kept_inside(probabilities: FloatArray) -> FloatArray:
    """Mix rows with a trace of the uniform distribution so that no outcome has probability 0 or 1, [..., c]."""
    mixed = (1 - FLOOR) * probabilities + FLOOR / probabilities.shape[-1]
    inside: FloatArray = mixed / mixed.sum(axis=-1, keepdims=True)
    return inside


def require_prompts(train: LabeledPrompts) -> None:
    """Refuse to fit on nothing.

    Raises:
        DataError: There is no prompt or no behavior.
    """
    if not len(train):
        raise DataError(
            "got 0 training prompts, at least 1 is needed: collect more prompts or lower the split's shares"
        )
    if not train.labels:
        raise DataError("got labels of 0 behaviors, at least 1 is needed: name one under `behaviors`")
