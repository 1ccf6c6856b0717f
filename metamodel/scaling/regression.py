"""Least squares with plain or cluster-robust errors: estimates, t, degrees of freedom, p and intervals.

Pure functions over numpy arrays.

Shapes: n = rows, k = terms with the constant, g = clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from metamodel.types import FloatArray, IntArray

CONSTANT: Final = "constant"
_CONFIDENCE: Final = 0.95
# Residuals that are this share of the response's spread are the rounding of an exact fit.
_EXACT_SHARE: Final = 1e-10


class TermTest(NamedTuple):
    """One linear combination of estimates against zero.

    Attributes:
        estimate: Its value.
        standard_error: Its standard error.
        t: Estimate over standard error.
        p: Chance of a t at least as far from zero, on both sides, if the combination were zero.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
    """

    estimate: float
    standard_error: float
    t: float
    p: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """A fitted regression.

    Attributes:
        estimates: One a term, the constant first, [k].
        covariance: Estimated covariance of the estimates, [k, k].
        df: Degrees of freedom of t: n - k with plain errors, g - 1 with clustered ones.
        n_rows: Rows n.
        n_clusters: Clusters g; None with plain errors.
        r_squared: Share of the response's variance that the terms explain.
    """

    estimates: FloatArray
    covariance: FloatArray
    df: int
    n_rows: int
    n_clusters: int | None
    r_squared: float

    def test(self, weights: FloatArray) -> TermTest:
        """Test the combination `weights` @ estimates against zero with Student's t, two-sided.

        Formula: t = w'b / sqrt(w' V w), p = 2 P(T_df > |t|), interval w'b -+ t_(0.975, df) sqrt(w' V w).

        Args:
            weights: One a term, [k].
        """
        from scipy.special import stdtr, stdtrit

        estimate = float(weights @ self.estimates)
        error = float(np.sqrt(weights @ self.covariance @ weights))
        t = estimate / error
        half = float(stdtrit(self.df, (1 + _CONFIDENCE) / 2)) * error
        return TermTest(
            estimate=estimate,
            standard_error=error,
            t=t,
            p=float(2 * stdtr(self.df, -abs(t))),
            low=estimate - half,
            high=estimate + half,
        )


def least_squares(design: FloatArray, response: FloatArray, *, clusters: IntArray | None = None) -> LeastSquares:
    """Fit a response by least squares.

    Estimates: b = (X'X)^-1 X'y. Plain errors (equal variance, independent rows): V = (X'X)^-1 e'e / (n - k), df =
    n - k. Clustered errors (Liang and Zeger 1986): V = c (X'X)^-1 (sum over clusters of X_j' e_j e_j' X_j) (X'X)^-1,
    with the small-sample factor c = g / (g - 1) * (n - 1) / (n - k) (CR1, as Stata's `vce(cluster)`; Cameron and
    Miller, *A Practitioner's Guide to Cluster-Robust Inference*, 2015) and df = g - 1. With few clusters (below about
    30) even so tests reject too often.

    Args:
        design: Terms, the constant's ones among them, [n, k].
        response: What is explained, [n].
        clusters: Number of each row's cluster, [n]; None takes rows as independent.

    Raises:
        ValueError: The terms do not vary freely of one another, there are too few rows or clusters, or the fit is
            exact; the message says which, in words for the user.
    """
    n_rows, n_terms = design.shape
    if n_rows <= n_terms:
        raise ValueError(f"{n_rows} rows for {n_terms} coefficients: at least {n_terms + 1} are needed")
    norms = np.linalg.norm(design, axis=0)
    rank = int(np.linalg.matrix_rank(design / np.where(norms > 0, norms, 1)))
    if rank < n_terms:
        raise ValueError(
            f"the {n_terms} terms span only {rank} dimensions (rank deficiency): one follows from the others, as "
            "where every size was trained on its own number of tokens; leave one out"
        )
    # Through QR the condition of X'X is never squared.
    orthogonal, triangular = np.linalg.qr(design)
    inverse = np.linalg.inv(triangular)
    estimates: FloatArray = inverse @ (orthogonal.T @ response)
    residuals = response - design @ estimates
    spread = float(((response - response.mean()) ** 2).sum())
    left = float(residuals @ residuals)
    if left <= _EXACT_SHARE**2 * max(spread, np.finfo(float).tiny):
        raise ValueError("the terms fit every row exactly: nothing is left to estimate errors from")
    bread = inverse @ inverse.T  # (X'X)^-1, [k, k]
    if clusters is None:
        covariance, df, n_clusters = bread * left / (n_rows - n_terms), n_rows - n_terms, None
    else:
        names, numbers = np.unique(clusters, return_inverse=True)
        n_clusters = len(names)
        covariance, df = bread @ _clustered_scores(design, residuals, numbers, n_clusters) @ bread, n_clusters - 1
    if not (np.diag(covariance) > 0).all():
        raise ValueError(f"{n_clusters} clusters leave no spread of some coefficients: use plain errors")
    return LeastSquares(
        estimates=estimates,
        covariance=covariance,
        df=df,
        n_rows=n_rows,
        n_clusters=n_clusters,
        r_squared=1 - left / spread,
    )


def _clustered_scores(design: FloatArray, residuals: FloatArray, numbers: IntArray, n_clusters: int) -> FloatArray:
    """Return the middle of the sandwich with its small-sample factor, [k, k]."""
    n_rows, n_terms = design.shape
    if n_clusters <= n_terms:  # the sandwich would be singular, and t as large as chance makes it
        raise ValueError(
            f"{n_clusters} clusters for {n_terms} coefficients: clustered errors need at least {n_terms + 1}, "
            "use plain errors"
        )
    scores = np.zeros((n_clusters, n_terms))
    np.add.at(scores, numbers, design * residuals[:, None])
    factor = n_clusters / (n_clusters - 1) * (n_rows - 1) / (n_rows - n_terms)
    middle: FloatArray = factor * (scores.T @ scores)
    return middle
