"""Trainers whose inputs need no fitting: features, one head a behavior, everything chosen by leaving out domains.

A new trainer of this kind is a dataclass that says what its inputs are. Training and validation prompts are pooled:
what must be chosen is chosen on folds of whole domains within them (`domain_folds`), the calibration is fitted on the
predictions made there, and the head that is kept sees all of them.

Shapes: n = prompts, d = features, c = outcomes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray, Predictions
from trainers.artifacts.artifact import (
    JSON,
    Artifact,
    StoredMetamodel,
    Tensor,
    TrainingFacts,
    label_spaces,
    prior_tensors,
)
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, fit_calibration
from trainers.fitting.choice import choose_out_of_fold
from trainers.fitting.domain_folds import domain_folds
from trainers.heads.family import Head, HeadFamily, LinearFamily
from trainers.heads.logistic import require_positive
from trainers.heads.outcomes import outcome_shares, require_prompts, smoothed_prior
from trainers.inputs.dense import DenseInputs, Standardizer, computed

HeadName = Literal["linear"]


@dataclass(frozen=True, kw_only=True)
class DenseTrainer(ABC):
    """What trainers on dense inputs have in common.

    Attributes:
        head: Kind of head.
        C_grid: Inverse penalties tried for the linear head.
    """

    kind: ClassVar[str]

    head: HeadName = "linear"
    C_grid: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.head not in get_args(HeadName):
            raise ValueError(f"head is {self.head!r}, must be one of {', '.join(get_args(HeadName))}")
        if not self.C_grid:
            raise ValueError("C_grid is empty, must hold at least one number above 0")
        require_positive("C_grid", self.C_grid)

    @abstractmethod
    def inputs(self) -> DenseInputs:
        """Return what turns texts into numbers; may read pretrained weights."""

    def families(self) -> Mapping[str, HeadFamily]:
        """Return the families of heads to choose from, by name, the simplest first."""
        return {"linear": LinearFamily(strengths=tuple(sorted(self.C_grid)))}

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> DenseMetamodel:
        """Fit one head a behavior on all prompts; head, strength and calibration are chosen on left-out domains.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        prompts = pooled(train, validation)
        inputs = self.inputs()
        raw = computed(inputs, prompts.texts)
        standardizer = Standardizer.of(raw)
        features = standardizer.apply(raw)
        fitted = {name: self._fit_behavior(features, prompts, name, context) for name in prompts.labels}
        weights: dict[str, Tensor] = {**prior_tensors(prompts), **standardizer.tensors()}
        for index, behavior in enumerate(fitted.values()):
            weights |= behavior.head.tensors(index)
        artifact = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(prompts),
            facts=TrainingFacts.of(train, validation, context),
            weights=weights,
            calibrations={name: behavior.calibration for name, behavior in fitted.items()},
            documents={"inputs": inputs.identity, "heads": {name: one.family for name, one in fitted.items()}},
        )
        return DenseMetamodel(artifact, self, inputs)

    def _fit_behavior(
        self, features: FloatArray, prompts: LabeledPrompts, name: str, context: FitContext
    ) -> _FittedBehavior:
        """Choose family and strength on left-out domains, calibrate there, fit on everything."""
        rows, shares = outcome_shares(prompts.labels[name])
        mine = features[rows]
        families = self.families()

        def fit_and_predict(fitting: IntArray, judging: IntArray) -> list[FloatArray]:
            prior = smoothed_prior(shares[fitting])
            return [
                head.predict(mine[judging], prior)
                for family in families.values()
                for head in family.fit(mine[fitting], shares[fitting], seed=context.seed)
            ]

        texts, domains = [prompts.texts[row] for row in rows], [prompts.domains[row] for row in rows]
        folds = domain_folds(texts, domains, expects_shift=context.expects_shift, seed=context.seed)
        chosen = choose_out_of_fold(fit_and_predict, shares, folds)
        position = chosen.position if chosen else 0
        heads = [
            (family, head) for family in families for head in families[family].fit(mine, shares, seed=context.seed)
        ]
        calibration = (
            fit_calibration(chosen.predictions, chosen.priors, shares[chosen.judged]) if chosen else Calibration()
        )
        family, head = heads[position]
        return _FittedBehavior(family=family, head=head, calibration=calibration)

    @classmethod
    def load(cls, folder: Path) -> DenseMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or what its inputs need is not installed.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        trainer = component_from_fields(cls, artifact.fields)
        inputs = trainer.inputs()
        if artifact.documents.get("inputs") != inputs.identity:
            raise DataError(
                f"{folder}: was trained on inputs {artifact.documents.get('inputs')!r}, those here are "
                f"{inputs.identity!r}: train again, or install what it was trained with"
            )
        return DenseMetamodel(artifact, trainer, inputs)


class _FittedBehavior(NamedTuple):
    """What is kept of one behavior."""

    family: str
    head: Head
    calibration: Calibration


class DenseMetamodel(StoredMetamodel):
    """Standardized features and one head a behavior."""

    def __init__(self, artifact: Artifact, trainer: DenseTrainer, inputs: DenseInputs) -> None:
        super().__init__(artifact)
        self._inputs = inputs
        self._standardizer = Standardizer.from_artifact(artifact, inputs.width)
        names = _family_names(artifact.documents.get("heads"), artifact, trainer)
        families = trainer.families()
        self._heads = {
            name: families[names[name]].read(artifact, index, width=inputs.width)
            for index, name in enumerate(artifact.spaces)
        }

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        features = self._standardizer.apply(computed(self._inputs, texts))
        return self.calibrated({name: head.predict(features, self.priors[name]) for name, head in self._heads.items()})


def pooled(train: LabeledPrompts, validation: LabeledPrompts) -> LabeledPrompts:
    """Return training and validation prompts together, with the training behaviors' labels."""
    tables = {}
    for name, table in train.labels.items():
        other = validation.labels.get(name)
        widths = table.codes.shape[1], other.codes.shape[1] if other is not None else 0
        below = other.codes if other is not None else np.empty((len(validation), 0), dtype=np.int64)
        blocks = [
            np.pad(codes, ((0, 0), (0, max(widths) - width)), constant_values=-1)
            for codes, width in zip((table.codes, below), widths, strict=True)
        ]
        tables[name] = LabelTable(space=table.space, codes=np.concatenate(blocks))
    return LabeledPrompts(
        texts=(*train.texts, *validation.texts), domains=(*train.domains, *validation.domains), labels=tables
    )


def _family_names(value: JSON, artifact: Artifact, trainer: DenseTrainer) -> dict[str, str]:
    known = set(trainer.families())
    if not isinstance(value, dict) or set(value) != set(artifact.spaces) or not set(value.values()) <= known:
        raise DataError(f"heads.json must name one of {', '.join(sorted(known))} for each behavior: train again")
    return {name: str(family) for name, family in value.items()}
