"""The regression of one task: standardized log10 parameters, log10 tokens, and their product.

Shapes: n = rows, k = terms with the constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from metamodel.scaling.regression import LeastSquares, TermTest, least_squares
from metamodel.types import FloatArray, IntArray

Term = Literal["parameters", "tokens", "interaction"]
MAIN_TERMS: Final[tuple[Term, ...]] = ("parameters", "tokens")
_LEAST_VALUES: Final = 2


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A standardized predictor: z = (log10 of the size - mean) / spread.

    Attributes:
        mean: Mean of the logarithms.
        spread: Their standard deviation, with n - 1.
        low: Smallest z.
        high: Largest z.
    """

    mean: float
    spread: float
    low: float
    high: float

    def at(self, z: float) -> float:
        """Return the size, in parameters or tokens, at a z."""
        return float(10.0 ** (self.mean + z * self.spread))


@dataclass(frozen=True, kw_only=True)
class TaskFit:
    """One task's regression.

    Attributes:
        task: Name of the task.
        terms: The terms behind the constant, in the order of the estimates.
        fit: Estimates and their covariance.
        predictors: The standardized predictors, by term.
    """

    task: str
    terms: tuple[Term, ...]
    fit: LeastSquares
    predictors: dict[Term, Predictor]

    def test(self, term: Term) -> TermTest:
        """Test one term against zero."""
        return self.fit.test(self._weights({term: 1.0}))

    def slope(self, term: Term, *, other_z: float) -> TermTest:
        """Test the slope in one predictor where the other stands at `other_z` (a simple slope, Aiken and West 1991)."""
        weights = {term: 1.0}
        if "interaction" in self.terms:
            weights["interaction"] = other_z
        return self.fit.test(self._weights(weights))

    def per_decade(self, term: Term) -> float:
        """Return by how much one unit of a term's estimate must be multiplied to speak of tenfold sizes."""
        names = MAIN_TERMS if term == "interaction" else (term,)
        return float(np.prod([1 / self.predictors[name].spread for name in names]))

    def predicted(self, log_parameters: FloatArray | None, log_tokens: FloatArray | None) -> FloatArray:
        """Return the fitted scores at given sizes, [n]."""
        given = {"parameters": log_parameters, "tokens": log_tokens}
        columns = [
            (values - self.predictors[term].mean) / self.predictors[term].spread
            for term in MAIN_TERMS
            if term in self.predictors and (values := given[term]) is not None
        ]
        fitted: FloatArray = _design(columns) @ self.fit.estimates
        return fitted

    def _weights(self, by_term: dict[Term, float]) -> FloatArray:
        return np.array([0.0, *(by_term.get(term, 0.0) for term in self.terms)])


def fit_task(
    task: str,
    scores: FloatArray,
    log_parameters: FloatArray | None,
    log_tokens: FloatArray | None,
    *,
    clusters: IntArray | None = None,
) -> TaskFit:
    """Regress a task's score on its models' sizes.

    score = b0 + b1 P + b2 T + b3 P T, with P and T the log10 of parameters and of tokens, standardized over the task's
    rows, so that b1 is the slope in size at the mean of log tokens and b2 that over training at the mean size.
    Source: Michaelov and Bergen, *Emergent inabilities? Inverse scaling over the course of pretraining* (2023), whose
    t values it gives; t does not depend on whether the score is standardized too, which we leave as it is.

    Args:
        task: Its name.
        scores: Score of each row, [n].
        log_parameters: log10 of the parameters, [n]; None leaves them and the interaction out.
        log_tokens: log10 of the tokens, [n]; None leaves them and the interaction out.
        clusters: Number of what each row belongs to, [n]; None takes rows as independent.

    Raises:
        ValueError: The score or a predictor has one value only, or the regression cannot be solved.
    """
    if len(np.unique(scores)) < _LEAST_VALUES:
        raise ValueError(f"the score is {scores[0]:g} in every row: nothing to explain")
    predictors: dict[Term, Predictor] = {}
    columns: list[FloatArray] = []
    for term, logs in zip(MAIN_TERMS, (log_parameters, log_tokens), strict=True):
        if logs is None:
            continue
        if len(np.unique(logs)) < _LEAST_VALUES:
            raise ValueError(f"{term} is {10 ** logs[0]:.4g} in every row: leave it out with --{term} none")
        mean, spread = float(logs.mean()), float(logs.std(ddof=1))
        z = (logs - mean) / spread
        predictors[term] = Predictor(mean=mean, spread=spread, low=float(z.min()), high=float(z.max()))
        columns.append(z)
    terms: tuple[Term, ...] = tuple(predictors)
    if len(terms) == len(MAIN_TERMS):
        terms = (*terms, "interaction")
    fit = least_squares(_design(columns), scores, clusters=clusters)
    return TaskFit(task=task, terms=terms, fit=fit, predictors=predictors)


def _design(columns: list[FloatArray]) -> FloatArray:
    """Return the terms: a constant, the predictors and, of two, their product, [n, k]."""
    products = [columns[0] * columns[1]] if len(columns) == len(MAIN_TERMS) else []
    return np.column_stack([np.ones(len(columns[0])), *columns, *products])
