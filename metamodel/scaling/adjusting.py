"""p values of many tests at once.

Shapes: m = tests.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np

from metamodel.types import FloatArray

Adjustment = Literal["fdr_bh", "holm", "bonferroni", "by", "none"]
ADJUSTMENTS: Final[tuple[Adjustment, ...]] = get_args(Adjustment)


def adjusted(p_values: FloatArray, method: Adjustment) -> FloatArray:
    """Return adjusted p values, in the order given: one at most alpha is a discovery at level alpha.

    `fdr_bh` (Benjamini and Hochberg 1995) and `by` (Benjamini and Yekutieli 2001, under any dependence) hold the share
    of false discoveries; `bonferroni` and `holm` (Holm 1979, never weaker) the chance of a single one. Holm's: the i-th
    smallest of m becomes max over j <= i of (m - j + 1) p_(j), at most 1.

    Args:
        p_values: One a test, [m].
        method: Name of the adjustment.

    >>> adjusted(np.array([0.01, 0.04, 0.03]), "holm").tolist()
    [0.03, 0.06, 0.06]
    """
    m = len(p_values)
    if m == 0 or method == "none":
        return np.array(p_values, dtype=np.float64)
    if method == "bonferroni":
        return np.minimum(1.0, m * p_values)
    if method == "holm":
        order = np.argsort(p_values, kind="stable")
        stepped = np.maximum.accumulate((m - np.arange(m)) * p_values[order])
        held = np.empty(m)
        held[order] = np.minimum(1.0, stepped)
        return held
    from scipy.stats import false_discovery_control

    found: FloatArray = false_discovery_control(p_values, method="bh" if method == "fdr_bh" else "by")
    return found
