"""Reads nothing but the prompt's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.artifact import Artifact, StoredMetamodel, Tensor, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, fit_calibrations
from trainers.heads.logistic import fit_heads, read_heads, require_positive
from trainers.heads.outcomes import outcome_shares, require_prompts
from trainers.inputs.lengths import LengthScale

_N_FEATURES = 5


@dataclass(frozen=True, kw_only=True)
class PromptLength:
    """Multinomial logistic regression on log(1 + characters) and log(1 + words), their squares and product.

    Attributes:
        C: Inverse of the penalty on the coefficients, above 0.
    """

    kind: ClassVar[str] = "prompt_length"

    C: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a penalty that scikit-learn would refuse."""
        require_positive("C", [self.C])

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> PromptLengthMetamodel:
        """Fit one regression a behavior; validation calibrates.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        scale = LengthScale.from_texts(train.texts)
        features = _features(scale, train.texts)
        weights: dict[str, Tensor] = {**prior_tensors(train), "length_scale": scale.table}
        for index, table in enumerate(train.labels.values()):
            rows, shares = outcome_shares(table)
            weights |= next(fit_heads(features[rows], shares, [self.C])).tensors(index)
        raw = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(train),
            facts=TrainingFacts.of(train, validation, context),
            weights=weights,
            calibrations=dict.fromkeys(train.labels, Calibration()),
        )
        uncalibrated = PromptLengthMetamodel(raw).raw_predict(validation.texts)
        return PromptLengthMetamodel(replace(raw, calibrations=fit_calibrations(uncalibrated, raw.priors, validation)))

    @classmethod
    def load(cls, folder: Path) -> PromptLengthMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        component_from_fields(cls, artifact.fields)
        return PromptLengthMetamodel(artifact)


class PromptLengthMetamodel(StoredMetamodel):
    """A softmax of functions of length."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(artifact)
        self._scale = LengthScale(table=artifact.floats("length_scale", (4, 2)))
        self._heads = read_heads(artifact, n_features=_N_FEATURES)

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        return self.calibrated(self.raw_predict(texts))

    def raw_predict(self, texts: Sequence[str]) -> Predictions:
        """Return probabilities before calibration, [n, c] a behavior."""
        features = _features(self._scale, texts)
        return {name: head.predict(features, self.priors[name]) for name, head in self._heads.items()}


def _features(scale: LengthScale, texts: Sequence[str]) -> FloatArray:
    """Return the regression's inputs, [n, 5]."""
    lengths = scale.features(texts)
    characters, words = lengths[:, :1], lengths[:, 1:]
    return np.hstack([characters, words, characters**2, words**2, characters * words])
