"""Puts a calibration around any trainer, fitted on domains that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

from metamodel.analysis.composed import Spec
from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Trainer
from metamodel.types import Predictions
from trainers.artifacts.artifact import JSON, Artifact, StoredMetamodel, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.reading import HOLDS_SPECS, component_from_fields, read_artifact
from trainers.fitting.calibration import CalibrationMethod, fit_calibration, require_method
from trainers.fitting.stack_members import (
    build_trainers,
    checked_predictions,
    fit_members,
    fit_out_of_fold,
    judged_behavior,
    trains_across,
)
from trainers.heads.outcomes import require_prompts


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Another trainer, whose predictions are calibrated by what it predicts of domains that it did not see.

    The other trainer is fitted `n_folds` times without a fold of whole domains, the calibration is fitted to what it
    predicts of these, and it is fitted once more on everything: `n_folds` + 1 fits. Whatever it calibrates by itself
    is left as it is, and calibrated again.

    Attributes:
        trainer: Its spec: a kind, or a mapping with `kind` and fields.
        method: "temperature", "isotonic", "beta" or "venn_abers" (extra `calibration`), each followed by a shrinkage to
            the training prior; "none" leaves the predictions as they are. With more than two outcomes a curve is
            fitted for each against the rest.
        n_folds: Folds, at least 2.
        across_primaries: Whether it is fitted once for all primary models; it is if the other trainer must be.
    """

    kind: ClassVar[str] = "calibrated"

    trainer: Spec = field(default="tfidf_logistic", metadata={HOLDS_SPECS: True})
    method: CalibrationMethod = "temperature"
    n_folds: int = 5
    across_primaries: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing; build the trainer, so that what is wrong with it is known at once."""
        require_method("method", self.method)
        if self.n_folds < 2:  # noqa: PLR2004 - one fold leaves nothing to fit on
            raise ValueError(f"n_folds is {self.n_folds}, must be at least 2")
        if trains_across(self.trainers):
            object.__setattr__(self, "across_primaries", True)

    def __hash__(self) -> int:
        """Hash the fields; a spec may be a mapping, which has no hash of its own."""
        return hash(repr(asdict(self)))

    @cached_property
    def trainers(self) -> tuple[Trainer, ...]:
        """The one other trainer.

        Raises:
            ConfigError: What is wrong with its spec.
        """
        return build_trainers({"trainer": self.trainer})

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> CalibratedMetamodel:
        """Calibrate out of fold, fit on everything.

        Raises:
            DataError: There is no training prompt.
            MetamodelError: The method needs a package that is not installed.
        """
        require_prompts(train)
        found = fit_out_of_fold(self.trainers, train, validation, context=context, n_folds=self.n_folds)
        calibrations = {}
        for name in found.prompts.labels:
            behavior, domains = judged_behavior(found, name)
            calibrations[name] = fit_calibration(
                behavior.predictions[0], behavior.prior, behavior.shares, method=self.method, domains=domains
            )
        artifact = Artifact(
            kind=self.kind,
            fields=cast("Mapping[str, JSON]", asdict(self)),
            spaces=label_spaces(found.prompts),
            facts=TrainingFacts.of(train, validation, context),
            weights=prior_tensors(found.prompts),
            calibrations=calibrations,
            members=fit_members(self.trainers, train, validation, context=context),
        )
        return CalibratedMetamodel(artifact)

    @classmethod
    def load(cls, folder: Path) -> CalibratedMetamodel:
        """Read back what `save` wrote, the other metamodel too.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind, has_members=True)
        component_from_fields(cls, artifact.fields)
        return CalibratedMetamodel(artifact)


class CalibratedMetamodel(StoredMetamodel):
    """Another metamodel's predictions, calibrated."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(artifact)
        if len(artifact.members) != 1:
            raise DataError(f"has {len(artifact.members)} members, must have 1: train again")

    def save_carried(self, folder: Path) -> None:
        """Write what `save` writes, and what the members borrow."""
        self.artifact.save(folder, carries_members=True)

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return calibrated probabilities, [n, c] a behavior."""
        widths = {name: len(space.outcomes) for name, space in self.spaces.items()}
        predictions = self.artifact.members[0].predict(texts, domains=domains)
        return self.calibrated(checked_predictions(predictions, widths, len(texts)))
