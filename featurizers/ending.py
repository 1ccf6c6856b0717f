"""Ending: how an output ends and how long it gets before it does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, get_args

import numpy as np

from metamodel.analysis.pieces import pieces_of
from metamodel.labels import Binary, Categorical, Count, LabelSpace
from metamodel.types import FinishReason, FloatArray, GenerationBatch, Need

_CLOSERS: Final = "\"'”’»)]}*_`"  # noqa: RUF001 - curly quotes close sentences
_LATIN_ENDS: Final = ".!?…"
_CJK_ENDS: Final = "。！？｡"  # noqa: RUF001 - the marks of Chinese and Japanese
_ENDS: Final = tuple(_LATIN_ENDS + _CJK_ENDS)
_CLOSERS_AND_BLANKS: Final = _CLOSERS + "".join(filter(str.isspace, map(chr, range(0x3001))))
# Bounded on every side, so that a search is linear.
_SENTENCE_END: Final = re.compile(rf"[{_LATIN_ENDS}](?=[{re.escape(_CLOSERS)}]{{0,4}}(?:\s|\Z))|[{_CJK_ENDS}]")


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
class StopReason:
    """What ended the output; missing where the source does not say.

    f(y) = the finish reason: an end token ("stop"), a stop text of the sampling ("stop_string"), the limit of new
    tokens ("length") or the provider's filter ("content_filter").

    Label space: categorical. Needs: finish reasons.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> StopReason().label(text_batch(["The end.", "and then", "?"], finish_reasons=["stop", "length", None]))
    array([ 0.,  2., nan])
    """

    space: ClassVar[LabelSpace] = Categorical(classes=get_args(FinishReason))
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("finish_reason",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the index of the finish reason, NaN where it is unknown, [n]."""
        places = {reason: float(place) for place, reason in enumerate(get_args(FinishReason))}
        return np.array([np.nan if reason is None else places[reason] for reason in batch.finish_reasons])


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


@dataclass(frozen=True, kw_only=True)
class CharacterCount:
    """Number of characters of the output, whitespace included.

    f(y) = |y| in Unicode code points: an emoji or an accented letter may be several.

    Label space: count, in the default bins. Needs: the output alone.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> CharacterCount().label(text_batch(["", "Once upon"]))
    array([0., 9.])
    """

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of characters, [n]."""
        return np.fromiter(map(len, batch.texts), dtype=np.float64, count=len(batch))


@dataclass(frozen=True, kw_only=True)
class WordCount:
    """Number of words of the output.

    f(y) = how many pieces whitespace parts y into (`str.split`). Scripts without spaces have long words.

    Label space: count, in the default bins. Needs: the output alone.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> WordCount().label(text_batch(["", "Once upon - a time"]))
    array([0., 5.])
    """

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of words, [n]."""
        labels = np.zeros(len(batch))
        for piece in pieces_of(batch):
            labels[piece.rows] = piece.words.lengths
        return labels


@dataclass(frozen=True, kw_only=True)
class SentenceCount:
    r"""Number of sentences of the output; a rest without a closing mark counts as one.

    f(y) = the number of sentence ends, plus 1 if y, stripped of whitespace and closing marks, ends in anything else. A
    sentence end is one of . ! ? or an ellipsis with at most four closing quotes, brackets or Markdown marks behind it,
    before whitespace or the end of y; or a full stop, question or exclamation mark of Chinese or Japanese. A line break
    alone ends nothing. "3.14" and "example.org" hold no end; "e.g. this" and "Dr. Who" hold one each.

    Label space: count, in the default bins. Needs: the output alone.
    Source: this project.

    >>> from metamodel.text import text_batch
    >>> SentenceCount().label(text_batch(["It is 3.14. \"Really?\" Yes", "", "..."]))
    array([3., 0., 1.])
    """

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of sentences, [n]."""
        return np.fromiter(map(_n_sentences, batch.texts), dtype=np.float64, count=len(batch))


def _n_sentences(text: str) -> int:
    said = text.rstrip(_CLOSERS_AND_BLANKS)
    has_rest = bool(said) and not said.endswith(_ENDS) and not said.isspace()
    return len(_SENTENCE_END.findall(text)) + has_rest
