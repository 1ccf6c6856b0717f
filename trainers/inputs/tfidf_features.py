"""Tf-idf weights of n-grams with a known vocabulary, as scikit-learn's TfidfVectorizer gives them, without it.

A pre-screen predicts where scikit-learn is not installed. The same text gives the same n-grams in the same order;
weights agree to rounding (sublinear counts, idf, rows of norm 1).

Shapes: n = texts, d = terms, g = different terms of all texts, w = columns of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from metamodel.types import FloatArray, IntArray
from trainers.heads.logistic import weighted_sums

# scikit-learn's own pattern drops digits that stand alone and all punctuation, which carry most of a short task.
TOKEN_PATTERN = r"\w+|[^\w\s]"  # noqa: S105 - a pattern of words, not a password
_TOKENS = re.compile(TOKEN_PATTERN)
# As scikit-learn: a space that stands alone stays what it is.
_WHITE_SPACES = re.compile(r"\s\s+")


@dataclass(frozen=True, kw_only=True)
class SparseRows:
    """A sparse matrix of which only products with tables are asked, [n, d].

    Attributes:
        offsets: Row i owns the entries from offsets[i] to offsets[i + 1], [n + 1].
        columns: Rising within a row, [g].
        values: [g].
        n_columns: d.
    """

    offsets: IntArray
    columns: IntArray
    values: FloatArray
    n_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.offsets) - 1, self.n_columns

    def take(self, rows: IntArray) -> SparseRows:
        """Return some rows, in the given order."""
        places = [np.arange(self.offsets[row], self.offsets[row + 1]) for row in rows]
        entries = np.concatenate([np.zeros(0, dtype=np.int64), *places])
        return SparseRows(
            offsets=np.cumsum([0, *map(len, places)]),
            columns=self.columns[entries],
            values=self.values[entries],
            n_columns=self.n_columns,
        )

    def __matmul__(self, table: FloatArray) -> FloatArray:
        """Return the product with a table, [n, w]; a row's never depends on the others."""
        return weighted_sums(self.offsets, self.columns, self.values, table)


@dataclass(frozen=True, kw_only=True)
class TfidfFeatures:
    """Turns texts into weights.

    Attributes:
        analyzer: "word", "char" or "char_wb", as scikit-learn's.
        ngram_range: Shortest and longest n-gram.
        column_of: Column of each term.
        idf: Weight of each term, [d].
    """

    analyzer: str
    ngram_range: tuple[int, int]
    column_of: Mapping[str, int]
    idf: FloatArray

    def rows(self, texts: Sequence[str]) -> SparseRows:
        """Return the weights of some texts, [n, d]."""
        lengths, columns, values = [0], [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
        for text in texts:
            held, weights = self._row(text)
            lengths.append(len(held))
            columns.append(held)
            values.append(weights)
        return SparseRows(
            offsets=np.cumsum(lengths),
            columns=np.concatenate(columns),
            values=np.concatenate(values),
            n_columns=len(self.idf),
        )

    def _row(self, text: str) -> tuple[IntArray, FloatArray]:
        """Return the columns of a text's known terms, rising, and their weights."""
        found = [column for column in map(self.column_of.get, self._ngrams(text.lower())) if column is not None]
        columns, counts = np.unique(np.array(found, dtype=np.int64), return_counts=True)
        weights = (1 + np.log(counts)) * self.idf[columns]
        norm = float(np.sqrt(weights @ weights))
        return columns, weights / norm if norm else weights

    def _ngrams(self, text: str) -> Iterator[str]:
        if self.analyzer == "word":
            return self._word_ngrams(_TOKENS.findall(text))
        plain = _WHITE_SPACES.sub(" ", text)
        if self.analyzer == "char":
            return self._character_ngrams(plain)
        return chain.from_iterable(self._padded_ngrams(f" {word} ") for word in plain.split())

    def _word_ngrams(self, tokens: Sequence[str]) -> Iterator[str]:
        shortest, longest = self.ngram_range
        for length in range(shortest, min(longest, len(tokens)) + 1):
            for start in range(len(tokens) - length + 1):
                yield " ".join(tokens[start : start + length])

    def _character_ngrams(self, text: str) -> Iterator[str]:
        shortest, longest = self.ngram_range
        for length in range(shortest, min(longest, len(text)) + 1):
            for start in range(len(text) - length + 1):
                yield text[start : start + length]

    def _padded_ngrams(self, word: str) -> Iterator[str]:
        """Yield the n-grams of a word with its two spaces; one that is too short for an n-gram counts once, whole."""
        shortest, longest = self.ngram_range
        for length in range(shortest, longest + 1):
            for start in range(max(len(word) - length, 0) + 1):
                yield word[start : start + length]
            if length >= len(word):
                return
