r"""Where a free text says its answer: the letter of an option.

Ground floor: nothing here imports another module of the project. Every search is linear in the text's length.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

OPTION_LETTERS: Final = "ABCDEFGHIJ"
MOST_LETTERS: Final = 26

Take: TypeAlias = Literal["first", "last"]
Several: TypeAlias = Literal["first", "none"]

# What may stand between the words of an announcement and its letter: blanks, quotes, brackets, Markdown and LaTeX.
_OPENING: Final = (
    r"(?:[\s*_`\"'“‘«(\[{<$:=]"  # noqa: RUF001 - typographic quotes are what models write
    r"|\\(?:boxed|text(?:bf|it)?|math(?:rm|bf|bb)|bf|rm|left|[(\[ ,])|(?i:(?:option|choice|letter)\b))*+"
)
_VERB: Final = (
    r"[*_\s]*+(?i:is|are|was|(?:would|should|must|will|may|might)\s+be|[:=])"
    r"(?i:\s+(?:most\s+likely|likely|probably|clearly|therefore|thus|then|indeed|definitely)\b)?+"
)
_ANNOUNCED: Final = (
    r"(?i:nswer)(?<!ncorrect answer)(?<!wrong answer)s?"
    r"(?i:\s+(?:choice|option|letter)\b|\s+to\s+(?:this|the)\s+(?:question|problem)\b)?+" + _VERB
)
_QUALITIES: Final = (
    "best",
    "correct",
    "closest",
    "right",
    "likely",
    "only",
    "appropriate",
    "accurate",
    "suitable",
    "my",
)
_BEST: Final = "|".join(f"(?<={quality} .)" for quality in _QUALITIES)
_BEST_OPTION: Final = rf"(?:{_BEST})(?:ption|hoice){_VERB}"
# "A" and "I" before these are letters, before any other word in lower case they are words.
_AFTER_A_LETTER: Final = "because|since|as|and|or|but|with|due|for|which|based|given|is|would"
_TAIL_CHARACTERS: Final = 24


@dataclass(frozen=True, kw_only=True)
class _Patterns:
    """The searches for one set of letters."""

    announced: re.Pattern[str]
    several: re.Pattern[str]
    best_option: re.Pattern[str]
    boxed: re.Pattern[str]
    option: re.Pattern[str]
    next_option: re.Pattern[str]
    last_line: re.Pattern[str]
    closing: re.Pattern[str]


def final_letter(
    text: str, *, letters: str = OPTION_LETTERS, take: Take = "last", several: Several = "first"
) -> str | None:
    r"""Return the letter of the option that a text settles on, or None.

    The first of these rules that finds a letter decides:

    1. an announcement: "answer is (C)", "Answer: C", "the correct answer would be **C**", "answer is $\boxed{C}$";
    2. "the best option is C" (closest, correct, right, most likely, only);
    3. \boxed{C};
    4. the text begins with an option, "(C) Paris" or "C. Paris", and no later line begins with another one;
    5. the last line is a letter alone;
    6. the text ends in a letter in parentheses, "... is (C)."

    A letter counts only where it stands alone: not the B of "Both", the A of "ACI" or the F of "F = ma". "A" and "I"
    before a word in lower case are words. Letters in lower case count inside the brackets of an announcement.

    Args:
        text: An output.
        letters: Those that the options have.
        take: Which of several announcements counts.
        several: What an announcement of several options, "(A) and (C)", answers: its first one, as the published
            scores of MMLU-Pro have it, or none.

    >>> final_letter("Let me see. The answer is (C)."), final_letter("**B**"), final_letter("The answer is a mystery.")
    ('C', 'B', None)
    """
    patterns = _patterns(letters)
    for word, pattern in (
        ("nswer", patterns.announced),
        ("NSWER", patterns.announced),
        ("ption", patterns.best_option),
        ("hoice", patterns.best_option),
    ):
        found = _behind(text, word, pattern, take)
        if found:
            names_several = several == "none" and patterns.several.match(text, found.end())
            return None if names_several else _letter_of(found)
    if "\\boxed" in text:
        boxes = list(patterns.boxed.finditer(text))
        if boxes:
            return _letter_of(boxes[-1 if take == "last" else 0])
    return _by_position(text, patterns)


def _behind(text: str, word: str, pattern: re.Pattern[str], take: Take) -> re.Match[str] | None:
    """Return the match at one of the places where a word stands: the last or the first that has one."""
    at = text.rfind(word) if take == "last" else text.find(word)
    while at >= 0:
        found = pattern.match(text, at)
        if found:
            return found
        at = text.rfind(word, 0, at) if take == "last" else text.find(word, at + 1)
    return None


def _by_position(text: str, patterns: _Patterns) -> str | None:
    stripped = text.strip()
    found = patterns.option.match(stripped)
    if found:
        letter = _letter_of(found)
        if all(_letter_of(other) == letter for other in patterns.next_option.finditer(stripped, found.end())):
            return letter
    tail = stripped[-_TAIL_CHARACTERS:]
    found = patterns.last_line.match(tail[tail.rfind("\n") + 1 :]) if "\n" in tail else None
    found = found or patterns.closing.search(tail)
    return _letter_of(found) if found else None


def _letter_of(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group).upper()


@functools.cache
def _patterns(letters: str) -> _Patterns:
    """Compile the searches for some letters; there are few such sets."""
    big = f"[{letters}]"
    any_case = f"[{letters}{letters.lower()}]"
    several = rf"[\s)\]]*+(?:(?:[,&/]|and\b|or\b)\s*+)++[(\[]?(?![AI]\s+[a-z]){big}(?![\w'’])"  # noqa: RUF001 - apostrophe
    alone = r"(?![\w'’(^])(?!-\w|\s*+=|[\s)]*+is (?:wrong|incorrect))"  # noqa: RUF001 - the same
    bracketed = rf"(?<=[(\[{{])({any_case})(?=\s*[)\]}}]){alone}"
    plain = rf"(?![AI]\s+(?!(?:{_AFTER_A_LETTER})\b)[a-z])({big}){alone}"
    letter = rf"{_OPENING}(?:{bracketed}|{plain})"
    option = rf"[*_`\s]*+(?:[(\[]({big})[)\]]|({big})(?:[).:]|\*\*|[ \t]*+(?:\n|\Z)))(?!\w)"
    return _Patterns(
        announced=re.compile(_ANNOUNCED + letter),
        several=re.compile(several),
        best_option=re.compile(_BEST_OPTION + letter),
        boxed=re.compile(rf"\\boxed\{{\s*+(?:\\text\w*+\{{\s*+)?(?:\(({any_case})\)|({big}))\s*+[.}}]"),
        option=re.compile(option),
        next_option=re.compile(rf"\n{option}"),
        last_line=re.compile(rf"[\W_]*+({big})[\W_]*+\Z"),
        closing=re.compile(rf"\(({big})\)[\W_]*+\Z"),
    )
