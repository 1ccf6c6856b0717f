"""Obedience: whether an output does what a verifiable instruction asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import numpy as np

from metamodel.analysis.obedience import CHECKS, UnusableInstructionError, obeys, obeys_loosely
from metamodel.errors import nearest_name_hint
from metamodel.labels import Binary, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, JSONObject, JSONValue, Need

Reading: TypeAlias = Literal["strict", "loose"]

_LONGEST_PROMPT_READ: Final = 20_000
_NUMBER: Final = r"(\d{1,3}(?:,\d{3})+|\d{1,6})"
_WORDS: Final = r"[\s-]{1,2}words?\b"
_BETWEEN: Final = re.compile(
    rf"(?i)\b(?:between\s+)?{_NUMBER}\s?(?:-|–|to|and)\s?{_NUMBER}{_WORDS}"  # noqa: RUF001 - an en dash
)
_AT_MOST: Final = re.compile(
    r"(?i)\b(?:at most|no more than|not more than|a maximum of|maximum|max|up to|within|not exceed(?:ing)?|limit of)"
    rf"\s+{_NUMBER}{_WORDS}"
    rf"|{_NUMBER}{_WORDS}\s+or\s+(?:less|fewer)\b"
)
_BELOW: Final = re.compile(rf"(?i)\b(?:less than|fewer than|under|below)\s+{_NUMBER}{_WORDS}")
_AT_LEAST: Final = re.compile(
    rf"(?i)\b(?:at least|no fewer than|no less than|not less than|a minimum of|minimum)\s+{_NUMBER}{_WORDS}"
    rf"|{_NUMBER}(?:\+{_WORDS}|{_WORDS}\s+or\s+more\b|\s+or\s+more\s+words?\b)"
)
_ABOVE: Final = re.compile(rf"(?i)\b(?<!no )(?<!not )(?:more than|over|above)\s+{_NUMBER}{_WORDS}")
_EXACTLY: Final = re.compile(rf"(?i)\b(?:exactly|precisely)\s+{_NUMBER}{_WORDS}")
_ABOUT: Final = re.compile(rf"(?i)\b(?:about|around|approximately|roughly|in|of|using|an?|the)\s+~?{_NUMBER}{_WORDS}")
_ABOUT_SHARE: Final = 0.1
_NO_LIMIT: Final = float("inf")


@dataclass(frozen=True, kw_only=True)
class _InstructionReader:
    """Which instructions count, and how they are checked; what the behaviors of this file share."""

    reading: Reading = "strict"
    instructions: tuple[str, ...] = ()
    arguments: tuple[JSONObject, ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        """Refuse unknown instructions, and those that lack an argument."""
        if self.reading not in get_args(Reading):
            raise ValueError(f"reading is {self.reading!r}, must be one of {', '.join(get_args(Reading))}")
        for instruction in self.instructions:
            if instruction not in CHECKS:
                raise ValueError(f"instruction {instruction!r} is unknown: {nearest_name_hint(instruction, CHECKS)}")
        if self.arguments and len(self.arguments) != len(self.instructions):
            raise ValueError(
                f"arguments has {len(self.arguments)} entries, must have one for each of {len(self.instructions)} "
                "instructions"
            )
        try:
            for instruction, arguments in self._own():
                obeys(instruction, arguments, "a")
        except UnusableInstructionError as error:
            raise ValueError(f"arguments: {error}") from error

    def _own(self) -> list[tuple[str, Mapping[str, JSONValue]]]:
        return list(zip(self.instructions, self.arguments or [{}] * len(self.instructions), strict=True))

    def _verdicts(self, text: str, attributes: Mapping[str, JSONValue]) -> list[bool]:
        """Return whether each instruction is obeyed; nothing where there is none or one that cannot be read."""
        check = obeys if self.reading == "strict" else obeys_loosely
        try:
            return [check(name, arguments, text) for name, arguments in self._own() or _asked(attributes)]
        except UnusableInstructionError:
            return []


@dataclass(frozen=True, kw_only=True)
class FollowsInstructions(_InstructionReader):
    """1 if the output obeys every verifiable instruction of its prompt, else 0; missing where there are none.

    f(x, y) = 1 if y obeys each of the instructions. They are the field's or, where that is empty, those in the prompt's
    attributes "instruction_id_list" and "kwargs", as in IFEval's prompts. An empty output obeys none. The label is
    missing where an instruction is of an unknown type or lacks an argument.

    Label space: binary. Needs: the prompt's attributes. Reads the prompt (its instructions).
    Source: prompt-level accuracy of IFEval, Zhou et al. (2023); 25 types of instructions, see
    `metamodel.analysis.obedience`.

    Attributes:
        reading: "strict", or "loose" to forgive emphasis, a first and a last line, as IFEval does.
        instructions: Types, such as "punctuation:no_comma"; empty for the prompt's own.
        arguments: Arguments of each, named as in IFEval's prompts; empty where none needs any.

    >>> from metamodel.text import text_batch
    >>> asked = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    >>> FollowsInstructions().label(text_batch(["No.", "Well, no.", "Well"], attributes=[asked, asked, {}]))
    array([ 1.,  0., nan])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "attributes")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where all instructions are obeyed, else 0, NaN without any, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            verdicts = self._verdicts(text, batch.attributes[row])
            if verdicts:
                labels[row] = all(verdicts)
        return labels


