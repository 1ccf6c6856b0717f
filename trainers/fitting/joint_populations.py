"""Tasks grouped by behavior: the links of each group's primary models are drawn from one population.

Shapes: n = prompts, r = factors, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metamodel.errors import DataError, nearest_name_hint
from metamodel.labels import LabelTable, label_space_to_dict, task_parts
from metamodel.types import FloatArray
from trainers.artifacts.artifact import JSON, Artifact, Tensor
from trainers.heads.low_rank import Population, TaskData, fit_link, fit_population
from trainers.heads.outcomes import outcome_shares


class BehaviorPopulation(NamedTuple):
    """The population of one behavior's links.

    Attributes:
        behavior: Its name, without a primary model's.
        space: Its label space, as JSON.
        population: Mean and covariance.
    """

    behavior: str
    space: dict[str, JSON]
    population: Population


class FittedLinks(NamedTuple):
    """Links by task, in the tasks' order, and the populations that they are shrunken toward."""

    links: dict[str, FloatArray]
    populations: list[BehaviorPopulation]


def fit_links(labels: Mapping[str, LabelTable], factors: FloatArray) -> FittedLinks:
    """Fit every task's link to factors that were predicted where the tower had not been fitted, [n, r]."""
    groups: dict[str, list[str]] = {}
    for task, table in labels.items():
        # A behavior's label space is the same for all primary models; should it not be, it is another behavior.
        groups.setdefault(f"{task_parts(task)[1]} {_space(table)}", []).append(task)
    links: dict[str, FloatArray] = {}
    populations: list[BehaviorPopulation] = []
    for tasks in groups.values():
        fitted = fit_population([_task_data(labels[task], factors) for task in tasks])
        links |= dict(zip(tasks, fitted.links, strict=True))
        first = tasks[0]
        populations.append(BehaviorPopulation(task_parts(first)[1], _space(labels[first]), fitted.population))
    return FittedLinks(links={task: links[task] for task in labels}, populations=populations)


def adapted_links(
    labels: Mapping[str, LabelTable], factors: FloatArray, populations: Sequence[BehaviorPopulation]
) -> dict[str, FloatArray]:
    """Fit links of new tasks alone, each with its behavior's population as the prior.

    Raises:
        DataError: A behavior is unknown, or has another label space than it had in training.
    """
    links = {}
    for task, table in labels.items():
        behavior = task_parts(task)[1]
        same_name = [one for one in populations if one.behavior == behavior]
        known = [one for one in same_name if one.space == _space(table)]
        if not same_name:
            hint = nearest_name_hint(behavior, {one.behavior for one in populations})
            raise DataError(f"behavior {behavior!r} is not among those that this metamodel was trained on: {hint}")
        if not known:
            raise DataError(
                f"behavior {behavior!r} has label space {_space(table)}, in training it had {same_name[0].space}: "
                "label it with the same featurizer"
            )
        links[task] = fit_link(_task_data(table, factors), known[0].population)
    return links


def population_tensors(populations: Sequence[BehaviorPopulation]) -> dict[str, Tensor]:
    """Return what an artifact keeps in tensors."""
    tensors: dict[str, Tensor] = {}
    for index, one in enumerate(populations):
        tensors[f"population_mean.{index}"] = one.population.mean.astype(np.float32)
        tensors[f"population_covariance.{index}"] = one.population.covariance.astype(np.float32)
    return tensors


def population_document(populations: Sequence[BehaviorPopulation]) -> list[JSON]:
    """Return what an artifact keeps in JSON."""
    return [{"behavior": one.behavior, "space": one.space} for one in populations]


def read_populations(artifact: Artifact, *, n_factors: int) -> list[BehaviorPopulation]:
    """Read back what the two functions above gave.

    Raises:
        DataError: Something is missing or does not fit together.
    """
    document = artifact.documents.get("populations")
    if not isinstance(document, list) or not document:
        raise DataError("populations.json must be a list of at least one behavior: train again")
    found = []
    for index, item in enumerate(document):
        behavior, space = (item.get("behavior"), item.get("space")) if isinstance(item, dict) else (None, None)
        if not isinstance(behavior, str) or not isinstance(space, dict) or len(item) != 2:  # noqa: PLR2004 - these two
            raise DataError(f"populations.json: entry {index} must have behavior and space alone: train again")
        mean = artifact.floats(f"population_mean.{index}", (1 + n_factors, None))
        covariance = artifact.floats(f"population_covariance.{index}", (1 + n_factors, 1 + n_factors))
        if not (covariance == covariance.T).all() or np.linalg.eigvalsh(covariance)[0] <= 0:
            raise DataError(f"weights.safetensors: population_covariance.{index} is no covariance: train again")
        found.append(BehaviorPopulation(behavior, space, Population(mean=mean, covariance=covariance)))
    return found


def _space(table: LabelTable) -> dict[str, JSON]:
    return {key: value for key, value in label_space_to_dict(table.space).items()}  # type: ignore[misc] # noqa: C416 - plain JSON, which the types do not say


def _task_data(table: LabelTable, factors: FloatArray) -> TaskData:
    rows, shares = outcome_shares(table)
    return TaskData(factors=factors[rows], shares=shares)
