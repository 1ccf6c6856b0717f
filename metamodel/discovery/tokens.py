"""Prompts as rows of word numbers: what n-grams, near-duplicates and clusters are made of.

Shapes: n = prompts, t = words of all prompts together, w = different words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.types import IntArray

# Of a longer prompt the beginning and the end are read, half of this each.
LONGEST_READ: Final = 4000
# Chinese and Japanese write without spaces: there each letter is a word, and three in a row are a phrase.
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The words of n prompts, in lower case; a punctuation mark is a word.

    Attributes:
        words: Every word once, w of them, in the order they first occur.
        numbers: Number of each word in turn, prompt after prompt, [t].
        owners: Number of the prompt that each word stands in, [t].
        n_prompts: Prompts n.
    """

    words: Sequence[str]
    numbers: IntArray
    owners: IntArray
    n_prompts: int

    @property
    def starts(self) -> IntArray:
        """Place of each prompt's first word, [n]; where the next prompt's is for one without words."""
        return np.searchsorted(self.owners, np.arange(self.n_prompts))


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; of a long one the beginning and the end.

    >>> split_words("Is 1 < 2?")
    ['is', '1', '<', '2', '?']
    """
    if len(text) > LONGEST_READ:
        text = f"{text[: LONGEST_READ // 2]} {text[-LONGEST_READ // 2 :]}"
    found: list[str] = _WORD.findall(text.lower())
    return found


def read_tokens(texts: Sequence[str]) -> Tokens:
    """Number the words of n prompts.

    >>> read_tokens(["a b a", "", "b c"]).numbers.tolist()
    [0, 1, 0, 1, 2]
    """
    known: dict[str, int] = {}
    numbers: list[int] = []
    lengths = []
    for text in texts:
        words = split_words(text)
        numbers += [known.setdefault(word, len(known)) for word in words]
        lengths.append(len(words))
    return Tokens(
        words=list(known),
        numbers=np.array(numbers, dtype=np.int64),
        owners=np.repeat(np.arange(len(texts)), lengths).astype(np.int64),
        n_prompts=len(texts),
    )
