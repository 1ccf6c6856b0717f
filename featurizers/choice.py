"""Multiple choice: which option an output takes, and whether it is the right one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.answers import OPTION_LETTERS, Several, Take, final_letter
from metamodel.labels import Binary, Categorical, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, JSONValue, Need

Length: TypeAlias = Literal["none", "characters", "bytes"]


@dataclass(frozen=True, kw_only=True)
class _LetterReader:
    """How a letter is read; what the behaviors of this file share."""

    letters: str = OPTION_LETTERS
    take: Take = "last"
    several: Several = "first"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.letters or "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.letters)] != self.letters:
            raise ValueError(f"letters is {self.letters!r}, must be the first letters of the alphabet, such as ABCD")
        for name, value, allowed in (("take", self.take, get_args(Take)), ("several", self.several, get_args(Several))):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")

    def _letter(self, text: str) -> str | None:
        return final_letter(text, letters=self.letters, take=self.take, several=self.several)


@dataclass(frozen=True, kw_only=True)
class ChoiceLetter(_LetterReader):
    """The letter of the option that the output settles on, or "none".

    f(y) is the letter by the rules of `metamodel.analysis.answers.final_letter`: an announcement ("The answer is (C)",
    "Answer: C"), "the best option is C", a boxed letter, an output that begins with an option, a last line or a closing
    parenthesis with a letter alone. Position bias is read off its distribution.

    Label space: categorical, "none" and one class a letter. Needs: the output alone.
    Source: the answer pattern of MMLU-Pro, Wang et al. (2024), widened; docs/agreement.md compares the two.

    Attributes:
        letters: Those that the options have.
        take: Which of several announcements counts.
        several: What an announcement of several options, "(A) and (C)", answers: its first one, or none.

    >>> from metamodel.text import text_batch
    >>> ChoiceLetter(letters="ABCD").label(text_batch(["So the answer is (C).", "B. Paris", "I am not sure."]))
    array([3., 2., 0.])
    """

    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    @cached_property
    def space(self) -> LabelSpace:
        """Declare one class for no answer and one for each letter."""
        return Categorical(classes=("none", *self.letters))

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 0 for no letter, 1 for A, 2 for B and so on, [n]."""
        found = [self._letter(text) for text in batch.texts]
        return np.array([0 if letter is None else 1 + self.letters.index(letter) for letter in found], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class NoAnswer(_LetterReader):
    """1 if no option can be read off the output, else 0.

    f(y) = 1 if `choice_letter` is "none".

    Label space: binary. Needs: the output alone.
    Source: MMLU-Pro's `pred` that could not be parsed, Wang et al. (2024).

    Attributes:
        letters: Those that the options have.
        take: Which of several announcements counts.
        several: What an announcement of several options, "(A) and (C)", answers: its first one, or none.

    >>> from metamodel.text import text_batch
    >>> NoAnswer().label(text_batch(["The answer is (C).", "None of these fit."]))
    array([0., 1.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where no letter is found, else 0, [n]."""
        return np.array([self._letter(text) is None for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ChoiceCorrect(_LetterReader):
    """1 if the option that the output settles on is a gold one, else 0; missing where no reference names an option.

    f(x, y) = 1 if `choice_letter` of y is the letter of a reference. A reference is a letter ("C", "(C)"), or the text
    of one of the prompt's choices, or its index from 0. No answer is wrong.

    Label space: binary. Needs: references. Reads the prompt (its references and choices).
    Source: MMLU-Pro, Wang et al. (2024).

    Attributes:
        letters: Those that the options have.
        take: Which of several announcements counts.
        several: What an announcement of several options, "(A) and (C)", answers: its first one, or none.

    >>> from metamodel.text import text_batch
    >>> references, choices = [["B"], ["Rome"], []], [[], ["Oslo", "Rome"], []]
    >>> ChoiceCorrect().label(text_batch(["(B)", "Answer: A", "B"], references=references, choices=choices))
    array([ 1.,  0., nan])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "references")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for the right option, 0 for another or none, NaN where no reference names an option, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            golds = {_gold_index(gold, batch.choices[row], self.letters) for gold in batch.references[row]} - {None}
            if golds:
                letter = self._letter(text)
                labels[row] = letter is not None and self.letters.index(letter) in golds
        return labels


@dataclass(frozen=True, kw_only=True)
class LikeliestChoiceCorrect:
    """1 if the likeliest of the prompt's choices is a gold one, else 0; missing without log-likelihoods or references.

    f(x) = 1 if argmax over choices c of log p(c given x) / |c| is the place of a reference; the first of equals wins.
    |c| is 1, the number of characters or of UTF-8 bytes: acc, acc_norm and acc_bytes of lm-evaluation-harness. A
    reference is the text of a choice, its letter or its index from 0.

    Label space: binary. Needs: choices, references and the generation's "choice_logprobs". Reads the prompt.
    Source: Brown et al. (2020), section 2.4; Gao, Multiple Choice Normalization in LM Evaluation (2021).

    Attributes:
        divide_by: What the log-likelihood is divided by: "none", "characters" or "bytes".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(
    ...     [""], choices=[["Rome", "Constantinople"]], references=[["1"]], metadata=[{"choice_logprobs": [-4, -7]}]
    ... )
    >>> LikeliestChoiceCorrect().label(batch), LikeliestChoiceCorrect(divide_by="bytes").label(batch)
    (array([0.]), array([1.]))
    """

    divide_by: Length = "none"

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("choices", "references", "metadata")

    def __post_init__(self) -> None:
        """Refuse an unknown length."""
        if self.divide_by not in get_args(Length):
            raise ValueError(f"divide_by is {self.divide_by!r}, must be one of {', '.join(get_args(Length))}")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the likeliest choice is right, else 0, NaN where it is not known, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, choices in enumerate(batch.choices):
            logprobs = _logprobs(batch.metadata[row].get("choice_logprobs"), len(choices))
            letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            golds = {_gold_index(gold, choices, letters) for gold in batch.references[row]} - {None}
            if logprobs and golds:
                scores = [value / self._length(choice) for value, choice in zip(logprobs, choices, strict=True)]
                labels[row] = scores.index(max(scores)) in golds
        return labels

    def _length(self, choice: str) -> int:
        if self.divide_by == "none":
            return 1
        return max(1, len(choice if self.divide_by == "characters" else choice.encode("utf-8", errors="surrogatepass")))


def _gold_index(gold: str, choices: Sequence[str], letters: str) -> int | None:
    """Return the place of the option that a reference names, or None."""
    if gold in choices:
        return list(choices).index(gold)
    bare = gold.strip().strip("()[].: ")
    if len(bare) == 1 and bare in letters:
        return letters.index(bare)
    if choices and bare.isascii() and bare.isdecimal() and len(bare) <= len(str(len(choices))):
        index = int(bare)
        return index if index < len(choices) else None
    return None


def _logprobs(value: JSONValue, n_choices: int) -> list[float]:
    """Return the log-likelihoods of all choices, or nothing where one is absent or no number."""
    if not isinstance(value, list) or len(value) != n_choices:
        return []
    numbers = [float(item) for item in value if isinstance(item, (int, float)) and not isinstance(item, bool)]
    return numbers if len(numbers) == n_choices and not any(map(math.isnan, numbers)) else []
