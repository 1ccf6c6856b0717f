"""A text as the surface features read it: shortened, its characters classed, split into words, lines and sentences.

Every block of features is a tuple of names and a function of this view; all of them count what is there, none reads
what a word means beyond short lists of English function and task words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from operator import mul
from typing import Final, NamedTuple

UPPER, LOWER, DIGIT, SPACE, MARK, OTHER = b"U", b"L", b"D", b" ", b"M", b"O"
_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_N_ASCII: Final = 128


def _class_table() -> bytes:
    """Return the class of each ASCII character, OTHER for the bytes above, as a translation table."""
    classes = bytearray(OTHER * 256)
    for code in range(_N_ASCII):
        character = chr(code)
        if character.isalpha():
            classes[code : code + 1] = UPPER if character.isupper() else LOWER
        elif character.isdigit():
            classes[code : code + 1] = DIGIT
        else:
            classes[code : code + 1] = SPACE if character.isspace() else MARK
    return bytes(classes)


def _word_table() -> bytes:
    """Return a translation table that turns all ASCII but letters, digits and apostrophes into spaces."""
    return bytes(
        code if code >= _N_ASCII or chr(code).isalnum() or chr(code) == "'" else ord(" ") for code in range(256)
    )


_CLASSES: Final = _class_table()
_WORD_BYTES: Final = _word_table()


class TextView(NamedTuple):
    """One text, shortened.

    Attributes:
        n_characters: Characters of the whole text.
        text: Its first and its last part, line ends and apostrophes of one kind.
        classes: One byte a character: UPPER, LOWER, DIGIT, SPACE, MARK (other ASCII) or OTHER.
        words: UTF-8 of its words in lower case: runs of letters, digits, apostrophes and whatever is not ASCII.
        lines: Its lines.
        sentences: Its sentences, roughly: parts between line ends and final marks before a space that hold anything.
    """

    n_characters: int
    text: str
    classes: bytes
    words: list[bytes]
    lines: list[str]
    sentences: list[str]

    @classmethod
    def of(cls, text: str, max_characters: int) -> TextView:
        """Read a text; of a longer one than `max_characters` the first and the last half of so many."""
        half = max_characters // 2
        kept = text if len(text) <= max_characters else text[:half] + "\n" + text[-half:]
        if "\r" in kept:
            kept = kept.replace("\r\n", "\n").replace("\r", "\n")
        plain, ended = kept, kept
        if not kept.isascii():
            kept = kept.replace("’", "'")  # noqa: RUF001 - curly apostrophes stand within words
            plain = _NON_ASCII.sub("\x80", kept)
            ended = kept.replace("。", ". ").replace("？", "? ").replace("؟", "? ").replace("।", ". ")  # noqa: RUF001 - full-width marks end sentences too
        parts = ended.replace("? ", ". ").replace("! ", ". ").replace("\n", ". ").split(". ")
        return cls(
            n_characters=len(text),
            text=kept,
            classes=plain.encode("latin-1").translate(_CLASSES),
            words=words_of(kept),
            lines=kept.split("\n"),
            sentences=[part for part in parts if part and not part.isspace()],
        )


def words_of(text: str) -> list[bytes]:
    """Return the words of a text in lower case, as UTF-8: bytes are translated and split faster than characters."""
    return text.lower().encode("utf-8", errors="surrogatepass").translate(_WORD_BYTES).split()


def share(part: float, whole: float) -> float:
    """Return part / whole, 0 where there is no whole."""
    return part / whole if whole else 0.0


# log(1 + count): the step from 1 to 2 means more than the one from 101 to 102.
log_count: Final = math.log1p


def spread(values: Sequence[int]) -> tuple[float, float]:
    """Return mean and standard deviation of whole numbers; zeros for none."""
    n = len(values)
    if not n:
        return 0.0, 0.0
    mean = sum(values) / n
    return mean, math.sqrt(max(sum(map(mul, values, values)) / n - mean * mean, 0.0))
