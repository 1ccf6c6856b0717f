"""Novelty: what an output says that a corpus does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.analysis.ngram_index import open_index
from metamodel.analysis.ngrams import Unit, check_n, check_unit, row_shares
from metamodel.analysis.pieces import pieces_of
from metamodel.labels import LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """Share of the output's n-grams that a corpus does not hold; missing for an output of fewer than n units.

    f(y) = |{i : y[i:i+n] occurs in no document of the corpus}| / (|y| - n + 1), every n-gram counted as often as it
    occurs. Units are compared exactly: case and punctuation count. N-grams are compared by 64-bit hashes: one that is
    new is taken for a known one with a probability of corpus words / 2^64. The corpus is read once a process; for a
    large one, name a file that keeps the index for the next.

    Label space: real, 0 to 1. Needs: a corpus. Does not read the prompt.
    Source: RAVEN, McCoy et al., How Much Do Language Models Copy From Their Training Data? (2021), over whitespace's
    words; unlike there, n-grams that the output shares with its prompt count as well (see `copied_share`).

    Attributes:
        corpus: A text file, a folder with .txt files below it (each a document), or a stored index (.safetensors).
        n: Units in a row; one index serves every n.
        unit: "word" or "character".
        index: File to keep the index in; it is built again when the corpus changes. Empty keeps it in memory.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from metamodel.text import text_batch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "book.txt").write_text("the cat sat on the mat")
    ...     Novelty(corpus=folder, n=2).label(text_batch(["the cat sat down", "mat"]))
    array([0.33333333,        nan])
    """

    corpus: str
    n: int = 3
    unit: Unit = "word"
    index: str = ""

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text", "corpus")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_n(self.n)
        check_unit(self.unit)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of new n-grams, NaN where there is no n-gram, [n].

        Raises:
            MetamodelError: There is no such corpus, or what should be its index is none.
        """
        known = open_index(self.corpus, unit=self.unit, index=self.index)
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            ngrams = piece.outputs_in(self.unit).ngrams(self.n)
            labels[piece.rows] = row_shares(ngrams.count(~known.contains(ngrams, self.n)), ngrams.lengths)
        return labels
