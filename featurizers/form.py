"""Form: what an output looks like, whatever it says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from metamodel.analysis.markdown import has_code_block, without_code_blocks
from metamodel.analysis.scripts import script_counts
from metamodel.labels import Binary, Categorical, LabelSpace
from metamodel.types import FloatArray, GenerationBatch, Need

_ITEM: Final = re.compile(
    r"\n[ \t>]*+(?:[-*+•‣◦–]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})[.)])[ \t]++(?=\S)"  # noqa: RUF001 - an en dash is a bullet
)
_DELIMITER_ROW: Final = re.compile(r"\n[ \t]*+[|:-][|:\- \t]*+(?=\n|\Z)")
_HEADING: Final = re.compile(r"\n {0,3}(?:#{1,6}[ \t]++[^\s#]|[^\s>|#][^\n]*+\n={3,}[ \t]*+(?=\n|\Z))")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")  # noqa: RUF001 - an apostrophe
_SHORT_WORD: Final = 3
_SHARE_IN_USE: Final = 0.05

SCRIPTS: Final = (
    "latin",
    "han",
    "kana",
    "hangul",
    "cyrillic",
    "arabic",
    "devanagari",
    "greek",
    "hebrew",
    "thai",
    "bengali",
    "tamil",
)


@dataclass(frozen=True, kw_only=True)
class HasList:
    r"""1 if the output has a list, else 0.

    f(y) = 1 if at least `min_items` lines of y begin, after blanks, with a bullet (-, *, +, •), a number or a letter
    with a point or parenthesis ("1.", "(a)"), then a blank and text.

    Label space: binary. Needs: the output alone.
    Source: CommonMark 0.31, section 5.2, widened by •, letters and parentheses.

    Attributes:
        min_items: Fewest items.

    >>> from metamodel.text import text_batch
    >>> HasList().label(text_batch(["Buy:\n- milk\n- eggs", "1. Rome\n2. Oslo", "- milk", "a - b"]))
    array([1., 1., 0., 0.])
    """

    min_items: int = 2

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def __post_init__(self) -> None:
        """Refuse a list of nothing."""
        if self.min_items < 1:
            raise ValueError(f"min_items is {self.min_items}, must be at least 1")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where there is a list, else 0, [n]."""
        return np.array([self._has_list(text) for text in batch.texts], dtype=np.float64)

    def _has_list(self, text: str) -> bool:
        if self.min_items > 1 and "\n" not in text:
            return False
        items = _ITEM.finditer(f"\n{text}")
        return any(n_seen >= self.min_items for n_seen, _ in enumerate(items, start=1))


