"""Multinomial logistic regression on outcome shares, fitted by scikit-learn, predicted row by row.

Shapes: n = prompts, m = prompts with at least one label, d = features, s = outcomes seen in training, c = outcomes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.types import FloatArray, IntArray
from trainers import native
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.heads.outcomes import softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from trainers.inputs.tfidf_features import SparseRows

    Features: TypeAlias = csr_array[np.float64] | FloatArray

_MOST_ITERATIONS = 300
# A BLAS spreads larger products of a vector and a matrix over threads, which then wait for each other.
_UNDIVIDED = 8192


class LinearHead(NamedTuple):
    """One behavior's regression.

    Attributes:
        outcomes: The outcomes that training had, rising, [s].
        coefficients: [d, s].
        intercepts: [s].
    """

    outcomes: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @classmethod
    def from_artifact(cls, artifact: Artifact, index: int, *, n_features: int) -> LinearHead:
        """Read the tensors that `tensors` named.

        Raises:
            DataError: One is missing or has another type or shape.
        """
        n_outcomes = len(list(artifact.spaces.values())[index].outcomes)
        outcomes = artifact.indices(f"outcomes.{index}", (None,), below=n_outcomes)
        return cls(
            outcomes=outcomes.astype(np.int32),
            coefficients=artifact.floats(f"coefficients.{index}", (n_features, len(outcomes))).astype(np.float32),
            intercepts=artifact.floats(f"intercepts.{index}", (len(outcomes),)).astype(np.float32),
        )

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Return what an artifact keeps of behavior number `index`."""
        return {
            f"outcomes.{index}": self.outcomes,
            f"coefficients.{index}": self.coefficients,
            f"intercepts.{index}": self.intercepts,
        }

    def predict(self, features: Features | SparseRows, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c]: outcomes never seen in training keep their prior, the others share the rest."""
        return self.prepared().predict(features, prior)

    def prepared(self) -> PreparedLinear:
        """Return what predicts the same many times."""
        return PreparedLinear(
            outcomes=self.outcomes,
            coefficients=np.ascontiguousarray(self.coefficients, dtype=np.float64),
            intercepts=self.intercepts.astype(np.float64),
        )


class PreparedLinear(NamedTuple):
    """A regression in double precision, for many predictions.

    Attributes:
        outcomes: The outcomes that training had, rising, [s].
        coefficients: [d, s].
        intercepts: [s].
    """

    outcomes: NDArray[np.int32]
    coefficients: FloatArray
    intercepts: FloatArray

    def predict(self, features: Features | SparseRows, prior: FloatArray) -> FloatArray:
        """Return probabilities, [n, c], see `LinearHead.predict`."""
        probabilities = np.repeat(prior[None], features.shape[0], axis=0)
        if len(self.outcomes) > 1:
            logits = rowwise_product(features, self.coefficients) + self.intercepts
            probabilities[:, self.outcomes] = softmax(logits) * prior[self.outcomes].sum()
        return probabilities


def fit_heads(features: Features, shares: FloatArray, strengths: Sequence[float]) -> Iterator[LinearHead]:
    """Yield one head for each strength, each fit starting from the one before.

    A prompt becomes one row an outcome that it showed, weighted by the outcome's share: scikit-learn knows only hard
    labels, and the weighted rows have the same likelihood as the shares.

    Args:
        features: [m, d].
        shares: [m, c].
        strengths: scikit-learn's C, rising: the inverse of the penalty.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows, labels = np.nonzero(shares)
    outcomes = np.unique(labels)
    n_features = features.shape[1]
    if len(outcomes) < 2 or not n_features:  # noqa: PLR2004 - one class leaves nothing to learn
        intercepts = np.log(shares.sum(axis=0)[outcomes])
        for _ in strengths:
            yield _head(outcomes, np.zeros((n_features, len(outcomes))), intercepts)
        return
    expanded, weights = features[rows], shares[rows, labels]
    model = LogisticRegression(warm_start=True, max_iter=_MOST_ITERATIONS)
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # An unfinished fit is a valid, slightly more regularized model; the next strength goes on from it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(expanded, labels, sample_weight=weights)
        coefficients, intercepts = model.coef_.T, model.intercept_
        if len(outcomes) == 2:  # noqa: PLR2004 - scikit-learn keeps one column for two classes
            coefficients = np.hstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([[0.0], intercepts])
        yield _head(outcomes, coefficients, intercepts)


