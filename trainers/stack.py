"""Combines any trainers by what each knew of prompts in domains that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast, get_args

import numpy as np

from metamodel.analysis.composed import Spec
from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, task_parts
from metamodel.protocols import Adapts, FitContext, Metamodel, Trainer
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.artifact import (
    JSON,
    Artifact,
    StoredMetamodel,
    Tensor,
    TrainingFacts,
    label_spaces,
    prior_tensors,
)
from trainers.artifacts.reading import HOLDS_SPECS, component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, CalibrationMethod, fit_calibration, require_method
from trainers.fitting.stack_members import (
    build_trainers,
    checked_predictions,
    fit_members,
    fit_out_of_fold,
    judged_behavior,
    trains_across,
)
from trainers.fitting.stack_pool import (
    HIGHEST_WEIGHT,
    ChosenPool,
    PoolName,
    choose_pool,
    pooled_predictions,
)
from trainers.heads.outcomes import require_prompts


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A pool of several trainers' predictions, weighted by held-out likelihood.

    Every member is fitted `n_folds` times without a fold of whole domains, which gives predictions of prompts in
    domains that it did not see; the weights, the pull on them and the calibration are fitted to these, and the members
    that are kept are fitted once more on everything: `n_folds` + 1 fits of each member, where one alone would have one.

    Attributes:
        members: Specs of the trainers: a kind, or a mapping with `kind` and fields.
        pool: "log_linear" weights the members' evidence against the prior, "linear" mixes their probabilities.
        n_folds: Folds that the members are judged on, at least 2.
        penalties: Pulls of the weights to equal ones that are tried, in bits over all prompts, each above 0.
        calibration: What is fitted to the pool's predictions.
        across_primaries: Whether it is fitted once for all primary models; it is if one of its members must be.
    """

    kind: ClassVar[str] = "stack"

    members: tuple[Spec, ...] = field(default=("surface", "tfidf_logistic"), metadata={HOLDS_SPECS: True})
    pool: PoolName = "log_linear"
    n_folds: int = 5
    penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    calibration: CalibrationMethod = "temperature"
    across_primaries: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing; build the members, so that what is wrong with one is known at once."""
        if self.pool not in get_args(PoolName):
            raise ValueError(f"pool is {self.pool!r}, must be one of {', '.join(get_args(PoolName))}")
        if self.n_folds < 2:  # noqa: PLR2004 - one fold leaves nothing to fit on
            raise ValueError(f"n_folds is {self.n_folds}, must be at least 2")
        if not self.penalties or not all(0 < penalty < float("inf") for penalty in self.penalties):
            raise ValueError(f"penalties is {list(self.penalties)}, must hold finite numbers above 0")
        require_method("calibration", self.calibration)
        if trains_across(self.trainers):
            object.__setattr__(self, "across_primaries", True)

    def __hash__(self) -> int:
        """Hash the fields; specs are mappings, which have no hash of their own."""
        return hash(repr(asdict(self)))

    @cached_property
    def trainers(self) -> tuple[Trainer, ...]:
        """The members.

        Raises:
            ConfigError: What is wrong with any of their specs.
        """
        return build_trainers({f"members.{place}": spec for place, spec in enumerate(self.members)})

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> StackMetamodel:
        """Judge the members out of fold, weight them, fit them on everything.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        found = fit_out_of_fold(self.trainers, train, validation, context=context, n_folds=self.n_folds)
        behaviors = [judged_behavior(found, name) for name in found.prompts.labels]
        chosen = choose_pool(self.pool, [behavior for behavior, _ in behaviors], self.penalties)
        calibrations = {
            name: fit_calibration(crossed, behavior.prior, behavior.shares, method=self.calibration, domains=domains)
            for name, crossed, (behavior, domains) in zip(found.prompts.labels, chosen.crossed, behaviors, strict=True)
        }
        artifact = Artifact(
            kind=self.kind,
            fields=cast("Mapping[str, JSON]", asdict(self)),
            spaces=label_spaces(found.prompts),
            facts=TrainingFacts.of(train, validation, context),
            weights={**prior_tensors(found.prompts), **_pool_tensors(chosen)},
            calibrations=calibrations,
            members=fit_members(self.trainers, train, validation, context=context),
        )
        return _metamodel(artifact, self)

    @classmethod
    def load(cls, folder: Path) -> StackMetamodel:
        """Read back what `save` wrote, the members too.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind, has_members=True)
        return _metamodel(artifact, component_from_fields(cls, artifact.fields))


class StackMetamodel(StoredMetamodel):
    """The members' predictions, pooled and calibrated."""

    def __init__(self, artifact: Artifact, trainer: Stack) -> None:
        super().__init__(artifact)
        self.trainer = trainer
        n_members = len(trainer.trainers)
        if len(artifact.members) != n_members:
            raise DataError(f"has {len(artifact.members)} members, its fields name {n_members}: train again")
        self._weights = artifact.floats("pool.weights", (len(artifact.spaces), n_members))
        self._shared = artifact.floats("pool.shared", (n_members,))
        for weights in (self._weights, self._shared[None]):
            if (weights < 0).any() or (weights > HIGHEST_WEIGHT).any():
                raise DataError(
                    f"weights.safetensors: a member's weight is not from 0 to {HIGHEST_WEIGHT}: train again"
                )
            if self.trainer.pool == "linear" and (weights.sum(axis=1) > 1 + 1e-9).any():
                raise DataError("weights.safetensors: the weights of a linear pool sum to more than 1: train again")

    @property
    def members(self) -> tuple[Metamodel, ...]:
        """The metamodels that are pooled."""
        return self.artifact.members

    def member_weights(self) -> dict[str, FloatArray]:
        """Return the weight of each member, [k] a behavior."""
        return dict(zip(self.spaces, self._weights, strict=True))

    def save_carried(self, folder: Path) -> None:
        """Write what `save` writes, and what the members borrow."""
        self.artifact.save(folder, carries_members=True)

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return calibrated probabilities, [n, c] a behavior."""
        widths = {name: len(space.outcomes) for name, space in self.spaces.items()}
        parts = [
            checked_predictions(member.predict(texts, domains=domains), widths, len(texts)) for member in self.members
        ]
        pooled = {
            name: pooled_predictions(
                self.trainer.pool, np.stack([part[name] for part in parts]), self.priors[name], weights
            )
            for name, weights in self.member_weights().items()
        }
        return self.calibrated(pooled)


class AdaptingStackMetamodel(StackMetamodel):
    """A stack to whose members a new primary model can be added."""

    def adapt(self, labeled: LabeledPrompts, *, context: FitContext) -> Metamodel:
        """Adapt every member to the new tasks; a task gets the mean weights of the tasks with its behavior."""
        require_prompts(labeled)
        weights = self.member_weights()
        rows = []
        for task in labeled.labels:
            _, behavior = task_parts(task)
            alike = [weights[other] for other in weights if task_parts(other)[1] == behavior]
            rows.append(np.mean(alike, axis=0) if alike else self._shared)
        members = tuple(cast("Adapts", member).adapt(labeled, context=context) for member in self.members)
        pooled: dict[str, Tensor] = {"pool.weights": np.stack(rows), "pool.shared": self._shared}
        artifact = replace(
            self.artifact,
            spaces=label_spaces(labeled),
            facts=TrainingFacts.of(labeled, labeled.take([]), context),
            weights={**prior_tensors(labeled), **pooled},
            calibrations=dict.fromkeys(labeled.labels, Calibration()),
            borrowed_bits={},
            members=members,
        )
        return _metamodel(artifact, self.trainer)


def _metamodel(artifact: Artifact, trainer: Stack) -> StackMetamodel:
    """Return a stack that says it can be adapted only where all its members can."""
    adapts = all(isinstance(member, Adapts) for member in artifact.members)
    return (AdaptingStackMetamodel if adapts else StackMetamodel)(artifact, trainer)


def _pool_tensors(chosen: ChosenPool) -> dict[str, Tensor]:
    return {"pool.weights": np.stack(chosen.weights[:-1]), "pool.shared": chosen.weights[-1]}