@dataclass(frozen=True, kw_only=True)
class InstructionShare(_InstructionReader):
    """Share of the verifiable instructions of its prompt that the output obeys; missing where there are none.

    f(x, y) = obeyed instructions / instructions, of those that `follows_instructions` reads.

    Label space: real, 10 equal bins of [0, 1]. Needs: the prompt's attributes. Reads the prompt (its instructions).
    Source: instruction-level accuracy of IFEval, Zhou et al. (2023), a prompt at a time.

    Attributes:
        reading: "strict", or "loose" to forgive emphasis, a first and a last line, as IFEval does.
        instructions: Types, such as "punctuation:no_comma"; empty for the prompt's own.
        arguments: Arguments of each, named as in IFEval's prompts; empty where none needs any.

    >>> from metamodel.text import text_batch
    >>> shouts = InstructionShare(instructions=("punctuation:no_comma", "change_case:english_capital"))
    >>> shouts.label(text_batch(["Not now", "NOT NOW"]))
    array([0.5, 1. ])
    """

    space: ClassVar[LabelSpace] = Real()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "attributes")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of instructions obeyed, NaN without any, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            verdicts = self._verdicts(text, batch.attributes[row])
            if verdicts:
                labels[row] = sum(verdicts) / len(verdicts)
        return labels


@dataclass(frozen=True, kw_only=True)
class WordCountObeyed:
    """1 if the output has as many words as was asked for, else 0; missing where no number of words was asked for.

    f(x, y) = 1 if low <= words of y <= high, words being what whitespace parts. The limits are the fields or, where
    both are absent, those that an English prompt states: "at most 50 words", "fewer than 50 words", "at least 300
    words", "300+ words", "between 20 and 30 words", "exactly 10 words"; "in 50 words", "about 50 words" and "a 50-word
    essay" allow 10 % either way. Several limits must all hold. Of the prompt its first 20,000 characters are read.

    Label space: binary. Needs: the prompt. Reads the prompt (what it asks for).
    Source: length_constraints:number_words of IFEval, Zhou et al. (2023), for prompts without attributes.

    Attributes:
        at_least: Fewest words; None for no such limit.
        at_most: Most words; None for no such limit.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["One two three"] * 3, prompts=["In at most 3 words:", "Use at least 5 words.", "Why?"])
    >>> WordCountObeyed().label(batch), WordCountObeyed(at_most=2).label(batch)
    (array([ 1.,  0., nan]), array([0., 0., 0.]))
    """

    at_least: int | None = None
    at_most: int | None = None

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep."""
        if (self.at_least or 0) < 0 or (self.at_most is not None and self.at_most < (self.at_least or 0)):
            raise ValueError(f"limits are {self.at_least} to {self.at_most}, must be 0 <= at_least <= at_most")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where the number of words is as asked for, else 0, NaN where none was asked for, [n]."""
        asked: dict[str, tuple[float, float] | None] = {}
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            prompt = batch.prompts[row]
            if prompt not in asked:
                asked[prompt] = self._limits(prompt)
            limits = asked[prompt]
            if limits is not None:
                labels[row] = limits[0] <= len(text.split()) <= limits[1]
        return labels

    def _limits(self, prompt: str) -> tuple[float, float] | None:
        if self.at_least is not None or self.at_most is not None:
            return self.at_least or 0, _NO_LIMIT if self.at_most is None else self.at_most
        return _stated_limits(prompt[:_LONGEST_PROMPT_READ])


def _asked(attributes: Mapping[str, JSONValue]) -> list[tuple[str, Mapping[str, JSONValue]]]:
    """Return the instructions of a prompt with their arguments.

    Raises:
        UnusableInstructionError: They are not lists of one length.
    """
    names = attributes.get("instruction_id_list")
    if not names:
        return []
    arguments = attributes.get("kwargs") or [{}] * (len(names) if isinstance(names, list) else 0)
    if not isinstance(names, list) or not isinstance(arguments, list) or len(names) != len(arguments):
        raise UnusableInstructionError("instruction_id_list and kwargs are not lists of one length")
    return [(str(name), given if isinstance(given, dict) else {}) for name, given in zip(names, arguments, strict=True)]


def _stated_limits(prompt: str) -> tuple[float, float] | None:
    """Return the fewest and the most words that a prompt asks for, or None."""
    if "word" not in prompt.lower():
        return None
    low, high = 0.0, _NO_LIMIT
    found_between = _BETWEEN.search(prompt)
    if found_between:
        low, high = sorted(_read(group) for group in found_between.groups())
    for pattern, step in ((_AT_LEAST, 0), (_ABOVE, 1)):
        fewest = _stated(pattern, prompt)
        low = low if fewest is None else max(low, fewest + step)
    for pattern, step in ((_AT_MOST, 0), (_BELOW, 1)):
        most = _stated(pattern, prompt)
        high = high if most is None else min(high, most - step)
    exact = _stated(_EXACTLY, prompt)
    if exact is not None:
        low, high = exact, exact
    if (low, high) != (0.0, _NO_LIMIT):
        return low, high
    about = _stated(_ABOUT, prompt)
    return None if about is None else (about * (1 - _ABOUT_SHARE), about * (1 + _ABOUT_SHARE))


def _stated(pattern: re.Pattern[str], prompt: str) -> float | None:
    found = pattern.search(prompt)
    return _read(next(group for group in found.groups() if group)) if found else None


def _read(digits: str) -> float:
    return float(digits.replace(",", ""))
