"""Pretrained token vectors, their mean or attention pools, and a small network, one head a behavior.

Extra `static`: the vectors are wordllama's, 16 MB in its package; nothing is downloaded.

Shapes: n = prompts, v = tokens, d = width of a vector, k = attention heads, w = width of a pool, h = hidden units,
c = outcomes, o = outcomes of all behaviors together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
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
from trainers.inputs.dense import Standardizer
from trainers.inputs.lengths import N_LENGTHS, LengthScale
from trainers.inputs.token_projection import carried_table, carried_vectors, is_carried, with_table
from trainers.inputs.token_vectors import TokenVectors, installed_token_vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# As in trainers.networks.static_network, which cannot be imported without torch.
_FARTHEST_SCORE = 1.0
_MEASURED_PROMPTS = 20_000
_TABLE_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class Static(NetworkOptions):
    """Attention over token vectors that do not depend on their context.

    Attributes, besides those of `NetworkOptions`:
        max_characters: Of a longer prompt the first and the last half of so many characters are read.
        n_pools: Attention heads; the mean of all tokens is one pool more. On left-out domains the mean alone, the
            default, predicted better than any number of heads that was tried.
        pool_width: Width that each pool is projected to.
        hidden: Hidden units.
        dropout: Share of pools and hidden units dropped in training.
    """

    kind: ClassVar[str] = "static"

    max_characters: int = 10_000
    n_pools: int = 0
    pool_width: int = 16
    hidden: int = 16
    dropout: float = 0.5
    learning_rate: float = 0.002
    weight_decay: float = 0.3
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        super().__post_init__()
        for name, least in (("n_pools", 0), ("pool_width", 1), ("hidden", 1), ("max_characters", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, must be from 0 to below 1")

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> StaticMetamodel:
        """Train one network for all behaviors; validation stops it and calibrates.

        Raises:
            DataError: There is no training prompt.
            MetamodelError: The package with the vectors is not installed.
        """
        require_prompts(train)
        vectors = installed_token_vectors()
        counts = vectors.counts(train.texts, max_characters=self.max_characters)
        standardizer = _standardizer(counts, vectors)
        scale = LengthScale.from_texts(train.texts)
        priors = prior_tensors(train)
        inputs = _Rows(counts, scale.features(train.texts))
        judged_counts = vectors.counts(validation.texts, max_characters=self.max_characters)
        judged = _Rows(judged_counts, scale.features(validation.texts))
        network = self._fit_network(
            _Sides(inputs, train, judged, validation),
            standardized(vectors.table, standardizer),
            priors=list(priors.values()),
            context=context,
        )
        raw = Artifact(
            kind=self.kind,
            fields=asdict(self),
            spaces=label_spaces(train),
            facts=TrainingFacts.of(train, validation, context),
            weights={**priors, **standardizer.tensors(), "length_scale": scale.table, **network},
            calibrations=dict.fromkeys(train.labels, Calibration()),
            documents={"vectors": vectors.identity},
            borrowed_bits={vectors.identity: vectors.n_bits},
        )
        uncalibrated = StaticMetamodel(raw, self, vectors).raw_predict(judged_counts, judged.lengths)
        surprise = surprise_share(train.domains, expects_shift=context.expects_shift)
        calibrations = fit_calibrations(uncalibrated, raw.priors, validation, surprise=surprise)
        return StaticMetamodel(replace(raw, calibrations=calibrations), self, vectors)

    def _fit_network(
        self, sides: _Sides, vectors: FloatArray, *, priors: Sequence[Tensor], context: FitContext
    ) -> dict[str, Tensor]:
        """Return the trained network's tensors."""
        import torch

        from trainers.fitting.batches import Examples
        from trainers.fitting.run_lightning import network_tensors, trained_network
        from trainers.networks.static_network import StaticNetwork

        # Every step projects the whole vocabulary, so it holds no token that no prompt has.
        used = np.union1d(sides.inputs.counts.indices, sides.judged.counts.indices).astype(np.int64)

        def build() -> StaticNetwork:
            return StaticNetwork(
                vectors=torch.from_numpy(vectors[used].astype(np.float32)),
                n_pools=self.n_pools,
                pool_width=self.pool_width,
                hidden=self.hidden,
                dropout=self.dropout,
                priors=[prior.tolist() for prior in priors],
            )

        trained = trained_network(
            build,
            Examples(sides.inputs.within(used), sides.train),
            Examples(sides.judged.within(used), sides.validation),
            self,
            context,
        )
        return network_tensors(trained.network)

    @classmethod
    def load(cls, folder: Path) -> StaticMetamodel:
        """Read back what `save` or `save_carried` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or one of other vectors.
            MetamodelError: The package with the vectors is not installed.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        trainer = component_from_fields(cls, artifact.fields)
        if is_carried(artifact):
            return StaticMetamodel(artifact, trainer, carried_vectors(artifact))
        vectors = installed_token_vectors()
        if artifact.documents.get("vectors") != vectors.identity:
            raise DataError(
                f"{folder}: was trained on vectors {artifact.documents.get('vectors')!r}, those here are "
                f"{vectors.identity!r}: train again, or install what it was trained with"
            )
        return StaticMetamodel(artifact, trainer, vectors)


class _Rows:
    """Cuts batches from token counts and lengths that were computed once."""

    def __init__(self, counts: csr_array[np.float32], lengths: FloatArray) -> None:
        self.counts, self.lengths = counts, lengths

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self.lengths)

    def within(self, used: IntArray) -> _Rows:
        """Return the same rows over the given tokens alone, which must be all that occur, rising."""
        from scipy.sparse import csr_array

        columns = np.searchsorted(used, self.counts.indices).astype(np.int32)
        shape = (len(self), len(used))
        offsets = self.counts.indptr.astype(np.int32)
        return _Rows(csr_array((self.counts.data, columns, offsets), shape=shape), self.lengths.astype(np.float32))

    def rows(self, index: IntArray) -> tuple[object, ...]:
        """Return token counts and lengths of some prompts."""
        import torch

        from trainers.networks.sparse_rows import sparse_rows

        return sparse_rows(self.counts[index]), torch.from_numpy(self.lengths[index])


class _Sides(NamedTuple):
    """Inputs and labels of both sides of a fit."""

    inputs: _Rows
    train: LabeledPrompts
    judged: _Rows
    validation: LabeledPrompts


class StaticMetamodel(StoredMetamodel):
    """The trained network, evaluated without torch.

    The same mathematics as `StaticNetwork`, in double precision and summed row by row: a prompt's prediction does not
    depend on what shares its batch, and a pre-screen need not import torch.
    """

    def __init__(self, artifact: Artifact, trainer: Static, vectors: TokenVectors) -> None:
        super().__init__(artifact)
        self._vectors, self._max_characters = vectors, trainer.max_characters
        k, w, h = trainer.n_pools, trainer.pool_width, trainer.hidden
        self._sizes = [len(space.outcomes) for space in artifact.spaces.values()]
        n_outputs = sum(self._sizes)
        self._scale = LengthScale(table=artifact.floats("length_scale", (4, N_LENGTHS)))
        self._pools = (k + 1, w + 1)
        self._hidden = np.ascontiguousarray(artifact.floats("network.hidden.weight", (h, (k + 1) * w + N_LENGTHS)).T)
        self._hidden_bias = artifact.floats("network.hidden.bias", (h,))
        self._heads = np.ascontiguousarray(artifact.floats("network.heads.weight", (n_outputs, h)).T)
        self._heads_bias = artifact.floats("network.heads.bias", (n_outputs,))
        self._table = (
            carried_table(artifact, n_pools=k + 1, width=w)
            if is_carried(artifact)
            else _projected_table(artifact, vectors.table, n_pools=k, width=w)
        )

    def save_carried(self, folder: Path) -> None:
        """Write what `save` writes, and of the vectors what the predictions depend on; `load` needs no package."""
        artifact = self.artifact
        if not is_carried(artifact):
            artifact = with_table(artifact, self._vectors, self._table, n_pools=self._pools[0])
        artifact.save(folder)

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:  # noqa: ARG002 - the protocol's
        """Return calibrated probabilities, [n, c] a behavior."""
        ids = [self._vectors.ids(text, max_characters=self._max_characters) for text in texts]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in ids], dtype=np.int64)])
        tokens = np.concatenate([np.zeros(0, dtype=np.int64), *ids])
        sums = weighted_sums(offsets, tokens, np.ones(len(tokens)), self._table)
        return self.calibrated(self._outcomes(sums, self._scale.features(texts)))

    def raw_predict(self, counts: csr_array[np.float32], lengths: FloatArray) -> Predictions:
        """Return probabilities before calibration, [n, c] a behavior.

        Args:
            counts: How often each token occurs, [n, v].
            lengths: Standardized log lengths, [n, 2].
        """
        return self._outcomes(
            weighted_sums(counts.indptr, counts.indices, counts.data.astype(np.float64), self._table), lengths
        )

    def _outcomes(self, sums: FloatArray, lengths: FloatArray) -> Predictions:
        """Return probabilities before calibration from each prompt's sum over `_table`, and its lengths, [n, 2]."""
        pools = sums.reshape(len(sums), *self._pools)
        totals = pools[:, :, -1:]
        # The weights of a prompt's tokens are positive: a sum of 0 is a prompt without tokens.
        means = (pools[:, :, :-1] / np.where(totals > 0, totals, 1.0)).reshape(
            len(sums), pools.shape[1] * (pools.shape[2] - 1)
        )
        inputs = np.concatenate([means, lengths], axis=1)
        hidden = np.maximum(rowwise_product(inputs, self._hidden) + self._hidden_bias, 0)
        logits = rowwise_product(hidden, self._heads) + self._heads_bias
        return dict(zip(self.spaces, softmax_parts(logits, self._sizes), strict=True))


