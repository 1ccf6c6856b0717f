"""How SQuAD compares an answer with gold answers.

Ground floor: nothing here imports another module of the project.
Source: Rajpurkar et al., SQuAD (2016), and the official evaluation script of SQuAD 1.1 and 2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

_NO_PUNCTUATION: Final = dict.fromkeys(map(ord, string.punctuation))
_ARTICLES: Final = frozenset({"a", "an", "the"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")  # neither words nor white space
_FEW_WORDS: Final = 8
_ARTICLE: Final = re.compile(r"\b(?:a|an|the)\b")


def squad_normalize(text: str) -> str:
    """Bring equal answers to one form, exactly as SQuAD's evaluation script does.

    Lower case; ASCII punctuation removed, so that words it joined become one; the words a, an and the removed;
    whitespace squeezed. "A" becomes nothing, "3.5" becomes "35", "-5" becomes "5": for answers that are words.

    >>> squad_normalize("The  U.S.A., a country!")
    'usa country'
    """
    bare = text.lower().translate(_NO_PUNCTUATION)
    # The script's articles stand between word boundaries: in plain ASCII that is between white space, and far faster.
    if bare.isascii() and not _CONTROL.search(bare):
        return " ".join([word for word in bare.split() if word not in _ARTICLES])
    return " ".join(_ARTICLE.sub(" ", bare).split())


def token_f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    """Return F1 = 2 P R / (P + R) of the words of an answer and a gold answer, in [0, 1].

    P is the share of the answer's words found in the gold answer, R the other way round; a word counts as often as it
    stands in both. Where either has no words, F1 is 1 if both have none and 0 otherwise, as in SQuAD 2.0.

    >>> token_f1(["big", "cat"], ["cat"])
    0.6666666666666666
    """
    if not answer or not gold:
        return float(not answer and not gold)
    wanted = Counter(gold)
    if len(wanted) <= _FEW_WORDS:  # counting these alone is far faster than counting every word of a long answer
        n_common = sum(min(n, answer.count(word)) for word, n in wanted.items())
    else:
        n_common = (Counter(answer) & wanted).total()
    # P + R = n (1 / len(answer) + 1 / len(gold)), so that n cancels once.
    return 2 * n_common / (len(answer) + len(gold))
