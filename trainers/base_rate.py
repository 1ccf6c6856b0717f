"""The base rate: the best that can be said without reading the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import Predictions
from trainers.artifacts.artifact import Artifact, StoredMetamodel, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration
from trainers.heads.outcomes import require_prompts


@dataclass(frozen=True, kw_only=True)
class BaseRate:
    """Predicts the training prompts' mean outcome distribution for every prompt.

    Half a prompt is added to each outcome, so that none is excluded. Every prompt weighs the same.

    >>> from metamodel.labels import Binary, LabeledPrompts, LabelTable
    >>> table = LabelTable(space=Binary(), codes=np.array([[1], [1], [0]]))
    >>> train = LabeledPrompts(texts=("a", "b", "c"), domains=("d", "d", "d"), labels={"empty": table})
    >>> BaseRate().fit(train, train.take([]), context=FitContext()).predict(["x"])["empty"].tolist()
    [[0.375, 0.625]]
    """

    kind: ClassVar[str] = "base_rate"

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> BaseRateMetamodel:
        """Count outcomes; validation prompts are left out, for a prior that looks at them would be another model.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        return BaseRateMetamodel(
            Artifact(
                kind=self.kind,
                fields=asdict(self),
                spaces=label_spaces(train),
                facts=TrainingFacts.of(train, validation, context),
                weights=prior_tensors(train),
                calibrations=dict.fromkeys(train.labels, Calibration()),
            )
        )

    @classmethod
    def load(cls, folder: Path) -> BaseRateMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        component_from_fields(cls, artifact.fields)
        return BaseRateMetamodel(artifact)


class BaseRateMetamodel(StoredMetamodel):
    """One distribution a behavior."""

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return the prior in every row, [n, c] a behavior."""
        return {name: np.tile(prior, (len(texts), 1)) for name, prior in self.priors.items()}
