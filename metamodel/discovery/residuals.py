"""What metamodels left unexplained: residuals with mean zero wherever a metamodel is calibrated.

Shapes: n = prompts of the run, m = judged prompts with a label, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from metamodel.information import PROBABILITY_FLOOR, labeled_pairs
from metamodel.labels import Categorical, LabelSpace
from metamodel.metric_rows import Split
from metamodel.types import FloatArray, IntArray

MeasureKind = Literal["surprise", "rate", "position"]
# Of a behavior with many classes, the commonest are looked at one by one.
MOST_CLASSES: Final = 6


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one behavior of one primary model was predicted to be, and was, on one kind of split.

    Attributes:
        primary: Name of the primary model.
        behavior: Name of the behavior.
        split: What the predictions were held out from.
        metamodel: Who predicted.
        space: The behavior's label space.
        rows: Row numbers of the judged prompts in the dataset, [m]; those without a label are left out.
        counts: How often each outcome was drawn, [m, c].
        probabilities: What was predicted, [m, c].
    """

    primary: str
    behavior: str
    split: Split
    metamodel: str
    space: LabelSpace
    rows: IntArray
    counts: IntArray
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One residual of a cell's prompts.

    With F drawn from q the residual has mean zero, whatever the prompt: a slice whose mean is not zero is one in which
    the metamodel is not calibrated.

    Attributes:
        kind: "surprise": -log2 q(f) less its mean under q, the entropy of q, in bits. "rate": 1 for an outcome and 0
            for the others, less q(outcome). "position": of ordered outcomes, the share of q below f plus half of q(f),
            less a half; from -1/2 (far lower than predicted) to 1/2.
        outcome: The outcome that a rate is of; empty otherwise.
        values: Mean over each prompt's samples, [m].
        variances: Variance under q of one sample's residual, [m].
        observed: What came: the surprise, the rate of the outcome; of a position, the mean position among the outcomes
            of all prompts, [m].
        predicted: The same as q expects it, [m].
    """

    kind: MeasureKind
    outcome: str
    values: FloatArray
    variances: FloatArray
    observed: FloatArray
    predicted: FloatArray


def labeled_cell(cell: Cell) -> Cell:
    """Return the cell without prompts that have no label."""
    kept = cell.counts.sum(axis=1) > 0
    return Cell(
        primary=cell.primary,
        behavior=cell.behavior,
        split=cell.split,
        metamodel=cell.metamodel,
        space=cell.space,
        rows=cell.rows[kept],
        counts=cell.counts[kept],
        probabilities=cell.probabilities[kept],
    )


def measures_of(cell: Cell) -> Iterator[Measure]:
    """Yield the residuals of a cell, surprise first.

    Raises:
        ValueError: The shapes differ or a row is not a probability distribution.
    """
    shares, predicted = labeled_pairs(cell.counts, cell.probabilities)
    floored = np.maximum(predicted, PROBABILITY_FLOOR)
    yield _measure("surprise", "", -np.log2(floored), shares, predicted)
    n_outcomes = shares.shape[1]
    outcomes = cell.space.outcomes
    if n_outcomes == 2:  # noqa: PLR2004 - no and yes, or two classes: one rate says both
        yield _measure("rate", outcomes[1], _indicator(1, shares), shares, predicted)
    elif isinstance(cell.space, Categorical):
        order = np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_CLASSES]
        for number in np.sort(order).tolist():
            yield _measure("rate", outcomes[number], _indicator(number, shares), shares, predicted)
    else:
        below = np.cumsum(predicted, axis=1) - predicted / 2
        overall = shares.mean(axis=0)
        scale = np.cumsum(overall) - overall / 2
        position = _measure("position", "", below, shares, predicted)
        yield Measure(
            kind="position",
            outcome="",
            values=position.values,
            variances=position.variances,
            observed=shares @ scale,
            predicted=predicted @ scale,
        )


def _measure(kind: MeasureKind, outcome: str, scores: FloatArray, shares: FloatArray, predicted: FloatArray) -> Measure:
    """Return the residual of a score of each prompt's outcomes, [m, c], less its mean under q."""
    expected = (predicted * scores).sum(axis=1)
    observed = (shares * scores).sum(axis=1)
    return Measure(
        kind=kind,
        outcome=outcome,
        values=observed - expected,
        variances=(predicted * (scores - expected[:, None]) ** 2).sum(axis=1),
        observed=observed,
        predicted=expected,
    )


def _indicator(number: int, shares: FloatArray) -> FloatArray:
    scores = np.zeros(shares.shape)
    scores[:, number] = 1.0
    return scores
