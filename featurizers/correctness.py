"""Correctness: whether the output says what a gold answer says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from metamodel.labels import Binary, LabelSpace
from metamodel.text import normalize
from metamodel.types import FloatArray, GenerationBatch, Need

Match: TypeAlias = Literal["exact", "first_line", "prefix"]


@dataclass(frozen=True, kw_only=True)
class Correct:
    """1 if the normalized output equals a normalized reference, else 0; missing where the prompt has no references.

    f(x, y) = 1 if there is a reference g of x with norm(y) = norm(g), where norm is `metamodel.text.normalize`. Text is
    compared, not values: "42.0" is not "42". An empty reference is matched by an empty output alone.

    Label space: binary. Needs: references. Reads the prompt (its references).
    Source: exact match of SQuAD, Rajpurkar et al. (2016); `normalize` states the deviations.

    Attributes:
        match: "exact" compares the whole output, "first_line" its first line that is not blank, "prefix" as many of its
            first words as the reference has.
        ignore_case: Whether case is folded.
        ignore_punctuation: Whether punctuation outside numbers is removed.
        ignore_articles: Whether a, an and the are removed; off, because "A" is an answer.

    >>> from metamodel.text import text_batch
    >>> Correct().label(text_batch([" 42.", "-42", "why?"], references=[["42"], ["42"], []]))
    array([ 1.,  0., nan])
    """

    match: Match = "exact"
    ignore_case: bool = True
    ignore_punctuation: bool = True
    ignore_articles: bool = False

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references")

    def __post_init__(self) -> None:
        """Refuse an unknown way to match."""
        if self.match not in get_args(Match):
            raise ValueError(f"match is {self.match!r}, must be one of {', '.join(get_args(Match))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for correct, 0 for wrong, NaN without references, [n]."""
        normalized: dict[tuple[str, ...], frozenset[str]] = {}
        labels = np.full(len(batch), np.nan)
        for row, references in enumerate(batch.references):
            golds = tuple(references)
            if not golds:
                continue
            if golds not in normalized:
                normalized[golds] = frozenset(self._normalize(gold) for gold in golds)
            labels[row] = self._is_correct(batch.texts[row], normalized[golds])
        return labels

    def _is_correct(self, text: str, golds: frozenset[str]) -> bool:
        if self.match == "first_line":
            text = next(iter(text.strip().splitlines()), "")
        answer = self._normalize(text)
        if answer in golds:
            return True
        # A normalized answer never begins with a space, so an empty reference is no prefix of it.
        return self.match == "prefix" and any(answer.startswith(f"{gold} ") for gold in golds)

    def _normalize(self, text: str) -> str:
        return normalize(
            text,
            ignore_case=self.ignore_case,
            ignore_punctuation=self.ignore_punctuation,
            ignore_articles=self.ignore_articles,
        )
