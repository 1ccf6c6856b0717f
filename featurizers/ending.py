"""Ending: how far an output gets before it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.labels import Binary, Count, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class Empty:
    r"""1 if the output holds nothing but whitespace, else 0.

    f(y) = 1 if every character of y is whitespace (`str.isspace`) or there is none. Zero-width characters and NUL are
    not whitespace.

    Label space: binary. Needs: the output alone.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> Empty().label(text_batch(["", " \n", "."]))
    array([1., 1., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where nothing was written, else 0, [n]."""
        return np.array([not text or text.isspace() for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Truncated:
    """1 if the output was cut at the limit of new tokens, else 0; missing where the source does not say what ended it.

    f(y) = 1 if the finish reason is "length". It depends on the sampling's `max_new_tokens`.

    Label space: binary. Needs: finish reasons.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> Truncated().label(text_batch(["and then", "The end."], finish_reasons=["length", "stop"]))
    array([1., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("finish_reason",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the limit cut the output, else 0, NaN where the finish reason is unknown, [n]."""
        labels = [np.nan if reason is None else reason == "length" for reason in batch.finish_reasons]
        return np.array(labels, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """Number of tokens of the output, the end token not counted; missing where the source does not say.

    f(y) = |y| in the primary model's own tokens, cut at the sampling's `max_new_tokens`: counts of primary models with
    different tokenizers do not compare.

    Label space: count, in the default bins. Needs: token counts.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> TokenCount().label(text_batch(["", "Once upon"], n_tokens=[0, 2]))
    array([0., 2.])
    """

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("n_tokens",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of tokens, NaN where it is unknown, [n]."""
        return np.array([np.nan if count is None else count for count in batch.n_tokens], dtype=np.float64)
