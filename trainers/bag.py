"""Hashed word and character n-grams into an embedding bag and a small network, one head a behavior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray, Predictions
from trainers.artifacts.artifact import Artifact, StoredMetamodel, Tensor, TrainingFacts, label_spaces, prior_tensors
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, fit_calibrations
from trainers.fitting.domain_folds import surprise_share
from trainers.fitting.network_options import NetworkOptions
from trainers.heads.logistic import rowwise_product, weighted_sums
from trainers.heads.outcomes import require_prompts, softmax_parts
from trainers.inputs.bag_features import BagFeatures, Inputs
from trainers.inputs.hashing import NGramScheme
from trainers.inputs.lengths import N_LENGTHS

Selection = Literal["frequency", "stable"]


@dataclass(frozen=True, kw_only=True)
class Bag(NetworkOptions):
    """A bag of hashed n-grams with a small network on top, trained with Lightning.

    Attributes, besides those of `NetworkOptions`:
        n_buckets: Buckets that n-grams are hashed into.
        word_ngrams: Lengths of word n-grams.
        character_ngrams: Lengths of character n-grams.
        max_characters: Of a longer prompt the first and the last half of so many characters are read.
        min_prompts: Training prompts that must share a bucket for it to be kept.
        selection: Whether all such buckets are kept, or only those whose association with the labels holds across
            training domains, see `trainers.inputs.selection`.
        max_stable: Most stable buckets kept.
        dimension: Width of an embedding.
        hidden: Hidden units.
        dropout: Share of inputs and hidden units dropped in training.
    """

    kind: ClassVar[str] = "bag"

    n_buckets: int = 2**16
    word_ngrams: tuple[int, ...] = (1, 2)
    character_ngrams: tuple[int, ...] = (2, 3, 4, 5)
    max_characters: int = 10_000
    min_prompts: int = 3
    selection: Selection = "frequency"
    max_stable: int = 8192
    dimension: int = 32
    hidden: int = 32
    dropout: float = 0.3
    learning_rate: float = 0.02
    most_steps: int = 100

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        super().__post_init__()
        self.scheme()
        if self.selection not in get_args(Selection):
            raise ValueError(f"selection is {self.selection!r}, must be one of {', '.join(get_args(Selection))}")
        for name in ("min_prompts", "max_stable", "dimension", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, must be from 0 to below 1")

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
        features, inputs = self._fit_features(train, context)
        validation_inputs = features.inputs(validation.texts)
        priors = prior_tensors(train)
        network = self._fit_network(
            _Rows(inputs), train, _Rows(validation_inputs), validation, priors=list(priors.values()), context=context
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
        surprise = surprise_share(train.domains, expects_shift=context.expects_shift)
        calibrations = fit_calibrations(uncalibrated, raw.priors, validation, surprise=surprise)
        return BagMetamodel(replace(raw, calibrations=calibrations), self)

    def _fit_features(self, train: LabeledPrompts, context: FitContext) -> tuple[BagFeatures, Inputs]:
        """Choose the buckets that are kept."""
        if self.selection == "frequency":
            return BagFeatures.fit(train.texts, self.scheme(), min_prompts=self.min_prompts)
        return BagFeatures.fit_stable(
            train,
            self.scheme(),
            min_prompts=self.min_prompts,
            most=self.max_stable,
            expects_shift=context.expects_shift,
            seed=context.seed,
        )

    def _fit_network(
        self,
        inputs: _Rows,
        train: LabeledPrompts,
        validation_inputs: _Rows,
        validation: LabeledPrompts,
        *,
        priors: Sequence[Tensor],
        context: FitContext,
    ) -> dict[str, Tensor]:
        """Return the trained network's tensors."""
        from trainers.fitting.batches import Examples
        from trainers.fitting.run_lightning import network_tensors, trained_network
        from trainers.networks.bag_network import BagNetwork

        def build() -> BagNetwork:
            return BagNetwork(
                n_buckets=inputs.n_buckets,
                dimension=self.dimension,
                hidden=self.hidden,
                dropout=self.dropout,
                priors=[prior.tolist() for prior in priors],
            )

        trained = trained_network(
            build, Examples(inputs, train), Examples(validation_inputs, validation), self, context
        )
        return network_tensors(trained.network)

    @classmethod
    def load(cls, folder: Path) -> BagMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        return BagMetamodel(artifact, component_from_fields(cls, artifact.fields))


class _Rows:
    """Cuts batches from inputs that were computed once."""

    def __init__(self, inputs: Inputs) -> None:
        self._ngrams, self._lengths = inputs.ngrams, inputs.lengths.astype(np.float32)

    @property
    def n_buckets(self) -> int:
        """Rows that the embedding table needs."""
        return int(self._ngrams.shape[1])

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self._lengths)

    def rows(self, index: IntArray) -> tuple[object, ...]:
        """Return n-grams and lengths of some prompts."""
        import torch

        from trainers.networks.sparse_rows import sparse_rows

        return sparse_rows(self._ngrams[index]), torch.from_numpy(self._lengths[index])


class BagMetamodel(StoredMetamodel):
    """The trained network, evaluated without torch.

    The same mathematics as `BagNetwork`, in double precision and summed row by row: a prompt's prediction does not
    depend on what shares its batch, and a pre-screen need not import torch.
    """

    def __init__(self, artifact: Artifact, trainer: Bag) -> None:
        super().__init__(artifact)
        self._features = BagFeatures.from_artifact(artifact, trainer.scheme())
        self._sizes = [len(space.outcomes) for space in artifact.spaces.values()]
        n_outputs = sum(self._sizes)
        width, hidden = trainer.dimension, trainer.hidden
        # As it is stored: half the memory to fetch rows from.
        self._embedding = artifact.floats("network.embedding.weight", (len(self._features.buckets), width)).astype(
            np.float32
        )
        self._hidden = np.ascontiguousarray(artifact.floats("network.hidden.weight", (hidden, width + N_LENGTHS)).T)
        self._hidden_bias = artifact.floats("network.hidden.bias", (hidden,))
        self._heads = np.ascontiguousarray(artifact.floats("network.heads.weight", (n_outputs, hidden)).T)
        self._heads_bias = artifact.floats("network.heads.bias", (n_outputs,))

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        bags = self._features.sums(texts, self._embedding)
        return self.calibrated(self._outcomes(bags, self._features.scale.features(texts)))

    def raw_predict(self, inputs: Inputs) -> Predictions:
        """Return probabilities before calibration, [n, c] a behavior."""
        rows = inputs.ngrams
        bags = weighted_sums(rows.indptr, rows.indices, rows.data.astype(np.float64), self._embedding)
        return self._outcomes(bags, inputs.lengths)

    def _outcomes(self, bags: FloatArray, lengths: FloatArray) -> Predictions:
        """Return probabilities before calibration from embedding bags, [n, d], and lengths, [n, 2]."""
        inputs = np.concatenate([bags, lengths], axis=1)
        hidden = np.maximum(rowwise_product(inputs, self._hidden) + self._hidden_bias, 0)
        logits = rowwise_product(hidden, self._heads) + self._heads_bias
        return dict(zip(self.spaces, softmax_parts(logits, self._sizes), strict=True))
