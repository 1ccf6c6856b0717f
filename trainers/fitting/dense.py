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
from typing import ClassVar, Literal, get_args

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelSpace, LabelTable
from metamodel.protocols import FitContext
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
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.head_choice import AND, HeadOptions, fit_head
from trainers.heads.family import AverageHead, Head, HeadFamily, LinearFamily
from trainers.heads.logistic import require_positive
from trainers.heads.ordered import OrderedFamily, is_ordered
from trainers.heads.outcomes import outcome_shares, require_prompts, smoothed_prior
from trainers.heads.trees import TreeFamily
from trainers.inputs.dense import DenseInputs, Standardizer, computed, require_inputs

HeadName = Literal["linear", "trees", "best"]
_AVERAGED = {"linear", "ordered", "trees"}


@dataclass(frozen=True, kw_only=True)
class DenseTrainer(ABC):
    """What trainers on dense inputs have in common.

    Attributes:
        head: Kind of head; `best` tries both and their mean, and keeps what costs the fewest bits on left-out domains.
        C_grid: Inverse penalties tried for the linear head.
        leaves: Most leaves of a tree, the values tried.
        rounds: Rounds of boosting, the values tried.
        choosing_prompts: Most prompts that each behavior's head, strength and calibration are chosen on.
        fitting_prompts: Most prompts that each behavior's chosen head is fitted on.
    """

    kind: ClassVar[str]

    head: HeadName = "linear"
    C_grid: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1)
    leaves: tuple[int, ...] = (4,)
    rounds: tuple[int, ...] = (25, 50, 100)
    choosing_prompts: int = 6_000
    fitting_prompts: int = 30_000

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.head not in get_args(HeadName):
            raise ValueError(f"head is {self.head!r}, must be one of {', '.join(get_args(HeadName))}")
        if not self.C_grid:
            raise ValueError("C_grid is empty, must hold at least one number above 0")
        require_positive("C_grid", self.C_grid)
        for name, least in (("leaves", 2), ("rounds", 1)):
            values = getattr(self, name)
            if not values or min(values) < least:
                raise ValueError(f"{name} is {list(values)}, must hold at least one number, each at least {least}")
        for name in ("choosing_prompts", "fitting_prompts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")

    @abstractmethod
    def inputs(self) -> DenseInputs:
        """Return what turns texts into numbers; may read pretrained weights."""

    def families(self, space: LabelSpace) -> Mapping[str, HeadFamily]:
        """Return the families of heads to choose from for a label space, by name, the simplest first."""
        families: dict[str, HeadFamily] = {}
        strengths = tuple(sorted(self.C_grid))
        if self.head != "trees":
            families["linear"] = LinearFamily(strengths=strengths)
            if is_ordered(space):
                families["ordered"] = OrderedFamily(strengths=strengths)
        if self.head != "linear":
            families["trees"] = TreeFamily(leaves=tuple(sorted(self.leaves)), rounds=tuple(sorted(self.rounds)))
        return families

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> DenseMetamodel:
        """Fit one head a behavior on all prompts; head, strength and calibration are chosen on left-out domains.

        Raises:
            DataError: There is no training prompt.
        """
        from threadpoolctl import threadpool_limits

        require_prompts(train)
        prompts = pooled(train, validation)
        inputs = self.inputs()
        raw = computed(inputs, prompts.texts)
        standardizer = Standardizer.of(raw)
        features = standardizer.apply(raw)
        fitted = {}
        # Two threads that wait for each other take twice as long as one over fits as small as these.
        with threadpool_limits(limits=1):
            for name, table in prompts.labels.items():
                rows, shares = outcome_shares(table)
                texts, domains = [prompts.texts[row] for row in rows], [prompts.domains[row] for row in rows]
                options = self.head_options(table.space)
                fitted[name] = fit_head(features[rows], shares, texts, domains, options=options, context=context)
        weights: dict[str, Tensor] = {**prior_tensors(prompts), **standardizer.tensors()}
        for index, behavior in enumerate(fitted.values()):
            weights |= behavior.head.tensors(index)
        priors = {name: smoothed_prior(outcome_shares(table).values) for name, table in prompts.labels.items()}
        further = self.further_documents({name: one.head for name, one in fitted.items()}, features, priors)
        artifact = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(prompts),
            facts=TrainingFacts.of(train, validation, context),
            weights=weights,
            calibrations={name: behavior.calibration for name, behavior in fitted.items()},
            documents={"inputs": inputs.identity, "heads": {name: one.name for name, one in fitted.items()}, **further},
        )
        return DenseMetamodel(artifact, self, inputs)

    def head_options(self, space: LabelSpace) -> HeadOptions:
        """Return what is tried for a behavior of a label space, and on how much."""
        families = self.families(space)
        return HeadOptions(
            families=families,
            # Families of another trainer's own may share the names of their tensors.
            averages=self.head == "best" and set(families) <= _AVERAGED,
            choosing_prompts=self.choosing_prompts,
            fitting_prompts=self.fitting_prompts,
        )

    def further_documents(
        self,
        heads: Mapping[str, Head],  # noqa: ARG002 - for trainers that override this
        features: FloatArray,  # noqa: ARG002 - for trainers that override this
        priors: Mapping[str, FloatArray],  # noqa: ARG002 - for trainers that override this
    ) -> dict[str, JSON]:
        """Return what else a saved metamodel says of itself; nothing here.

        Args:
            heads: The fitted heads.
            features: Standardized features of all prompts, [n, d].
            priors: Training prior of each behavior, [c].
        """
        return {}

    @classmethod
    def load(cls, folder: Path) -> DenseMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or what its inputs need is not installed.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        trainer = component_from_fields(cls, artifact.fields)
        inputs = trainer.inputs()
        require_inputs(folder, artifact, inputs.identity)
        return DenseMetamodel(artifact, trainer, inputs)


class DenseMetamodel(StoredMetamodel):
    """Standardized features and one head a behavior."""

    def __init__(self, artifact: Artifact, trainer: DenseTrainer, inputs: DenseInputs) -> None:
        super().__init__(artifact)
        self._inputs = inputs
        self._standardizer = Standardizer.from_artifact(artifact, inputs.width)
        families = {name: trainer.families(space) for name, space in artifact.spaces.items()}
        names = _family_names(artifact.documents.get("heads"), families)
        self._heads = {
            name: AverageHead(
                parts=tuple(families[name][part].read(artifact, index, width=inputs.width) for part in names[name])
            ).prepared()
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


def _family_names(value: JSON, families: Mapping[str, Mapping[str, HeadFamily]]) -> dict[str, list[str]]:
    """Return the families of each behavior's head, one or several that are averaged."""
    if isinstance(value, dict) and set(value) == set(families):
        names = {behavior: str(joined).split(AND) for behavior, joined in value.items()}
        if all(set(parts) <= set(families[one]) and len(set(parts)) == len(parts) for one, parts in names.items()):
            return names
    known = sorted({name for of_behavior in families.values() for name in of_behavior})
    raise DataError(
        f"heads.json must name one of {', '.join(known)}, or several joined by {AND}, for each behavior: train again"
    )
