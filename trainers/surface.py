"""Surface: how a prompt looks (lengths, marks, numbers, structure, options, function words), trees and a regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.types import FloatArray
from trainers.artifacts.artifact import JSON
from trainers.fitting.dense import DenseTrainer, HeadName
from trainers.heads.family import Head
from trainers.inputs.surface_features import SurfaceFeatures

# Enough to rank features by; each is read once for every feature.
_TRIED_PROMPTS = 64
_LISTED_FEATURES = 20


@dataclass(frozen=True, kw_only=True)
class Surface(DenseTrainer):
    """Boosted trees and a logistic regression on features that are counted, not learned.

    Nothing pretrained is read and nothing of a prompt's subject, so little can be mistaken for a rule that holds in one
    domain alone. The document `importances` of a saved metamodel says which features move its predictions most.

    Attributes:
        max_characters: Of a longer prompt the first and the last half of so many characters are read.

    >>> len(Surface().inputs().names) == Surface().inputs().width
    True
    """

    kind: ClassVar[str] = "surface"

    head: HeadName = "best"
    C_grid: tuple[float, ...] = (0.0003, 0.003, 0.03)
    choosing_prompts: int = 4_000
    fitting_prompts: int = 20_000
    max_characters: int = 8_000

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        super().__post_init__()
        if self.max_characters < 2:  # noqa: PLR2004 - one for the first half, one for the last
            raise ValueError(f"max_characters is {self.max_characters}, must be at least 2")

    def inputs(self) -> SurfaceFeatures:
        """Return the features."""
        return SurfaceFeatures(max_characters=self.max_characters)

    def further_documents(
        self, heads: Mapping[str, Head], features: FloatArray, priors: Mapping[str, FloatArray]
    ) -> dict[str, JSON]:
        """Return how far each behavior's predictions move without each feature, the most important first."""
        rows = np.unique(np.linspace(0, len(features) - 1, _TRIED_PROMPTS).astype(np.int64))
        names = self.inputs().names
        document: dict[str, JSON] = {}
        for behavior, head in heads.items():
            moves = moved_by_features(head, features[rows], priors[behavior])
            order = np.argsort(-moves, kind="stable")[:_LISTED_FEATURES]
            document[behavior] = {names[place]: round(float(moves[place]), 6) for place in order if moves[place] > 0}
        return {"importances": document}


def moved_by_features(head: Head, features: FloatArray, prior: FloatArray) -> FloatArray:
    """Return how far predictions move when one feature is set to its training mean, [d].

    The distance is the total variation (half the sum of absolute differences of probabilities), averaged over prompts.

    Args:
        head: A fitted head.
        features: Standardized features of some prompts, so that 0 is the training mean, [n, d].
        prior: Training prior, [c].
    """
    n, d = features.shape
    without = np.tile(features, (d, 1, 1))  # [d, n, d]
    without[np.arange(d), :, np.arange(d)] = 0
    moved = head.predict(without.reshape(d * n, d), prior).reshape(d, n, -1) - head.predict(features, prior)
    distances: FloatArray = abs(moved).sum(axis=2).mean(axis=1) / 2
    return distances