def rowwise_product(features: Features | SparseRows, weights: NDArray[np.float32] | FloatArray) -> FloatArray:
    """Return features @ weights, [n, d] @ [d, s], such that a row's result never depends on the other rows.

    A BLAS chooses its order of summation by the shape of what it is given: here it is given one row at a time, always
    the same shape, by a loop inside numpy. A sparse product sums each row by itself anyway.
    """
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    if isinstance(features, np.ndarray):
        rows = np.ascontiguousarray(features, dtype=np.float64)
        product: FloatArray = np.matmul(rows[:, None, :], weights)[:, 0, :]
        return product
    sparse_product: FloatArray = np.asarray(features @ weights)
    return sparse_product


def weighted_sums(
    offsets: IntArray | NDArray[np.int32],
    columns: IntArray | NDArray[np.int32],
    weights: FloatArray,
    table: FloatArray | NDArray[np.float32],
) -> FloatArray:
    """Return the weighted sum of rows of a table that each prompt names, [n, w]; zeros where it names none.

    A compressed sparse row after the other times the table: a prompt's sum never depends on the others, nor on the
    number of threads, since every product is too small for a BLAS to divide.

    Args:
        offsets: Prompt i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        columns: Rows of the table.
        weights: Weight of each, in double precision.
        table: [b, w]; in single precision it is summed in double precision all the same, and faster.
    """
    width = table.shape[1]
    sums = np.zeros((len(offsets) - 1, width))
    if native.kernels is not None and table.dtype == np.float32 and width:
        native.kernels.sum_rows(
            np.ascontiguousarray(offsets, dtype=np.int64),
            np.ascontiguousarray(columns, dtype=np.int32),
            np.ascontiguousarray(weights, dtype=np.float64),
            np.ascontiguousarray(table, dtype=np.float32),
            sums,
            width,
        )
        return sums
    most = max(_UNDIVIDED // max(width, 1), 1)
    bounds = offsets.tolist()
    for row, (start, stop) in enumerate(pairwise(bounds)):
        vectors, shares = table.take(columns[start:stop], axis=0).astype(np.float64), weights[start:stop]
        whole = (stop - start) // most * most
        if whole:
            blocks = shares[:whole].reshape(-1, 1, most) @ vectors[:whole].reshape(-1, most, width)
            sums[row] = blocks.sum(axis=(0, 1))
        if start + whole < stop:
            sums[row] += shares[whole:] @ vectors[whole:]
    return sums


def require_positive(name: str, values: Sequence[float]) -> None:
    """Refuse strengths that scikit-learn would refuse.

    Raises:
        ValueError: A value is not a finite number above 0.
    """
    if any(not 0 < value < float("inf") for value in values):
        raise ValueError(f"{name} is {list(values)}, must be above 0 and finite")


def read_heads(artifact: Artifact, *, n_features: int) -> dict[str, LinearHead]:
    """Return the head of each behavior.

    Raises:
        DataError: A tensor is missing or has another type or shape.
    """
    heads = {
        name: LinearHead.from_artifact(artifact, index, n_features=n_features)
        for index, name in enumerate(artifact.spaces)
    }
    for name, head in heads.items():
        if (head.coefficients.size and not n_features) or (abs(head.coefficients) > 1e30).any():  # noqa: PLR2004 - sums stay finite
            raise DataError(f"weights.safetensors: coefficients of {name} are too large to sum: train again")
    return heads


def _head(outcomes: NDArray[np.int64], coefficients: FloatArray, intercepts: FloatArray) -> LinearHead:
    return LinearHead(
        outcomes=outcomes.astype(np.int32),
        coefficients=np.ascontiguousarray(coefficients, dtype=np.float32),
        intercepts=np.ascontiguousarray(intercepts, dtype=np.float32),
    )