@dataclass(frozen=True, kw_only=True)
class HasTable:
    r"""1 if the output has a Markdown table, else 0.

    f(y) = 1 if a line of y with a bar is followed by a delimiter row: dashes, bars, colons and blanks with at least one
    dash and one bar.

    Label space: binary. Needs: the output alone.
    Source: GitHub Flavored Markdown 0.29, section 4.10.

    >>> from metamodel.text import text_batch
    >>> HasTable().label(text_batch(["| a | b |\n|---|:-:|\n| 1 | 2 |", "P(a|b)\n---"]))
    array([1., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where there is a table, else 0, [n]."""
        return np.array([_has_table(text) for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class HasCodeBlock:
    r"""1 if the output has a fenced code block, closed or not, else 0.

    f(y) = 1 if a line of y begins, after blanks, with three backticks or tildes.

    Label space: binary. Needs: the output alone.
    Source: CommonMark 0.31, section 4.5.

    >>> from metamodel.text import text_batch
    >>> HasCodeBlock().label(text_batch(["Try:\n```python\nx = 1\n```", "`x = 1`"]))
    array([1., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where there is a code block, else 0, [n]."""
        return np.array([has_code_block(text) for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class HasHeading:
    r"""1 if the output has a Markdown heading, else 0.

    f(y) = 1 if a line of y begins with one to six # and a blank, or stands above a line of three or more =. Lines
    within code blocks do not count.

    Label space: binary. Needs: the output alone.
    Source: CommonMark 0.31, sections 4.2 and 4.3; an underline of dashes is left out, since it also draws a rule.

    >>> from metamodel.text import text_batch
    >>> HasHeading().label(text_batch(["## Plan\nFirst ...", "#1 in the world", "```\n# a comment\n```"]))
    array([1., 0., 0.])
    """

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 where there is a heading, else 0, [n]."""
        return np.array([_has_heading(text) for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Script:
    """The writing system that most letters of the output belong to, or "none" without letters, or "other".

    f(y) = argmax over scripts s of the letters of y in s, by `metamodel.analysis.scripts.script_counts`; the first of
    equals in the order of the classes. It tells languages apart as far as their scripts differ, no further.

    Label space: categorical. Needs: the output alone.
    Source: Unicode Standard Annex 24.

    >>> from metamodel.text import text_batch
    >>> [Script().space.outcomes[int(code)] for code in Script().label(text_batch(["Да, yes и нет", "42", "東京"]))]
    ['cyrillic', 'none', 'han']
    """

    space: ClassVar[LabelSpace] = Categorical(classes=("none", *SCRIPTS, "other"))
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the class of each output's main script, [n]."""
        return np.array([_main_script(text) for text in batch.texts], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ScriptSwitch:
    """1 if the output is written in another script than its prompt, else 0; missing where either has no letters.

    f(x, y) = 1 if at least `min_share` of the letters of y belong to scripts that hold less than 5 % of the letters of
    x. At 0.5 the output has switched; at 0.05 it mixes scripts in. A switch between languages of one script does not
    show.

    Label space: binary. Needs: the prompt. Reads the prompt.
    Source: this project; scripts by Unicode Standard Annex 24.

    Attributes:
        min_share: Fewest letters in scripts foreign to the prompt, as a share of the output's letters.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["Да, конечно", "Yes, 東京", "42"], prompts=["Is it?", "Where?", "What?"])
    >>> ScriptSwitch().label(batch), ScriptSwitch(min_share=0.05).label(batch)
    (array([ 1.,  0., nan]), array([ 1.,  1., nan]))
    """

    min_share: float = 0.5

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("text", "prompt")

    def __post_init__(self) -> None:
        """Refuse a share that means nothing."""
        if not 0 < self.min_share <= 1:
            raise ValueError(f"min_share is {self.min_share}, must be above 0 and at most 1")

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return 1 for another script, else 0, NaN where there are no letters, [n]."""
        scripts_of = {prompt: _scripts_in_use(script_counts(prompt)) for prompt in dict.fromkeys(batch.prompts)}
        labels = np.full(len(batch), np.nan)
        for row, text in enumerate(batch.texts):
            expected = scripts_of[batch.prompts[row]]
            counts = script_counts(text)
            total = sum(counts.values())
            if expected and total:
                n_foreign = sum(count for script, count in counts.items() if script not in expected)
                labels[row] = n_foreign >= self.min_share * total
        return labels


@dataclass(frozen=True, kw_only=True)
class Casing:
    """The casing of the output: "none" without cased letters, "lower", "upper", "title" or "mixed".

    f(y): lower and upper where all cased letters are; title where at least two words begin in upper case and every word
    of more than three letters does; mixed otherwise, as ordinary sentences are.

    Label space: categorical. Needs: the output alone.
    Source: change_case of IFEval, Zhou et al. (2023), and title case.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["42", "no idea", "STOP!", "The Lord of the Rings", "Not today."])
    >>> [Casing().space.outcomes[int(code)] for code in Casing().label(batch)]
    ['none', 'lower', 'upper', 'title', 'mixed']
    """

    space: ClassVar[LabelSpace] = Categorical(classes=("none", "lower", "upper", "title", "mixed"))
    reads_prompt: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("text",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the class of each output's casing, [n]."""
        classes = {name: code for code, name in enumerate(self.space.outcomes)}
        return np.array([classes[_casing(text)] for text in batch.texts], dtype=np.float64)


def _has_table(text: str) -> bool:
    if "|" not in text or "-" not in text:
        return False
    for row in _DELIMITER_ROW.finditer(text):
        header = text[text.rfind("\n", 0, row.start()) + 1 : row.start()]
        if "|" in row[0] and "-" in row[0] and "|" in header:
            return True
    return False


def _has_heading(text: str) -> bool:
    if "#" not in text and "===" not in text:
        return False
    return _HEADING.search(f"\n{text}") is not None and _HEADING.search(f"\n{without_code_blocks(text)}") is not None


def _main_script(text: str) -> int:
    counts = script_counts(text)
    if not counts:
        return 0
    known = {script: counts[script] for script in SCRIPTS if script in counts}
    most = max(counts.values())
    return next((1 + SCRIPTS.index(script) for script, count in known.items() if count == most), 1 + len(SCRIPTS))


def _scripts_in_use(counts: Counter[str]) -> frozenset[str]:
    total = sum(counts.values())
    return frozenset(script for script, count in counts.items() if count >= _SHARE_IN_USE * total)


def _casing(text: str) -> str:
    if text.islower():
        return "lower"
    if text.isupper():
        return "upper"
    n_words = 0
    any_cased = False
    for found in _WORD.finditer(text):
        word = found[0]
        first = word[0]
        if first.islower() and len(word) > _SHORT_WORD:
            return "mixed"
        n_words += first.isupper()
        any_cased = any_cased or first != first.swapcase()
    if not any_cased:
        return "none"
    return "title" if n_words > 1 else "mixed"
