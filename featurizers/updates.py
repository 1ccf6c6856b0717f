"""Updates: what goes from right to wrong, or back, between two primary models or two versions of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from metamodel.analysis.pairs import Match, is_right, refuse_unknown
from metamodel.labels import Binary, Categorical, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need

_KINDS: Final = ("both wrong", "negative flip", "positive flip", "both right")
_NEGATIVE, _POSITIVE = 1, 2


@dataclass(frozen=True, kw_only=True)
class _Update:
    """What the behaviors of this family share: the old primary model, and how an output is judged."""

    other: str
    match: Match = "exact"

    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references", "other_primaries")

    def __post_init__(self) -> None:
        """Refuse an unknown way to judge."""
        refuse_unknown("match", self.match, Match)


@dataclass(frozen=True, kw_only=True)
class ModelFlip(_Update):
    """Who is right: this primary model, the one that it is compared with, both or neither.

    With r = [y is right] and r_o = [the other primary model's output to x, same sample, is right], f(x, y) = both right
    if r and r_o, negative flip if r_o alone, positive flip if r alone, both wrong otherwise. The other one is the old
    version, this one the new. Missing without references, and for the other primary model itself.

    Label space: categorical: both wrong, negative flip, positive flip, both right. Needs: references, another primary
    model. Reads the prompt.
    Source: Echterhoff et al., MUSCLE: A Model Update Strategy for Compatible LLM Evolution (2024), after Yan et al.,
    Positive-Congruent Training (2021).

    Attributes:
        other: Name of the old primary model in the same config.
        match: "exact", "first_line", "prefix" or "letter": how an output is judged.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> old = PartnerOutput(text="4", references=("4",), primary="v1")
    >>> ModelFlip(other="v1").label(text_batch(["4", "5"], references=[["4"]] * 2, partners=[[old]] * 2))
    array([3., 1.])
    """

    space: ClassVar[LabelSpace] = Categorical(classes=_KINDS)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the index of the kind, NaN where there is nothing to compare, [n]."""
        return _kinds(batch, self.other, self.match)


@dataclass(frozen=True, kw_only=True)
class NegativeFlip(_Update):
    """1 if the other primary model is right and this one is wrong, else 0.

    f(x, y) = [r_o and not r], as in `model_flip`. Missing where `model_flip` is.

    Label space: binary. Needs: references, another primary model. Reads the prompt.
    Source: negative flips, Echterhoff et al., MUSCLE (2024).

    Attributes:
        other: Name of the old primary model in the same config.
        match: "exact", "first_line", "prefix" or "letter": how an output is judged.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> old = PartnerOutput(text="4", references=("4",), primary="v1")
    >>> NegativeFlip(other="v1").label(text_batch(["4", "5"], references=[["4"]] * 2, partners=[[old]] * 2))
    array([0., 1.])
    """

    space: ClassVar[LabelSpace] = Binary()

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for a negative flip, else 0, NaN where there is nothing to compare, [n]."""
        kinds = _kinds(batch, self.other, self.match)
        return np.where(np.isnan(kinds), np.nan, kinds == _NEGATIVE)


@dataclass(frozen=True, kw_only=True)
class PositiveFlip(_Update):
    """1 if this primary model is right and the other one is wrong, else 0.

    f(x, y) = [r and not r_o], as in `model_flip`. Missing where `model_flip` is.

    Label space: binary. Needs: references, another primary model. Reads the prompt.
    Source: positive flips, Echterhoff et al., MUSCLE (2024).

    Attributes:
        other: Name of the old primary model in the same config.
        match: "exact", "first_line", "prefix" or "letter": how an output is judged.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> old = PartnerOutput(text="5", references=("4",), primary="v1")
    >>> PositiveFlip(other="v1").label(text_batch(["4", "5"], references=[["4"]] * 2, partners=[[old]] * 2))
    array([1., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for a positive flip, else 0, NaN where there is nothing to compare, [n]."""
        kinds = _kinds(batch, self.other, self.match)
        return np.where(np.isnan(kinds), np.nan, kinds == _POSITIVE)


def _kinds(batch: GenerationBatch, other: str, match: Match) -> FloatArray:
    """Return the index of each row's kind, NaN where there is nothing to compare, [n]."""
    kinds = np.full(len(batch), np.nan)
    for row, text in enumerate(batch.texts):
        golds = batch.references[row]
        old = next((one for one in batch.partners[row] if one.primary == other and not one.variant), None)
        if old is None or not golds or batch.primaries[row] == other:
            continue
        was_right, now_right = is_right(old.text, golds, match), is_right(text, golds, match)
        kinds[row] = _NEGATIVE * was_right + _POSITIVE * now_right
    return kinds
