"""Correctness: whether the output says what a gold answer says."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.patterns import Occurrence, PatternTimeoutError, compile_pattern, find_pattern
from metamodel.analysis.squad import squad_normalize, token_f1
from metamodel.labels import Binary, LabelSpace, Real
from metamodel.text import normalize
from metamodel.types import FloatArray, GenerationBatch, Need

Match: TypeAlias = Literal["exact", "first_line", "prefix"]
Normalization: TypeAlias = Literal["standard", "squad"]

_HEAD: Final = 64  # characters looked at beyond what a gold answer needs
_NO_LETTERS_OR_DIGITS: Final = dict.fromkeys(map(ord, string.ascii_letters + string.digits))


@dataclass(frozen=True, kw_only=True)
class Correct:
    r"""1 if the normalized output equals a normalized reference, else 0; missing where the prompt has no references.

    f(x, y) = 1 if there is a reference g of x with norm(y) = norm(g), where norm is `metamodel.text.normalize`. Text is
    compared, not values: "42.0" is not "42". An empty reference is matched by an empty output alone. With a `pattern`,
    y is what it finds in the output; where it finds nothing the label is 0, where it takes longer than a second
    the label is missing.

    Label space: binary. Needs: references. Reads the prompt (its references).
    Source: exact match of SQuAD, Rajpurkar et al. (2016); `normalize` states the deviations.

    Attributes:
        match: "exact" compares the whole output, "first_line" its first line that is not blank, "prefix" as many of its
            first words as the reference has.
        pattern: Regular expression for the answer in the output: its first group, or all of it where it has none;
            empty compares the output itself.
        take: Which of several matches of the pattern counts.
        normalization: "standard" or "squad", which is SQuAD's own, exactly, and leaves the next three fields unread.
        ignore_case: Whether case is folded.
        ignore_punctuation: Whether punctuation outside numbers is removed.
        ignore_articles: Whether a, an and the are removed; off, because "A" is an answer.

    >>> from metamodel.text import text_batch
    >>> Correct().label(text_batch([" 42.", "-42", "why?"], references=[["42"], ["42"], []]))
    array([ 1.,  0., nan])
    >>> answers = text_batch(["2 divides it, so [No]", "No"], references=[["no"], ["no"]])
    >>> Correct(pattern=r"(?i)\[(yes|no)\]").label(answers)
    array([1., 0.])
    """

    match: Match = "exact"
    pattern: str = ""
    take: Occurrence = "last"
    normalization: Normalization = "standard"
    ignore_case: bool = True
    ignore_punctuation: bool = True
    ignore_articles: bool = False

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references")

    def __post_init__(self) -> None:
        """Refuse an unknown way to match and what is no regular expression."""
        _refuse_unknown("match", self.match, get_args(Match))
        _refuse_unknown("take", self.take, get_args(Occurrence))
        _refuse_unknown("normalization", self.normalization, get_args(Normalization))
        if self.pattern:
            compile_pattern(self.pattern)

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

    def _is_correct(self, text: str, golds: frozenset[str]) -> float:
        if self.pattern:
            try:
                found = find_pattern(self.pattern, text, take=self.take)
            except PatternTimeoutError:
                return np.nan
            if found is None:
                return 0.0
            text = found
        if self.match == "first_line":
            text = next(iter(text.strip().splitlines()), "")
        if self._is_too_long(text, golds):
            return 0.0
        answer = self._normalize(text)
        if answer in golds:
            return 1.0
        # A normalized answer never begins with a space, so an empty reference is no prefix of it.
        return float(self.match == "prefix" and any(answer.startswith(f"{gold} ") for gold in golds))

    def _is_too_long(self, text: str, golds: frozenset[str]) -> bool:
        """Say without normalizing that a text has more letters and digits than any gold answer.

        Normalization keeps every ASCII letter and digit, but for articles; so do the first of them.
        """
        if self.match == "prefix" or self.ignore_articles or self.normalization == "squad":
            return False
        longest = max(map(len, golds))
        head = text[: 4 * longest + _HEAD]
        return head.isascii() and len(head.translate(_NO_LETTERS_OR_DIGITS)) < len(head) - longest

    def _normalize(self, text: str) -> str:
        if self.normalization == "squad":
            return squad_normalize(text)
        return normalize(
            text,
            ignore_case=self.ignore_case,
            ignore_punctuation=self.ignore_punctuation,
            ignore_articles=self.ignore_articles,
        )


@dataclass(frozen=True, kw_only=True)
class F1:
    """Overlap of the words of the output with those of the best matching reference; missing without references.

    f(x, y) = max over references g of 2 P R / (P + R), where P is the share of the words of norm(y) found in norm(g), R
    the share of the words of norm(g) found in norm(y), each word as often as it stands in both. If either side has no
    words it is 1 if both have none, else 0.

    Label space: real, 10 equal bins of [0, 1]. Needs: references. Reads the prompt (its references).
    Source: F1 of SQuAD, Rajpurkar et al. (2016), with the evaluation script's normalization by default.

    Attributes:
        normalization: "squad", or "standard" for that of `correct`.

    >>> from metamodel.text import text_batch
    >>> F1().label(text_batch(["The big cat.", "dog"], references=[["a cat", "cat"], []]))
    array([0.66666667,        nan])
    """

    normalization: Normalization = "squad"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references")

    def __post_init__(self) -> None:
        """Refuse an unknown normalization."""
        _refuse_unknown("normalization", self.normalization, get_args(Normalization))

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return F1 with the best reference, NaN without references, [n]."""
        form: Callable[[str], str] = squad_normalize if self.normalization == "squad" else normalize
        words: dict[tuple[str, ...], list[list[str]]] = {}
        labels = np.full(len(batch), np.nan)
        for row, references in enumerate(batch.references):
            golds = tuple(references)
            if not golds:
                continue
            if golds not in words:
                words[golds] = [form(gold).split() for gold in golds]
            answer = form(batch.texts[row]).split()
            labels[row] = max(token_f1(answer, gold) for gold in words[golds])
        return labels


def _refuse_unknown(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")
