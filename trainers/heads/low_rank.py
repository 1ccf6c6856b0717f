"""Links from a prompt's few factors to a task's outcomes, each shrunken toward the population of such links.

Item response theory's shape (Reckase, Multidimensional Item Response Theory, 2009): a prompt has factors (its
difficulty), a primary model an intercept and slopes (its ability), and a softmax of their product gives the outcome.
Here the factors come from the text, so that a new prompt has them too.

Shapes: m = labeled prompts of a task, r = factors, p = 1 + r, c = outcomes, t = tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metamodel.types import FloatArray
from trainers.heads.logistic import rowwise_product
from trainers.heads.outcomes import smoothed_prior, softmax

_ROUNDS = 4
# What is believed before any task was seen, worth so many tasks: slopes near 0, intercepts near the pooled prior.
_BELIEF_TASKS = 1.0
_BELIEF_MEAN_TASKS = 0.25
_INTERCEPT_VARIANCE = 1.0
_SLOPE_VARIANCE = 1.0
_MOST_ITERATIONS = 200


class Population(NamedTuple):
    """The distribution of links over primary models, for one behavior.

    Attributes:
        mean: Mean link, [p, c].
        covariance: Of the intercept and slopes of an outcome, [p, p]; the same for each outcome.
    """

    mean: FloatArray
    covariance: FloatArray


class TaskData(NamedTuple):
    """One task's labeled prompts: factors [m, r] and outcome shares [m, c]."""

    factors: FloatArray
    shares: FloatArray


class PopulationFit(NamedTuple):
    """A population and the links of the tasks that it was estimated from, [p, c] each."""

    population: Population
    links: list[FloatArray]


def link_probabilities(factors: FloatArray, link: FloatArray) -> FloatArray:
    """Return softmax(link[0] + factors @ link[1:]), [m, c]; a row never depends on the others."""
    return softmax(rowwise_product(np.ascontiguousarray(factors), link[1:]) + link[0])


def fit_population(tasks: Sequence[TaskData]) -> PopulationFit:
    """Estimate population and links of one behavior from all primary models that have it: empirical Bayes.

    Expectation maximization (Dempster, Laird and Rubin, 1977) with Laplace's approximation to each link's posterior.
    The scale of a softmax's columns is only known up to a constant, so deviations count c / (c - 1) fold.

    Args:
        tasks: At least one; those of a task without a label get the population's mean.
    """
    n_outcomes, n_factors = tasks[0].shares.shape[1], tasks[0].factors.shape[1]
    pooled = smoothed_prior(np.concatenate([task.shares for task in tasks]))
    base = np.zeros((1 + n_factors, n_outcomes))
    base[0] = np.log(pooled)
    belief = np.diag([_INTERCEPT_VARIANCE, *[_SLOPE_VARIANCE] * n_factors])
    population = Population(mean=base, covariance=belief)
    informed = [task for task in tasks if len(task.shares)]
    for _ in range(_ROUNDS if informed else 0):
        links = [fit_link(task, population) for task in informed]
        mean = (sum(links) + _BELIEF_MEAN_TASKS * base) / (len(links) + _BELIEF_MEAN_TASKS)
        spread = sum(
            _second_moment(link - mean) + _uncertainty(task, link, population.covariance)
            for task, link in zip(informed, links, strict=True)
        )
        covariance = (spread + _BELIEF_TASKS * belief) / (len(links) + _BELIEF_TASKS)
        population = Population(mean=mean, covariance=(covariance + covariance.T) / 2)
    stored = Population(*(part.astype(np.float32).astype(np.float64) for part in population))
    return PopulationFit(population=stored, links=[fit_link(task, stored) for task in tasks])


def fit_link(task: TaskData, population: Population) -> FloatArray:
    """Return the most probable link given a task's labels and the population, [p, c], in single precision's numbers.

    Maximizes sum over prompts of shares * log softmax + log density of the population. Without a label that is the
    population's mean.

    Raises:
        numpy.linalg.LinAlgError: The covariance is not positive definite.
    """
    from scipy.optimize import minimize

    root = np.linalg.cholesky(population.covariance)
    shape = population.mean.shape
    columns = np.hstack([np.ones((len(task.factors), 1)), task.factors])
    whitened = columns @ root  # steps of unit prior deviation

    def cost(point: FloatArray) -> tuple[float, FloatArray]:
        step = point.reshape(shape)
        logits = columns @ population.mean + whitened @ step
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_sums = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        log_probabilities = shifted - log_sums
        loss = -(task.shares * log_probabilities).sum() + 0.5 * (point**2).sum()
        slope = whitened.T @ (np.exp(log_probabilities) - task.shares) + step
        return float(loss), slope.ravel()

    found: FloatArray = np.zeros(population.mean.size)
    if len(task.shares):
        found = minimize(
            cost,
            found,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MOST_ITERATIONS, "ftol": 1e-12, "gtol": 1e-6},
        ).x
    link = population.mean + root @ found.reshape(shape)
    stored: FloatArray = link.astype(np.float32).astype(np.float64)
    return stored


def _second_moment(deviation: FloatArray) -> FloatArray:
    """Return the mean outer product over outcomes, [p, p], corrected for the softmax's free constant."""
    moment: FloatArray = deviation @ deviation.T / max(deviation.shape[1] - 1, 1)
    return moment


def _uncertainty(task: TaskData, link: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the posterior covariance of an outcome's column, averaged over outcomes, [p, p]."""
    columns = np.hstack([np.ones((len(task.factors), 1)), task.factors])
    probabilities = softmax(columns @ link)
    n_outcomes = probabilities.shape[1]
    correction = n_outcomes / max(n_outcomes - 1, 1)
    precision = np.linalg.inv(covariance)
    total = np.zeros_like(covariance)
    for outcome in range(n_outcomes):
        weight = correction * probabilities[:, outcome] * (1 - probabilities[:, outcome])
        total += np.linalg.inv((columns * weight[:, None]).T @ columns + precision)
    averaged: FloatArray = total / n_outcomes
    return averaged