def _projected_table(artifact: Artifact, vectors: NDArray[np.float16], *, n_pools: int, width: int) -> FloatArray:
    """Return each token's weight in each pool and its projected vector times that weight, [v, (k + 1) * (w + 1)].

    A pool is a weighted mean and its projection linear, so both are done here, once for every token, and a prompt is
    one sum of rows.
    """
    d = vectors.shape[1]
    standardizer = Standardizer.from_artifact(artifact, d)
    scorers = artifact.floats("network.scorers", (n_pools, d))
    projections = artifact.floats("network.projections", (n_pools + 1, d, width))
    table = np.empty((len(vectors), n_pools + 1, width + 1))
    for start in range(0, len(table), _TABLE_ROWS):  # a table in double precision would take much memory
        rows = slice(start, start + _TABLE_ROWS)
        scaled = standardized(vectors[rows], standardizer)
        for number, projection in enumerate(projections):
            weights = np.ones(len(scaled))
            if number < len(scorers):
                weights = np.exp(_FARTHEST_SCORE * np.tanh(scaled @ scorers[number]))
            table[rows, number, :-1] = (scaled @ projection) * weights[:, None]
            table[rows, number, -1] = weights
    return table.reshape(len(table), (n_pools + 1) * (width + 1))


def standardized(table: NDArray[np.float16], standardizer: Standardizer) -> FloatArray:
    """Return vectors of which the mean over a training prompt's tokens has mean 0 and deviation 1, [v, d].

    Without the standardizer's limit: a single token lies far outside what means over tokens reach.
    """
    mean, inverse_deviation = standardizer.table
    vectors: FloatArray = (table.astype(np.float64) - mean) * inverse_deviation
    return vectors


def _standardizer(counts: csr_array[np.float32], vectors: TokenVectors) -> Standardizer:
    """Measure the mean vectors of the training prompts, some of them where there are many."""
    n_tokens = np.diff(counts.indptr)
    rows = np.flatnonzero(n_tokens)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED_PROMPTS)).astype(np.int64))]
    if not len(rows):
        return Standardizer.of(np.zeros((1, vectors.table.shape[1])))
    some = counts[rows]
    totals: FloatArray = np.asarray(some.sum(axis=1), dtype=np.float64)
    return Standardizer.of((some @ vectors.table.astype(np.float32)).astype(np.float64) / totals[:, None])
