"""Flips: whether the answer survives a change of the prompt that keeps its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.analysis.pairs import Answer, Match, answer_of, is_right, refuse_unknown, versions_of
from metamodel.labels import Binary, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, Need


@dataclass(frozen=True, kw_only=True)
class AnswerFlip:
    """1 if the answer to any changed version of the prompt differs from the answer to the prompt itself, else 0.

    f(x, y) = 1 if a(y') != a(y) for the output y' to some changed version x' of x, where a is the normalized answer and
    both are the same sample of the same primary model. A label that x' gives an option means what it stood for in x.
    Missing where the prompt has no changed version of the kinds asked for. Above temperature 0 an answer also flips by
    chance: compare with `agreement` over samples, or decode greedily.

    Label space: binary. Needs: changed versions of the prompt. Reads the prompt.
    Source: answers under character noise after Belinkov and Bisk (2018), under formats after Sclar et al. (2023), under
    paraphrase after Elazar et al., Measuring and Improving Consistency in Pretrained Language Models (2021).

    Attributes:
        changes: Kinds of change: swap, scramble, scramble_all, keyboard, natural, format, paraphrase, options; empty
            takes every version.
        answer: "whole" compares all of both outputs, "first_line" their first lines that are not blank, "letter" the
            options that they settle on.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> versions = [PartnerOutput(text="Paris.", variant="swap 1"), PartnerOutput(text="Lima", variant="swap 2")]
    >>> AnswerFlip(changes=("swap",)).label(text_batch(["Paris", "Paris"], partners=[versions, versions[:1]]))
    array([1., 0.])
    """

    changes: tuple[str, ...] = ()
    answer: Answer = "whole"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "variants")

    def __post_init__(self) -> None:
        """Refuse an unknown way to read an answer."""
        refuse_unknown("answer", self.answer, Answer)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where an answer flips, else 0, NaN without changed versions, [n]."""
        shares = np.array(list(_flip_shares(batch, self.changes, self.answer)), dtype=np.float64)
        return np.where(np.isnan(shares), np.nan, shares > 0)


@dataclass(frozen=True, kw_only=True)
class AnswerFlipShare:
    """Share of the changed versions of the prompt whose answer differs from the answer to the prompt itself.

    f(x, y) = mean over changed versions x' of [a(y') != a(y)], with the answers and versions of `answer_flip`.

    Label space: real, from 0 to 1. Needs: changed versions of the prompt. Reads the prompt.
    Source: as `answer_flip`.

    Attributes:
        changes: Kinds of change; empty takes every version.
        answer: "whole", "first_line" or "letter".

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> versions = [PartnerOutput(text="Paris.", variant="swap 1"), PartnerOutput(text="Lima", variant="swap 2")]
    >>> AnswerFlipShare().label(text_batch(["Paris"], partners=[versions]))
    array([0.5])
    """

    changes: tuple[str, ...] = ()
    answer: Answer = "whole"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "variants")

    def __post_init__(self) -> None:
        """Refuse an unknown way to read an answer."""
        refuse_unknown("answer", self.answer, Answer)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of flipped answers, NaN without changed versions, [n]."""
        return np.array(list(_flip_shares(batch, self.changes, self.answer)), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class FormatSpread:
    """Accuracy in the prompt's best format less that in its worst.

    f(x) = max over formats of acc - min over formats of acc, where the formats are the prompt's own and those of its
    changed versions, and acc is the share of right samples in one. All samples of a prompt have the same label. Missing
    without references or changed versions.

    Label space: real, from 0 to 1. Needs: references, sibling samples, changed versions of the prompt. Reads the
    prompt.
    Source: performance spread, Sclar et al., Quantifying Language Models' Sensitivity to Spurious Features in Prompt
    Design (2023); theirs is taken over a whole task, ours over the samples of one prompt.

    Attributes:
        changes: Kinds of change that count as formats; empty takes every version.
        match: "exact", "first_line", "prefix" or "letter": how an output is judged.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> right = PartnerOutput(text="4", references=("4",), variant="format 1")
    >>> FormatSpread().label(text_batch(["5"], references=[["4"]], partners=[[right]]))
    array([1.])
    """

    changes: tuple[str, ...] = ("format",)
    match: Match = "exact"

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references", "siblings", "variants")

    def __post_init__(self) -> None:
        """Refuse an unknown way to judge."""
        refuse_unknown("match", self.match, Match)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the spread, NaN without references or changed versions, [n]."""
        labels = np.full(len(batch), np.nan)
        for rows in batch.sibling_groups():
            versions = versions_of(batch, rows[0], self.changes)
            if not versions or not batch.references[rows[0]]:
                continue
            judged: dict[str, list[bool]] = {
                "": [is_right(batch.texts[row], batch.references[row], self.match) for row in rows]
            }
            for version in versions:
                right = is_right(version.text, version.references, self.match)
                judged.setdefault(f"{version.variant}\0{version.prompt}", []).append(right)
            accuracies = [sum(right) / len(right) for right in judged.values()]
            labels[rows] = max(accuracies) - min(accuracies)
        return labels


def _flip_shares(batch: GenerationBatch, changes: tuple[str, ...], answer: Answer) -> Iterator[float]:
    for row in range(len(batch)):
        versions = [version for version in versions_of(batch, row, changes) if version.sample == batch.samples[row]]
        if not versions:
            yield np.nan
            continue
        given = answer_of(batch.texts[row], answer)
        flipped = [answer_of(one.text, answer, labels=one.attributes.get("labels")) != given for one in versions]
        yield sum(flipped) / len(flipped)
