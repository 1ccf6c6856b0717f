"""Predict with candidate fits where they were not fitted, so that one can be chosen and calibrated there.

Shapes: m = labeled prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from metamodel.types import FloatArray, IntArray
from trainers.fitting.domain_folds import DomainFold
from trainers.heads.outcomes import smoothed_prior

# (rows to fit on, rows to predict) -> predictions of each candidate for the second, [., c].
FitAndPredict: TypeAlias = Callable[[IntArray, IntArray], Sequence[FloatArray]]


class OutOfFold(NamedTuple):
    """What every candidate predicted where it was not fitted.

    Attributes:
        judged: Rows that were judged, rising, [m'].
        candidates: Predictions of each candidate for these rows, [m', c] each.
        priors: Prior of the fits that predicted them, [m', c].
    """

    judged: IntArray
    candidates: list[FloatArray]
    priors: FloatArray


def predict_out_of_fold(
    fit_and_predict: FitAndPredict, shares: FloatArray, folds: Sequence[DomainFold]
) -> OutOfFold | None:
    """Fit every candidate without each fold in turn and predict the fold.

    Args:
        fit_and_predict: Fits all candidates on some rows and predicts others.
        shares: Outcome shares of all labeled prompts, [m, c].
        folds: Folds over these m rows.

    Returns:
        The predictions; None where there is no fold.
    """
    if not folds:
        return None
    parts = [fit_and_predict(fold.fit, fold.judge) for fold in folds]
    judged = np.concatenate([fold.judge for fold in folds])
    priors = np.concatenate([np.tile(smoothed_prior(shares[f.fit]), (len(f.judge), 1)) for f in folds])
    order = np.argsort(judged, kind="stable")
    candidates = [np.concatenate(of_folds)[order] for of_folds in zip(*parts, strict=True)]
    return OutOfFold(judged=judged[order], candidates=candidates, priors=priors[order])
