"""What the bag of n-grams feeds its network: weighted buckets and the prompt's length.

Shapes: n = texts, b = buckets kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts
from metamodel.types import FloatArray, IntArray
from trainers import native
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.heads.logistic import weighted_sums
from trainers.inputs.hashing import NGramCounts, NGramScheme, count_ngrams, count_piece, text_pieces
from trainers.inputs.lengths import LengthScale
from trainers.inputs.selection import most_stable, spread_rows
from trainers.inputs.threads import in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Inputs(NamedTuple):
    """The network's inputs.

    Attributes:
        ngrams: Weight of each kept bucket, [n, b], in single precision: the largest thing that a fit holds. Rows have
            norm 1, or 0 where nothing kept occurs.
        lengths: Standardized log lengths, [n, 2].
    """

    ngrams: csr_array[np.float32]
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
        """Choose buckets and weights from the training texts, and return those texts' inputs with them.

        Texts are hashed twice, once to count prompts and once to weigh: what is dropped is never held.
        """
        frequencies = prompts_with_bucket(texts, scheme)
        features = cls.of_frequencies(texts, scheme, frequencies, min_prompts=min_prompts)
        return features, features.inputs(texts, n_entries=int(frequencies[features.buckets].sum()))

    @classmethod
    def fit_stable(
        cls,
        prompts: LabeledPrompts,
        scheme: NGramScheme,
        *,
        min_prompts: int,
        most: int,
        expects_shift: bool,
        seed: int,
    ) -> tuple[BagFeatures, Inputs]:
        """Like `fit`, but keep only buckets whose association with the labels holds across training domains.

        Args:
            prompts: Training prompts, at least one.
            scheme: How n-grams fall into buckets.
            min_prompts: As for `fit`.
            most: Most buckets kept.
            expects_shift: Whether whole domains are left out to see what holds.
            seed: Seed of the deal of domains to groups.
        """
        frequencies = prompts_with_bucket(prompts.texts, scheme)
        features = cls.of_frequencies(prompts.texts, scheme, frequencies, min_prompts=min_prompts)
        some = prompts.take(spread_rows(len(prompts)))
        ngrams = features.inputs(some.texts).ngrams
        chosen = features.buckets[most_stable(ngrams, some, most=most, expects_shift=expects_shift, seed=seed)]
        stable = np.zeros_like(frequencies)
        stable[chosen] = frequencies[chosen]
        features = cls.of_frequencies(prompts.texts, scheme, stable, min_prompts=min_prompts)
        return features, features.inputs(prompts.texts, n_entries=int(frequencies[features.buckets].sum()))

    @classmethod
    def of_frequencies(
        cls, texts: Sequence[str], scheme: NGramScheme, frequencies: IntArray, *, min_prompts: int
    ) -> BagFeatures:
        """Keep the buckets that enough training texts share.

        Args:
            texts: Training texts, at least one.
            scheme: How n-grams fall into buckets.
            frequencies: Training texts with each bucket, [n_buckets]; 0 drops a bucket.
            min_prompts: Texts that must share a bucket, or all of them where there are fewer.
        """
        kept = np.flatnonzero(frequencies >= max(min(min_prompts, len(texts)), 1))
        if not len(kept):  # nothing is shared: keep a bucket, for a table needs a row
            kept = np.zeros(1, dtype=np.int64)
        idf = np.log((1 + len(texts)) / (1 + frequencies[kept]))
        # Stored in single precision, so used in single precision from the start.
        return cls(
            scheme=scheme,
            buckets=kept,
            idf=idf.astype(np.float32).astype(np.float64),
            scale=LengthScale.from_texts(texts),
        )

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

    def inputs(self, texts: Sequence[str], *, n_entries: int | None = None) -> Inputs:
        """Return the inputs of new texts; each row depends on its own text alone.

        Args:
            texts: Texts, n of them.
            n_entries: Entries of all rows together, where known: then nothing is held twice.
        """
        from scipy.sparse import csr_array

        pieces: Iterable[_Rows] = in_threads(self._read, text_pieces(texts, self.scheme))
        if n_entries is None:
            pieces = list(pieces)
            n_entries = sum(len(piece.columns) for piece in pieces)
        columns, weights = np.empty(n_entries, dtype=np.int32), np.empty(n_entries, dtype=np.float32)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        row = entry = 0
        for piece in pieces:
            rows, entries = slice(row + 1, row + len(piece.offsets)), slice(entry, entry + len(piece.columns))
            offsets[rows] = entry + piece.offsets[1:]
            columns[entries], weights[entries] = piece.columns, piece.weights
            row, entry = rows.stop - 1, entries.stop
        if n_entries < np.iinfo(np.int32).max:  # half the memory to walk through in every step
            offsets = offsets.astype(np.int32)
        ngrams = csr_array((weights, columns, offsets), shape=(len(texts), len(self.buckets)))
        return Inputs(ngrams=ngrams, lengths=self.scale.features(texts))

    def sums(self, texts: Sequence[str], table: NDArray[np.float32]) -> FloatArray:
        """Return the weighted sum of a table's rows, [b, w], over each text's buckets, [n, w]."""

        def summed(piece: list[str]) -> FloatArray:
            rows = self._read(piece)
            return weighted_sums(rows.offsets, rows.columns, rows.weights.astype(np.float64), table)

        sums = [*in_threads(summed, text_pieces(texts, self.scheme))]
        return sums[0] if len(sums) == 1 else np.concatenate([np.zeros((0, table.shape[1])), *sums])

    @cached_property
    def _column_of(self) -> NDArray[np.int32]:
        """Column of each bucket, [n_buckets]; -1 where it was dropped."""
        column_of = np.full(self.scheme.n_buckets, -1, dtype=np.int32)
        column_of[self.buckets] = np.arange(len(self.buckets))
        return column_of

    @cached_property
    def _single_idf(self) -> NDArray[np.float32]:
        return self.idf.astype(np.float32)

    def _read(self, piece: list[str]) -> _Rows:
        """Return the rows of one piece of texts."""
        counts = count_piece(piece, self.scheme)
        if native.kernels is None:
            return self._weighted(counts)
        n_entries = len(counts.buckets)
        offsets, columns = np.empty_like(counts.offsets), np.empty(n_entries, dtype=np.int32)
        weights = np.empty(n_entries, dtype=np.float32)
        native.kernels.weigh_buckets(
            counts.offsets,
            counts.buckets,
            counts.counts,
            self._column_of,
            self._single_idf,
            _count_weights(),
            offsets,
            columns,
            weights,
        )
        return _Rows(offsets=offsets, columns=columns[: offsets[-1]], weights=weights[: offsets[-1]])

    def _weighted(self, counts: NGramCounts) -> _Rows:
        """Return the rows of counts, by numpy."""
        columns = self._column_of.take(counts.buckets)
        n_hits, offsets = counts.counts, counts.offsets
        kept = (columns >= 0).nonzero()[0]
        if len(kept) < len(columns):
            columns, n_hits, offsets = columns[kept], n_hits[kept], np.searchsorted(kept, offsets)
        weights = self._single_idf.take(columns)
        repeated = (n_hits > 1).nonzero()[0]  # few, and a logarithm costs more than finding them
        weights[repeated] *= (1 + np.log(n_hits[repeated])).astype(np.float32)
        sizes = np.diff(offsets)
        squares = np.zeros(len(weights) + 1)  # a last row without entries would begin behind the others
        np.square(weights, out=squares[:-1])
        # A row without entries takes over the next one's first, and divides nothing by it.
        norms = np.sqrt(np.add.reduceat(squares, offsets[:-1]))
        weights /= np.repeat(np.where(norms > 0, norms, 1.0).astype(np.float32), sizes)
        return _Rows(offsets=offsets, columns=columns, weights=weights)


class _Rows(NamedTuple):
    """Compressed rows of some texts.

    Attributes:
        offsets: Text i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        columns: Column of each entry.
        weights: Weight of each entry.
    """

    offsets: IntArray
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]


@cache
def _count_weights() -> NDArray[np.float32]:
    """Return what a bucket's count multiplies its weight by, for counts from 1 on."""
    return (1 + np.log(np.arange(1, 1025))).astype(np.float32)


def prompts_with_bucket(texts: Sequence[str], scheme: NGramScheme) -> IntArray:
    """Return how many texts hold each bucket, [n_buckets]."""
    frequencies = np.zeros(scheme.n_buckets, dtype=np.int64)
    for counts in count_ngrams(texts, scheme):
        frequencies += np.bincount(counts.buckets, minlength=scheme.n_buckets)
    return frequencies
