"""A batch in pieces small enough for the processor's cache, each text split once for all featurizers.

Ground floor: nothing here imports another module of the project but ground floors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from metamodel.analysis.ngrams import Unit, Units, split_units
from metamodel.analysis.once import once_a_batch
from metamodel.types import GenerationBatch, IntArray

# Characters of a piece's outputs and prompts together; a longer text is a piece of its own.
_PIECE_CHARACTERS: Final = 1 << 19


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows of a batch that follow one another.

    Attributes:
        rows: Which rows.
        texts: Their outputs, n of them.
        prompts: Their prompts, n of them.
    """

    rows: slice
    texts: Sequence[str]
    prompts: Sequence[str]

    def outputs_in(self, unit: Unit) -> Units:
        """Return the outputs in words, split once, or in characters."""
        return self.words if unit == "word" else split_units(self.texts, unit)

    def prompts_in(self, unit: Unit) -> Units:
        """Return the different prompts in words, split once, or in characters."""
        return self.prompt_words if unit == "word" else split_units(self.different_prompts, unit)

    @cached_property
    def words(self) -> Units:
        """Words of the outputs."""
        return split_units(self.texts, "word")

    @cached_property
    def different_prompts(self) -> list[str]:
        """Every prompt once."""
        return list(dict.fromkeys(self.prompts))

    @cached_property
    def prompt_of_row(self) -> IntArray:
        """Where each row's prompt stands among the different ones, [n]."""
        places = {prompt: place for place, prompt in enumerate(self.different_prompts)}
        return np.array([places[prompt] for prompt in self.prompts], dtype=np.int64)

    @cached_property
    def prompt_words(self) -> Units:
        """Words of the different prompts."""
        return split_units(self.different_prompts, "word")


def pieces_of(batch: GenerationBatch) -> list[Piece]:
    """Return the batch's rows in pieces, in order; the same pieces for as long as the batch lives.

    >>> from metamodel.text import text_batch
    >>> [piece.words.lengths for piece in pieces_of(text_batch(["one two", ""]))]
    [array([2, 0])]
    """
    return once_a_batch(batch, "pieces", lambda: _cut(batch))


def _cut(batch: GenerationBatch) -> list[Piece]:
    ends = np.cumsum(_lengths(batch.texts) + _lengths(batch.prompts))
    pieces = []
    begin = 0
    while begin < len(batch):
        done = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, done + _PIECE_CHARACTERS, side="right")), begin + 1)
        rows = slice(begin, end)
        pieces.append(Piece(rows=rows, texts=batch.texts[rows], prompts=batch.prompts[rows]))
        begin = end
    return pieces


def _lengths(texts: Sequence[str]) -> IntArray:
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
