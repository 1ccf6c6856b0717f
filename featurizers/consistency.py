"""Consistency: whether the samples of one prompt say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.answers import final_letter
from metamodel.information import entropy_bits
from metamodel.labels import Count, LabelSpace, Real
from metamodel.text import normalize
from metamodel.types import FloatArray, GenerationBatch, IntArray, Need

Answer: TypeAlias = Literal["whole", "first_line", "last_line", "letter"]
Agreeing: TypeAlias = Literal["mode", "pairs"]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How much the samples of one prompt agree in their answer; the same for all of them, missing for a single one.

    With counts c_a of the different answers among k samples, f is the share of the commonest answer, max c_a / k
    ("mode"), or of the pairs of samples that agree, sum of c_a (c_a - 1) / (k (k - 1)) ("pairs"), which does not depend
    on k on average. Answers are compared by `metamodel.text.normalize`.

    Label space: real, 0 to 1. Needs: sibling samples. Reads more than the output (the siblings).
    Source: self-consistency, Wang et al. (2023), appendix; pairs: Simpson, Measurement of Diversity (1949).

    Attributes:
        by: "mode" or "pairs".
        answer: What of an output is its answer: the "whole" of it, its "first_line" or "last_line" that is not blank,
            or the "letter" of the option that it settles on (none is an answer of its own).

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["Yes", "yes.", "no", "hm"], prompt_ids=["a", "a", "a", "b"])
    >>> Agreement().label(batch), Agreement(by="pairs").label(batch)
    (array([0.66666667, 0.66666667, 0.66666667,        nan]), array([0.33333333, 0.33333333, 0.33333333,        nan]))
    """

    by: Agreeing = "mode"
    answer: Answer = "whole"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "siblings")

    def __post_init__(self) -> None:
        """Refuse unknown ways to compare."""
        _check_answer(self.answer)
        if self.by not in get_args(Agreeing):
            raise ValueError(f"by is {self.by!r}, must be one of {', '.join(get_args(Agreeing))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the agreement, NaN without siblings, [n]."""
        return _over_samples(batch, self.answer, _mode_share if self.by == "mode" else _pair_share)


@dataclass(frozen=True, kw_only=True)
class AnswerEntropy:
    """Entropy of the answers of one prompt's samples, in bits; the same for all of them, missing for a single one.

    f = -sum over answers a of (c_a / k) log2 (c_a / k): plug-in, so at most log2 k and too low on average. Answers are
    compared by `metamodel.text.normalize`.

    Label space: real, 0 to 4 bits in 16 bins. Needs: sibling samples. Reads more than the output (the siblings).
    Source: Shannon (1948); as a measure of uncertainty, semantic entropy of Kuhn et al. (2023), with equal normalized
    texts in the place of equal meanings.

    Attributes:
        answer: What of an output is its answer, as for `agreement`.

    >>> from metamodel.text import text_batch
    >>> AnswerEntropy().label(text_batch(["Yes", "no", "hm"], prompt_ids=["a", "a", "b"]))
    array([ 1.,  1., nan])
    """

    answer: Answer = "whole"

    space: ClassVar[LabelSpace] = Real(low=0.0, high=4.0, n_bins=16)
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "siblings")

    def __post_init__(self) -> None:
        """Refuse an unknown kind of answer."""
        _check_answer(self.answer)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the entropy in bits, NaN without siblings, [n]."""
        return _over_samples(batch, self.answer, lambda counts: float(entropy_bits(counts / counts.sum())))


@dataclass(frozen=True, kw_only=True)
class AnswerCount:
    """Number of different answers among one prompt's samples; the same for all of them, missing for a single one.

    f = |{answers}|, from 1 to the number of samples k. Answers are compared by `metamodel.text.normalize`.

    Label space: count, in the default bins. Needs: sibling samples. Reads more than the output (the siblings).
    Source: number of semantic sets, Lin et al., Generating with Confidence (2024), with equal normalized texts in the
    place of equal meanings.

    Attributes:
        answer: What of an output is its answer, as for `agreement`.

    >>> from metamodel.text import text_batch
    >>> AnswerCount().label(text_batch(["Yes", "yes.", "no", "hm"], prompt_ids=["a", "a", "a", "b"]))
    array([ 2.,  2.,  2., nan])
    """

    answer: Answer = "whole"

    space: ClassVar[LabelSpace] = Count()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "siblings")

    def __post_init__(self) -> None:
        """Refuse an unknown kind of answer."""
        _check_answer(self.answer)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the number of answers, NaN without siblings, [n]."""
        return _over_samples(batch, self.answer, len)


def _over_samples(batch: GenerationBatch, answer: Answer, statistic: Callable[[IntArray], float]) -> FloatArray:
    """Return a statistic of the counts of different answers, falling, for each sample of a prompt with several, [n]."""
    labels = np.full(len(batch), np.nan)
    for rows in batch.sibling_groups():
        if len(rows) > 1:
            counts = Counter(_answer_of(batch.texts[row], answer) for row in rows)
            labels[rows] = statistic(np.array(sorted(counts.values(), reverse=True), dtype=np.int64))
    return labels


def _answer_of(text: str, answer: Answer) -> str:
    if answer == "letter":
        return final_letter(text) or ""
    if answer != "whole":
        lines = [line for line in text.splitlines() if line.strip()] or [""]
        text = lines[0 if answer == "first_line" else -1]
    return normalize(text)


def _mode_share(counts: IntArray) -> float:
    return float(counts[0] / counts.sum())


def _pair_share(counts: IntArray) -> float:
    k = counts.sum()
    return float((counts * (counts - 1)).sum() / (k * (k - 1)))


def _check_answer(answer: str) -> None:
    if answer not in get_args(Answer):
        raise ValueError(f"answer is {answer!r}, must be one of {', '.join(get_args(Answer))}")
