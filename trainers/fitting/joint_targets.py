"""What many tasks' labels say about each prompt, as one matrix without gaps.

Shapes: n = prompts, c = outcomes of a task, k = columns of a task, o = columns of all tasks together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from metamodel.labels import Count, LabelTable, Real
from metamodel.types import FloatArray
from trainers.heads.outcomes import outcome_shares, smoothed_prior

# Outcomes without an order that get a column of their own, the most frequent first.
MOST_COLUMNS = 8
# A rare outcome must not count a hundredfold.
_LEAST_DEVIATION = 0.1
_DOUBTS = 2
_MOST_ROUNDS = 30
_SETTLED = 1e-3


def target_matrix(labels: Mapping[str, LabelTable], n_prompts: int) -> FloatArray:
    """Return the columns of all tasks, [n, o]; NaN where a prompt has no label. Tasks that never vary have none."""
    blocks = [_task_columns(table) for table in labels.values()]
    return np.concatenate([np.empty((n_prompts, 0)), *blocks], axis=1)


def completed(targets: FloatArray, rank: int) -> FloatArray:
    """Fill the gaps of a matrix from what prompts and tasks have in common, [n, o].

    A gap begins at its prompt's mean over the tasks that labeled it, shrunken as if two more had said 0: begun at 0, a
    matrix of many gaps settles where tasks seem to have little in common. Each round takes the leading directions of
    the tasks' covariance, shrinks what the matrix shows along each by its signal's share of the variance, and puts the
    result into the gaps: the posterior mean of probabilistic principal components (Tipping and Bishop, 1999), with
    missing entries imputed in turn. Ours: the start, and that the imputation's own uncertainty is left out.

    Args:
        targets: Columns of mean 0, [n, o]; NaN in the gaps.
        rank: Most directions.
    """
    is_gap = np.isnan(targets)
    n, o = targets.shape
    n_seen = (~is_gap).sum(axis=1, keepdims=True)
    filled = np.where(is_gap, np.nansum(targets, axis=1, keepdims=True) / (n_seen + _DOUBTS), targets)
    if not is_gap.any() or o < 2:  # noqa: PLR2004 - one column has nothing in common with another
        return filled
    for _ in range(_MOST_ROUNDS):
        values, directions = np.linalg.eigh(filled.T @ filled / n)  # rising
        kept = min(rank, o - 1)
        noise = float(values[: o - kept].mean())
        leading = values[o - kept :]
        shrunken = np.clip(1 - noise / np.maximum(leading, 1e-12), 0, 1)
        onto = (directions[:, o - kept :] * shrunken) @ directions[:, o - kept :].T  # [o, o]
        change = (filled @ onto)[is_gap] - filled[is_gap]
        filled[is_gap] += change
        if math.sqrt(float(np.mean(change**2))) < _SETTLED:
            break
    return filled


def _task_columns(table: LabelTable) -> FloatArray:
    """Return one task's columns, [n, k], each task with a total variance of about one."""
    rows, shares = outcome_shares(table)
    columns = np.full((len(table.codes), 0), np.nan)
    if not len(rows) or (shares > 0).any(axis=0).sum() < 2:  # noqa: PLR2004 - one outcome does not vary
        return columns
    scores = _outcome_scores(table, smoothed_prior(shares))
    values = shares @ scores
    values -= values.mean(axis=0)
    columns = np.full((len(table.codes), scores.shape[1]), np.nan)
    columns[rows] = values
    return columns


def _outcome_scores(table: LabelTable, prior: FloatArray) -> FloatArray:
    """Return what each outcome adds to each column, [c, k].

    An outcome of an ordered space counts by its place among all labels (the middle of its share of them) and by the
    square of that place, Legendre's first two polynomials; one without an order by being it or not.
    """
    if isinstance(table.space, Count | Real):
        place = 2 * (np.cumsum(prior) - prior / 2) - 1  # from -1 to 1
        scores = np.stack([math.sqrt(3) * place, math.sqrt(5) * (1.5 * place**2 - 0.5)], axis=1)
        halved: FloatArray = scores / math.sqrt(2)
        return halved
    if len(prior) == 2:  # noqa: PLR2004 - the first of two outcomes mirrors the second
        return np.array([[0.0], [1.0]]) / max(math.sqrt(float(prior[0] * prior[1])), _LEAST_DEVIATION)
    frequent = np.sort(np.argsort(-prior, kind="stable")[:MOST_COLUMNS])
    deviation = math.sqrt(max(float(1 - (prior**2).sum()), _LEAST_DEVIATION**2))
    indicators: FloatArray = np.eye(len(prior))[:, frequent] / deviation
    return indicators
