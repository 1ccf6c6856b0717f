"""Degeneration: outputs that stop saying anything new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.labels import Binary, LabelSpace
from metamodel.loops import check_loop_limits, find_loop
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class RepetitionLoop:
    """1 if the output becomes periodic, else 0: it ends in at least `min_cycles` cycles of the same characters.

    f(y) = 1 if a suffix of y, of length L with smallest period p, has L >= min_cycles * p and L >= min_length. The last
    cycle need not be finished. Whitespace is text.

    Label space: binary. Needs: the output alone.
    Source: the repetition loops of Holtzman et al., The Curious Case of Neural Text Degeneration (2020). `find_loop`
    tells where a loop begins and how long its period is.

    Attributes:
        min_cycles: Fewest cycles, at least 2.
        min_length: Fewest characters of all cycles together.

    >>> from metamodel.text import text_batch
    >>> RepetitionLoop().label(text_batch(["I am so sad, so sad, so sad, so", "no, no, no"]))
    array([1., 0.])
    """

    min_cycles: int = 3
    min_length: int = 12

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_loop_limits(self.min_cycles, self.min_length)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the output loops, else 0, [n]."""
        found = (
            find_loop(text, min_cycles=self.min_cycles, min_length=self.min_length) is not None for text in batch.texts
        )
        return np.fromiter(found, dtype=np.float64, count=len(batch))
