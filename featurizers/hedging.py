"""Hedging: how certain the output says that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.analysis.certainty import APPROXIMATORS, BOOSTERS, HEDGES, words_of
from metamodel.labels import Binary, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, Need

_PER_100: Real = Real(low=0.0, high=10.0, n_bins=20)


@dataclass(frozen=True, kw_only=True)
class Hedged:
    """1 if the output expresses uncertainty at least `min_count` times, else 0.

    f(y) = 1 if y holds min_count hedges: words that mark a statement as less than certain ("may", "perhaps", "I think",
    "it is not known"), counted as the lexicon's words, those of several meanings only in fitting company ("in May" and
    "you may sit" are none). English outputs only: others count as unhedged.

    Label space: binary. Needs: the output alone.
    Source: speculation cues in the sense of BioScope, Vincze et al. (2008), and the hedges of Hyland, Metadiscourse
    (2005) without his approximators; the lexicon is this project's.

    Attributes:
        min_count: Fewest hedges, at least 1.
        approximators: Whether words of frequency and degree ("usually", "roughly") count too.

    >>> from metamodel.text import text_batch
    >>> Hedged().label(text_batch(["It may rain.", "In May it rains."]))
    array([1., 0.])
    """

    min_count: int = 1
    approximators: bool = False

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse a count that means nothing."""
        if self.min_count < 1:
            raise ValueError(f"min_count is {self.min_count}, must be at least 1")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the output hedges, else 0, [n]."""
        counts = (_n_hedges(words_of(text), approximators=self.approximators) for text in batch.texts)
        return np.fromiter((count >= self.min_count for count in counts), dtype=np.float64, count=len(batch))


@dataclass(frozen=True, kw_only=True)
class HedgeRate:
    """Expressions of uncertainty per 100 words of the output; missing where it has no words.

    f(y) = 100 * hedges(y) / words(y), with hedges as in `hedged` and words as runs of letters, digits and apostrophes.

    Label space: real, from 0 to 10 in 20 bins. Needs: the output alone.
    Source: as `hedged`; normalized frequency as in Hyland (2005).

    Attributes:
        approximators: Whether words of frequency and degree ("usually", "roughly") count too.

    >>> from metamodel.text import text_batch
    >>> HedgeRate().label(text_batch(["Perhaps it will rain tomorrow.", ""]))
    array([20., nan])
    """

    approximators: bool = False

    space: ClassVar[LabelSpace] = _PER_100
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return hedges per 100 words, NaN without words, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            words = words_of(text)
            if words:
                labels[row] = 100 * _n_hedges(words, approximators=self.approximators) / len(words)
        return labels


@dataclass(frozen=True, kw_only=True)
class BoosterRate:
    """Expressions of certainty per 100 words of the output; missing where it has no words.

    f(y) = 100 * boosters(y) / words(y): "certainly", "clearly", "no doubt", "I'm sure", "of course".

    Label space: real, from 0 to 10 in 20 bins. Needs: the output alone.
    Source: boosters of Hyland, Metadiscourse (2005); the lexicon is this project's.

    >>> from metamodel.text import text_batch
    >>> BoosterRate().label(text_batch(["That is certainly true.", "I'm not sure."]))
    array([25.,  0.])
    """

    space: ClassVar[LabelSpace] = _PER_100
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return boosters per 100 words, NaN without words, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            words = words_of(text)
            if words:
                labels[row] = 100 * BOOSTERS.count(words) / len(words)
        return labels


def _n_hedges(words: list[bytes], *, approximators: bool) -> int:
    return HEDGES.count(words) + (APPROXIMATORS.count(words) if approximators else 0)
