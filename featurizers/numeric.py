"""Numeric answers: whether the number that an output settles on is the right one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, get_args

import numpy as np

from metamodel.analysis.quantities import Quantity, Where, final_quantity
from metamodel.labels import Binary, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class NumericCorrect:
    r"""1 if the output's final number equals a reference's within a tolerance, else 0; missing without such references.

    f(x, y) = 1 if |a - g| <= max(absolute, relative |g|) for the final number a of y and a reference's number g, in
    exact arithmetic; 0 where y has no number. The final number is what follows the last "####", stands in the last
    \boxed{}, follows the last "answer is", "answer:" or "A:", or else is the last number of all. Thousands separators,
    currencies, fractions, exponents and scales (million) are read; of 50 % either 50 or 0.5 may be meant.

    Label space: binary. Needs: references. Reads the prompt (its references).
    Source: GSM8K's answer check, Cobbe et al. (2021), in values instead of text; Minerva's tolerance is this project's
    `relative`.

    Attributes:
        where: "announced_or_last", "announced" (the label is 0 without an announcement) or "last".
        absolute: Absolute tolerance.
        relative: Tolerance as a share of the reference.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["3 * 6 = 18 dollars", "The answer is 1,000.5", "?"], references=[["18.0"], ["1000"], ["7"]])
    >>> NumericCorrect().label(batch), NumericCorrect(relative=0.01).label(batch)
    (array([1., 0., 0.]), array([1., 1., 0.]))
    """

    where: Where = "announced_or_last"
    absolute: float = 0.0
    relative: float = 0.0

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.where not in get_args(Where):
            raise ValueError(f"where is {self.where!r}, must be one of {', '.join(get_args(Where))}")
        for name, tolerance in (("absolute", self.absolute), ("relative", self.relative)):
            if not (math.isfinite(tolerance) and tolerance >= 0):
                raise ValueError(f"{name} is {tolerance}, must be a finite number of at least 0")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for correct, 0 for wrong or no number, NaN where no reference holds a number, [n]."""
        golds_of: dict[tuple[str, ...], list[Quantity]] = {}
        labels = np.full(len(batch), np.nan)
        absolute, relative = Fraction(str(self.absolute)), Fraction(str(self.relative))
        for row, references in enumerate(batch.references):
            key = tuple(references)
            if key not in golds_of:
                golds_of[key] = _quantities(key)
            golds = golds_of[key]
            if golds:
                answer = final_quantity(batch.texts[row], where=self.where)
                labels[row] = answer is not None and any(
                    answer.equals(gold, absolute=absolute, relative=relative) for gold in golds
                )
        return labels


def _quantities(references: Sequence[str]) -> list[Quantity]:
    return [quantity for text in references if (quantity := final_quantity(text)) is not None]
