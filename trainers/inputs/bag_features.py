"""What the bag of n-grams feeds its network: weighted buckets and the prompt's length.

Shapes: n = texts, b = buckets kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.types import FloatArray, IntArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.inputs.hashing import NGramCounts, NGramScheme, count_ngrams
from trainers.inputs.lengths import LengthScale

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Inputs(NamedTuple):
    """The network's inputs.

    Attributes:
        ngrams: Weight of each kept bucket, [n, b]; rows have norm 1, or 0 where nothing kept occurs.
        lengths: Standardized log lengths, [n, 2].
    """

    ngrams: csr_array[np.float64]
    lengths: FloatArray


@dataclass(frozen=True, kw_only=True)
class BagFeatures:
    """Turns texts into inputs.

    A bucket weighs (1 + ln count) * idf, each text is scaled to norm 1 (Salton and Buckley, Term-weighting approaches
    in automatic text retrieval, 1988). Buckets that fewer prompts share than asked for are dropped: one prompt's n-gram
    says nothing of another prompt.

    Attributes:
        scheme: How n-grams fall into buckets.
        buckets: Buckets kept, rising, [b].
        idf: ln((1 + n) / (1 + training prompts with the bucket)), [b]: 0 for a bucket in every prompt.
        scale: Standardizes lengths.
    """

    scheme: NGramScheme
    buckets: IntArray
    idf: FloatArray
    scale: LengthScale

    @classmethod
    def fit(cls, texts: Sequence[str], scheme: NGramScheme, *, min_prompts: int) -> tuple[BagFeatures, Inputs]:
        """Choose buckets and weights from the training texts, and return those texts' inputs with them."""
        counts = count_ngrams(texts, scheme)
        frequency = np.bincount(counts.buckets, minlength=scheme.n_buckets)
        kept = np.flatnonzero(frequency >= min(min_prompts, len(texts)))
        if not len(kept):  # nothing is shared: keep a bucket, for a table needs a row
            kept = np.zeros(1, dtype=np.int64)
        idf = np.log((1 + len(texts)) / (1 + frequency[kept]))
        # Stored in single precision, so used in single precision from the start.
        features = cls(
            scheme=scheme,
            buckets=kept,
            idf=idf.astype(np.float32).astype(np.float64),
            scale=LengthScale.from_texts(texts),
        )
        return features, features._inputs(texts, counts)

    @classmethod
    def from_artifact(cls, artifact: Artifact, scheme: NGramScheme) -> BagFeatures:
        """Read the tensors that `tensors` named.

        Raises:
            DataError: One is missing or has another type or shape.
        """
        buckets = artifact.indices("buckets", (None,), below=scheme.n_buckets)
        idf = artifact.floats("idf", (len(buckets),))
        if (idf < 0).any():
            raise DataError("weights.safetensors: idf must not be negative: train again")
        scale = LengthScale(table=artifact.floats("length_scale", (4, 2)))
        return cls(scheme=scheme, buckets=buckets, idf=idf, scale=scale)

    def tensors(self) -> dict[str, Tensor]:
        """Return what an artifact keeps."""
        return {
            "buckets": self.buckets.astype(np.int32),
            "idf": self.idf.astype(np.float32),
            "length_scale": self.scale.table,
        }

    def inputs(self, texts: Sequence[str]) -> Inputs:
        """Return the inputs of new texts; each row depends on its own text alone."""
        return self._inputs(texts, count_ngrams(texts, self.scheme))

    @cached_property
    def _column_of(self) -> NDArray[np.int32]:
        """Column of each bucket, [n_buckets]; -1 where it was dropped."""
        column_of = np.full(self.scheme.n_buckets, -1, dtype=np.int32)
        column_of[self.buckets] = np.arange(len(self.buckets))
        return column_of

    def _inputs(self, texts: Sequence[str], counts: NGramCounts) -> Inputs:
        from scipy.sparse import csr_array

        columns = self._column_of[counts.buckets]
        kept = columns >= 0
        rows = np.repeat(np.arange(len(texts)), np.diff(counts.offsets))[kept]
        columns = columns[kept]
        weights = (1 + np.log(counts.counts[kept])) * self.idf[columns]
        norms = np.sqrt(np.bincount(rows, weights=weights**2, minlength=len(texts)))
        weights /= np.where(norms > 0, norms, 1.0)[rows]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(rows, minlength=len(texts)))])
        if offsets[-1] < np.iinfo(np.int32).max:  # half the memory to walk through in every step
            offsets = offsets.astype(np.int32)
        ngrams = csr_array((weights, columns, offsets), shape=(len(texts), len(self.buckets)))
        return Inputs(ngrams=ngrams, lengths=self.scale.features(texts))
