"""Context: what statements and solved examples in front of a question do to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from metamodel.analysis.pairs import Match, is_right, refuse_unknown, versions_of
from metamodel.labels import Categorical, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, JSONValue, Need

_FOLLOWED: Final = ("context", "memory", "other")
_GAIN: Final = ("lost", "unchanged", "gained")


@dataclass(frozen=True, kw_only=True)
class FollowsContext:
    """Which answer is given after a counterfactual statement: the statement's, the one from memory, or another.

    f(x, y) = context if y gives the prompt's `context_answer`, memory if it gives its `memory_answer`, else other;
    where it gives both (one begins with the other), the longer counts. Where the prompt's own attributes lack the two,
    y is the same sample's output to the first changed version of x that has them. Missing where there is none.

    Label space: categorical: context, memory, other. Needs: the prompt's attributes, or changed versions of the prompt.
    Reads the prompt.
    Source: Longpre et al., Entity-Based Knowledge Conflicts in Question Answering (2021).

    Attributes:
        match: "exact", "first_line" or "prefix": how an output is compared with the two answers.

    >>> from metamodel.text import text_batch
    >>> knows = {"context_answer": "Lima", "memory_answer": "Paris"}
    >>> FollowsContext().label(text_batch(["Lima.", "Paris", "Rome"], attributes=[knows] * 3))
    array([0., 1., 2.])
    """

    match: Match = "exact"

    space: ClassVar[LabelSpace] = Categorical(classes=_FOLLOWED)
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "attributes", "variants")

    def __post_init__(self) -> None:
        """Refuse an unknown way to compare."""
        refuse_unknown("match", self.match, Match)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 0 for the context's answer, 1 for memory's, 2 for another, NaN where neither is known, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            candidates = [(text, batch.attributes[row])]
            candidates += [
                (version.text, version.attributes)
                for version in versions_of(batch, row, ("counterfactual",))
                if version.sample == batch.samples[row]
            ]
            for output, attributes in candidates:
                answers = _both_answers(attributes)
                if answers:
                    labels[row] = self._followed(output, answers)
                    break
        return labels

    def _followed(self, output: str, answers: tuple[str, str]) -> int:
        given = [place for place, answer in enumerate(answers) if is_right(output, [answer], self.match)]
        return max(given, key=lambda place: len(answers[place]), default=len(answers))


@dataclass(frozen=True, kw_only=True)
class ShotsGain:
    """Whether solved examples in front of the prompt turn its answer right or wrong.

    f(x, y) = gained if y is wrong and the same sample's output to x after `n_shots` examples is right, lost if it is
    the other way round, else unchanged. The accuracy with n examples less that without is the share of gained less that
    of lost. Missing without references, or where the prompt has no such version.

    Label space: categorical: lost, unchanged, gained. Needs: references, changed versions of the prompt. Reads the
    prompt.
    Source: in-context learning, Brown et al., Language Models are Few-Shot Learners (2020).

    Attributes:
        n_shots: Number of examples.
        match: "exact", "first_line", "prefix" or "letter": how an output is judged.

    >>> from metamodel.text import text_batch
    >>> from metamodel.types import PartnerOutput
    >>> after = PartnerOutput(text="4", references=("4",), variant="shots 4", attributes={"n_shots": 4})
    >>> ShotsGain(n_shots=4).label(text_batch(["5", "4"], references=[["4"]] * 2, partners=[[after]] * 2))
    array([2., 1.])
    """

    n_shots: int = 4
    match: Match = "exact"

    space: ClassVar[LabelSpace] = Categorical(classes=_GAIN)
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references", "variants")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.n_shots < 1:
            raise ValueError(f"n_shots is {self.n_shots}, must be at least 1")
        refuse_unknown("match", self.match, Match)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 0 for lost, 1 for unchanged, 2 for gained, NaN where there is nothing to compare, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            with_shots = next(
                (
                    version
                    for version in versions_of(batch, row, ("shots",))
                    if version.sample == batch.samples[row] and version.attributes.get("n_shots") == self.n_shots
                ),
                None,
            )
            if with_shots is not None and batch.references[row]:
                before = is_right(text, batch.references[row], self.match)
                labels[row] = 1 + is_right(with_shots.text, with_shots.references, self.match) - before
        return labels


def _both_answers(attributes: Mapping[str, JSONValue]) -> tuple[str, str] | None:
    context, memory = attributes.get("context_answer"), attributes.get("memory_answer")
    return (context, memory) if isinstance(context, str) and isinstance(memory, str) else None
