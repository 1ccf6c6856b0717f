"""Hashed word and character n-grams into an embedding bag and a small network, one head a behavior."""

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
from trainers.heads.logistic import rowwise_product
from trainers.heads.outcomes import outcome_shares, require_prompts, softmax
from trainers.inputs.bag_features import BagFeatures, Inputs
from trainers.inputs.hashing import NGramScheme
from trainers.inputs.lengths import N_LENGTHS

_PREDICTION_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A bag of hashed n-grams with a small network on top, trained with Lightning.

    Attributes:
        n_buckets: Buckets that n-grams are hashed into.
        word_ngrams: Lengths of word n-grams.
        character_ngrams: Lengths of character n-grams.
        max_characters: Of a longer prompt the first and the last half of so many characters are read.
        min_prompts: Training prompts that must share a bucket for it to be kept.
        dimension: Width of an embedding.
        hidden: Hidden units.
        dropout: Share of inputs and hidden units dropped in training.
        learning_rate: Adam's step.
        weight_decay: Decoupled weight decay.
        max_epochs: Most passes over the training prompts.
        patience: Passes without fewer validation bits before training stops.
        batch_size: Prompts a step.
    """

    kind: ClassVar[str] = "bag"

    n_buckets: int = 2**16
    word_ngrams: tuple[int, ...] = (1, 2)
    character_ngrams: tuple[int, ...] = (2, 3, 4, 5)
    max_characters: int = 10_000
    min_prompts: int = 3
    dimension: int = 32
    hidden: int = 32
    dropout: float = 0.3
    learning_rate: float = 0.02
    weight_decay: float = 0.01
    max_epochs: int = 40
    patience: int = 4
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        self.scheme()
        for name in ("min_prompts", "dimension", "hidden", "max_epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, must be from 0 to below 1")
        if not 0 < self.learning_rate < float("inf") or not 0 <= self.weight_decay < float("inf"):
            raise ValueError(
                f"learning_rate is {self.learning_rate}, must be above 0; weight_decay is {self.weight_decay}, must be "
                "at least 0; both must be finite"
            )

    def scheme(self) -> NGramScheme:
        """Return how prompts are read."""
        return NGramScheme(
            n_buckets=self.n_buckets,
            word_ngrams=self.word_ngrams,
            character_ngrams=self.character_ngrams,
            max_characters=self.max_characters,
        )

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> BagMetamodel:
        """Train one network for all behaviors; validation stops it and calibrates.

        Raises:
            DataError: There is no training prompt.
        """
        require_prompts(train)
        features, inputs = BagFeatures.fit(train.texts, self.scheme(), min_prompts=self.min_prompts)
        validation_inputs = features.inputs(validation.texts)
        priors = prior_tensors(train)
        network = self._fit_network(
            inputs, train, validation_inputs, validation, priors=list(priors.values()), context=context
        )
        raw = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(train),
            facts=TrainingFacts.of(train, validation, context),
            weights={**priors, **features.tensors(), **network},
            calibrations=dict.fromkeys(train.labels, Calibration()),
        )
        uncalibrated = BagMetamodel(raw, self).raw_predict(validation_inputs)
        calibrations = fit_calibrations(uncalibrated, raw.priors, validation)
        return BagMetamodel(replace(raw, calibrations=calibrations), self)

    def _fit_network(
        self,
        inputs: Inputs,
        train: LabeledPrompts,
        validation_inputs: Inputs,
        validation: LabeledPrompts,
        *,
        priors: Sequence[Tensor],
        context: FitContext,
    ) -> dict[str, Tensor]:
        """Return the trained network's tensors."""
        import torch

        from trainers.fitting.lightning_fit import Batches, Schedule, fit_network
        from trainers.networks.bag_network import BagNetwork

        targets = _targets(train, train)
        validation_targets = _targets(validation, train)
        schedule = Schedule(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            max_epochs=self.max_epochs,
            patience=self.patience,
            batch_size=self.batch_size,
        )
        with torch.random.fork_rng(devices=[]):  # the caller's random stream stays where it was
            torch.manual_seed(context.seed)
            network = BagNetwork(
                n_buckets=inputs.ngrams.shape[1],
                dimension=self.dimension,
                hidden=self.hidden,
                dropout=self.dropout,
                priors=[prior.tolist() for prior in priors],
            )
            batches = Batches(inputs, targets, batch_size=self.batch_size, seed=context.seed)
            judged = None
            if validation_targets.any():
                judged = Batches(validation_inputs, validation_targets, batch_size=_PREDICTION_ROWS, seed=None)
            if targets.any():
                fit_network(network, batches, judged, schedule, context)
        return {f"network.{name}": tensor.detach().numpy() for name, tensor in network.state_dict().items()}

    @classmethod
    def load(cls, folder: Path) -> BagMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        return BagMetamodel(artifact, component_from_fields(cls, artifact.fields))


class BagMetamodel(StoredMetamodel):
    """The trained network, evaluated without torch.

    The same mathematics as `BagNetwork`, in double precision and summed row by row: a prompt's prediction does not
    depend on what shares its batch, and a pre-screen need not import torch.
    """

    def __init__(self, artifact: Artifact, trainer: Bag) -> None:
        super().__init__(artifact)
        self._features = BagFeatures.from_artifact(artifact, trainer.scheme())
        n_outputs = sum(len(space.outcomes) for space in artifact.spaces.values())
        width, hidden = trainer.dimension, trainer.hidden
        self._embedding = artifact.floats("network.embedding.weight", (len(self._features.buckets), width))
        self._hidden = artifact.floats("network.hidden.weight", (hidden, width + N_LENGTHS)).T
        self._hidden_bias = artifact.floats("network.hidden.bias", (hidden,))
        self._heads = artifact.floats("network.heads.weight", (n_outputs, hidden)).T
        self._heads_bias = artifact.floats("network.heads.bias", (n_outputs,))

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        return self.calibrated(self.raw_predict(self._features.inputs(texts)))

    def raw_predict(self, inputs: Inputs) -> Predictions:
        """Return probabilities before calibration, [n, c] a behavior."""
        bag = rowwise_product(inputs.ngrams, self._embedding)
        hidden = np.maximum(rowwise_product(np.hstack([bag, inputs.lengths]), self._hidden) + self._hidden_bias, 0)
        logits = rowwise_product(hidden, self._heads) + self._heads_bias
        ends = np.cumsum([len(space.outcomes) for space in self.spaces.values()])
        parts = np.split(logits, ends[:-1], axis=1)
        return {name: softmax(part) for name, part in zip(self.spaces, parts, strict=True)}


def _targets(prompts: LabeledPrompts, train: LabeledPrompts) -> FloatArray:
    """Return the outcome shares of all behaviors of `train` side by side, scaled to sum to means, [n, o]."""
    blocks = []
    for name, table in train.labels.items():
        block = np.zeros((len(prompts), len(table.space.outcomes)))
        if name in prompts.labels:
            rows, shares = outcome_shares(prompts.labels[name])
            block[rows] = shares * (len(prompts) / max(len(rows), 1))
        blocks.append(block)
    return np.hstack(blocks)
