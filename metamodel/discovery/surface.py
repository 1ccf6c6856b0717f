"""Conditions about how a prompt looks: numbers cut at quantiles, and things it has or not.

Shapes: n = prompts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.analysis.languages import guess_language
from metamodel.analysis.markdown import has_code_block
from metamodel.analysis.scripts import script_counts
from metamodel.discovery.conditions import Condition, Conditions, members_from
from metamodel.discovery.tokens import LONGEST_READ, Tokens
from metamodel.types import FloatArray

# Where a number is cut; both sides of each cut are slices.
QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
# Enough to tell a language by its commonest words.
_READ_FOR_LANGUAGE: Final = 400
_ASCII_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")
_UPPER: Final = re.compile(r"[A-Z]")
_DIGIT: Final = re.compile(r"\d")
_URL: Final = re.compile(r"https?://|www\.")
_QUOTE: Final = re.compile(r"[\"“”„«»]")
_BRACKET: Final = re.compile(r"[()\[\]{}]")
_FLAGS: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("has a question mark", lambda text: any(mark in text for mark in "?？؟")),  # noqa: RUF001 - other scripts' marks
    ("has an exclamation mark", lambda text: any(mark in text for mark in "!！")),  # noqa: RUF001 - the same
    ("has a digit", lambda text: bool(_DIGIT.search(text))),
    ("has a quotation mark", lambda text: bool(_QUOTE.search(text))),
    ("has brackets", lambda text: bool(_BRACKET.search(text))),
    ("has a line break", lambda text: "\n" in text.strip()),
    ("has a code block", has_code_block),
    ("has a URL", lambda text: bool(_URL.search(text))),
    ("has a percent sign", lambda text: "%" in text),
    ("has a currency sign", lambda text: any(unicodedata.category(char) == "Sc" for char in set(text))),
    ("has an invisible character", lambda text: any(unicodedata.category(char) == "Cf" for char in set(text))),
    ("begins with a capital", lambda text: text.lstrip()[:1].isupper()),
    ("begins with a digit", lambda text: text.lstrip()[:1].isdigit()),
    ("ends in a space", lambda text: text[-1:].isspace()),
    ("ends in a letter", lambda text: text.rstrip()[-1:].isalpha()),
    ("ends in a digit", lambda text: text.rstrip()[-1:].isdigit()),
    ("ends in a full stop", lambda text: text.rstrip().endswith((".", "。"))),
)
_NUMBERS: Final = (
    "characters",
    "words",
    "lines",
    "mean letters of a word",
    "letters of the longest word",
    "share of digits",
    "share of capitals",
    "share of punctuation",
    "share of characters beyond ASCII",
    "share of words said before",
)


def surface_conditions(texts: Sequence[str], tokens: Tokens, *, least: int) -> Conditions:
    """Return conditions about length, characters, repetition, marks, script and language.

    Args:
        texts: Prompts, n of them.
        tokens: Their words.
        least: Fewest prompts that meet a condition, and fewest that do not.
    """
    conditions: list[Condition] = []
    columns: list[NDArray[np.bool_]] = []

    def add(source: str, met: str, unmet: str, column: NDArray[np.bool_]) -> None:
        if least <= int(column.sum()) <= len(texts) - least:
            conditions.append(Condition(kind="surface", source=source, met=met, unmet=unmet))
            columns.append(column)

    counted = np.array([_numbers(text) for text in texts]).reshape(len(texts), len(_NUMBERS) - 1)
    values = np.column_stack([counted, _repeated_shares(tokens)])
    for name, of_texts in zip(_NUMBERS, values.T, strict=True):
        for cut in _cuts(of_texts):
            add(name, f"{name} ≥ {_shown(cut, name)}", f"{name} < {_shown(cut, name)}", of_texts >= cut)
    for name, has in _FLAGS:
        add(name, name, f"not: {name}", np.array([has(text[:LONGEST_READ]) for text in texts], dtype=bool))
    for noun, names in (("script", _scripts(texts)), ("language", _languages(texts))):
        of_all = np.array(names)
        for name in sorted(set(names)):
            add(noun, f"{noun} is {name}", f"{noun} is not {name}", of_all == name)
    return Conditions(conditions=conditions, members=members_from(columns, len(texts)))


def _numbers(text: str) -> tuple[float, ...]:
    read = text[:LONGEST_READ]
    spaced = read.split()
    n = max(len(read), 1)
    is_ascii = read.isascii()
    return (
        float(len(text)),
        float(len(text.split())),
        float(text.count("\n") + 1),
        sum(map(len, spaced)) / max(len(spaced), 1),
        float(max(map(len, spaced), default=0)),
        len(_DIGIT.findall(read)) / n,
        (len(_UPPER.findall(read)) if is_ascii else sum(map(str.isupper, read))) / n,
        (len(_ASCII_PUNCTUATION.findall(read)) if is_ascii else sum(map(_is_punctuation, read))) / n,
        0.0 if is_ascii else sum(not char.isascii() for char in read) / n,
    )


def _repeated_shares(tokens: Tokens) -> FloatArray:
    """Return the share of each prompt's words that it has said before, [n]."""
    n_words = np.bincount(tokens.owners, minlength=tokens.n_prompts)
    pairs = np.unique(tokens.owners * max(len(tokens.words), 1) + tokens.numbers)
    n_different = np.bincount(pairs // max(len(tokens.words), 1), minlength=tokens.n_prompts)
    shares: FloatArray = 1 - n_different / np.maximum(n_words, 1)
    return np.where(n_words > 0, shares, 0.0)


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def _cuts(values: FloatArray) -> list[float]:
    """Return where to cut: the quantiles, as values that occur, and above the smallest one."""
    if len(values) == 0:
        return []
    cuts = np.quantile(values, QUANTILES, method="higher")
    return [cut for cut in dict.fromkeys(cuts.tolist()) if cut > values.min()]


def _shown(cut: float, name: str) -> str:
    return f"{100 * cut:.3g} %" if name.startswith("share") else f"{cut:.4g}"


def _scripts(texts: Sequence[str]) -> list[str]:
    return [_commonest_script(text[:_READ_FOR_LANGUAGE]) for text in texts]


def _commonest_script(text: str) -> str:
    counts = script_counts(text)
    return max(counts, key=lambda name: counts[name]) if counts else "none"


def _languages(texts: Sequence[str]) -> list[str]:
    return [guess_language(text[:_READ_FOR_LANGUAGE]) or "not clear" for text in texts]
