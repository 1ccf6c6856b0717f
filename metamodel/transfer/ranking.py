"""AUROC of every source on every target by one matrix product.

Shapes: s = sources, t = targets, m = prompts.
"""

from __future__ import annotations

import numpy as np

from metamodel.types import FloatArray


def auroc_matrix(scores: FloatArray, yes: FloatArray) -> FloatArray:
    """Return the area under the receiver operating characteristic, [s, t]; NaN where labels are of one class.

    Formula: with midranks r of a source's scores, w the share of "yes" of each prompt and P its sum,
    (sum of w (r - 1/2) - P^2 / 2) / (P (m - P)): the Mann-Whitney statistic, exact for shares between 0 and 1 too,
    since the chance that one prompt outranks another and the chance of the reverse sum to 1, ties counting one half.

    Args:
        scores: Anything that rises with the probability of "yes", [s, m].
        yes: Share of "yes" among each prompt's samples, [m, t]; every prompt has a label.

    >>> auroc_matrix(np.array([[0.1, 0.5, 0.9]]), np.array([[0.0], [0.5], [1.0]])).round(4).tolist()
    [[0.9444]]
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1) - 0.5  # [s, m]
    positives = yes.sum(axis=0)
    pairs = positives * (len(yes) - positives)
    beaten = ranks @ yes - positives**2 / 2
    area: FloatArray = np.divide(beaten, pairs, out=np.full_like(beaten, np.nan), where=pairs > 0)
    return area
