"""Character noise: the same prompt with its words misspelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias, get_args

from metamodel.prompts.base import Draws, data_lines, refuse, share_problem
from metamodel.prompts.perturb import PerturbedSource, number_problem, shuffled, version_draws
from metamodel.types import Prompt

Noise: TypeAlias = Literal["swap", "scramble", "scramble_all", "keyboard", "natural"]

# Runs of letters: digits and signs stay, for a changed number would be another question.
_WORD: Final = re.compile(r"[^\W\d_]+")
_SHORTEST_WITH_INNER_PAIR: Final = 4
_KEYBOARD_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_TRIES: Final = 8


@dataclass(frozen=True, kw_only=True)
class CharacterNoise(PerturbedSource):
    """Changed versions with misspelled words: "The capital" -> "The caiptal".

    - swap: two neighboring letters of a word of at least four change places, its first and last letter excepted.
    - scramble: all letters of such a word but the first and the last are put in random order.
    - scramble_all: all letters of a word of at least two are put in random order.
    - keyboard: one letter of a word becomes one beside it on a QWERTY keyboard.
    - natural: a word becomes one of its common misspellings, from a list of this project's own.

    Words are runs of letters; numbers stay. References stay too: wrap sources whose right answer a misspelled question
    does not change (capitals, not reversal). A prompt without a word to change has no changed version.
    Source: Belinkov and Bisk, Synthetic and Natural Noise Both Break Neural Machine Translation (2018), whose noise
    changes every word; `rate` takes a share of them.

    Attributes:
        noise: Kind of the noise.
        rate: Probability that a word which can be changed is; at least one is.
        n_versions: Changed versions a prompt, each drawn anew.
    """

    noise: Noise = "swap"
    rate: float = 0.5
    n_versions: int = 1

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        unknown = f"noise is {self.noise!r}, must be one of {', '.join(get_args(Noise))}"
        refuse(
            None if self.noise in get_args(Noise) else unknown,
            share_problem("rate", self.rate),
            number_problem("n_versions", self.n_versions),
        )
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the misspelled versions."""
        for number in range(1, self.n_versions + 1):
            draws = version_draws(f"{self.noise}:{self.rate}", seed, prompt, number)
            text = misspelled(prompt.text, self.noise, rate=self.rate, draws=draws)
            if text != prompt.text:
                attributes = {"change": self.noise, "rate": self.rate}
                yield prompt.changed(text, variant=f"{self.noise} {number}", attributes=attributes)


def misspelled(text: str, noise: Noise, *, rate: float, draws: Draws) -> str:
    """Return a text with a share of its words changed, at least one; itself where no word can be.

    >>> misspelled("The capital of France is", "swap", rate=0.0, draws=Draws("b"))
    'The capital of Farnce is'
    """
    change = _CHANGES[noise]
    found = [(word, changed) for word in _WORD.finditer(text) if (changed := change(word[0], draws)) != word[0]]
    kept = [pair for pair in found if draws.chance(rate)] or ([draws.pick(found)] if found else [])
    pieces, end = [], 0
    for word, changed in kept:
        pieces += [text[end : word.start()], changed]
        end = word.end()
    return "".join([*pieces, text[end:]])


def _swap(word: str, draws: Draws) -> str:
    places = [place for place in range(1, len(word) - 2) if word[place] != word[place + 1]]
    if len(word) < _SHORTEST_WITH_INNER_PAIR or not places:
        return word
    place = draws.pick(places)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _scramble(word: str, draws: Draws) -> str:
    return word if len(word) < _SHORTEST_WITH_INNER_PAIR else word[0] + _scramble_all(word[1:-1], draws) + word[-1]


def _scramble_all(word: str, draws: Draws) -> str:
    for _ in range(_TRIES):  # "noon" may come out as itself, "aaaa" always does
        mixed = "".join(word[place] for place in shuffled(list(range(len(word))), draws))
        if mixed != word:
            return mixed
    return word


def _keyboard(word: str, draws: Draws) -> str:
    places = [place for place, letter in enumerate(word) if letter.lower() in _neighbors()]
    if not places:
        return word
    place = draws.pick(places)
    typed = draws.pick(_neighbors()[word[place].lower()])
    return word[:place] + (typed.upper() if word[place].isupper() else typed) + word[place + 1 :]


def _natural(word: str, draws: Draws) -> str:
    known = _misspellings().get(word.lower())
    if known is None:
        return word
    wrong = draws.pick(known)
    if word.isupper():
        return wrong.upper()
    return wrong.capitalize() if word[0].isupper() else wrong


_CHANGES: Final[Mapping[str, Callable[[str, Draws], str]]] = {
    "swap": _swap,
    "scramble": _scramble,
    "scramble_all": _scramble_all,
    "keyboard": _keyboard,
    "natural": _natural,
}


@cache
def _neighbors() -> dict[str, str]:
    """Return the letters beside each letter: in its row, and those that touch it in the rows above and below."""
    beside: dict[str, str] = {}
    for number, row in enumerate(_KEYBOARD_ROWS):
        for place, letter in enumerate(row):
            found = row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
            if number > 0:  # each row is set off to the right by about half a key
                found += _KEYBOARD_ROWS[number - 1][place : place + 2]
            if number + 1 < len(_KEYBOARD_ROWS):
                found += _KEYBOARD_ROWS[number + 1][max(place - 1, 0) : place + 1]
            beside[letter] = found
    return beside


@cache
def _misspellings() -> dict[str, tuple[str, ...]]:
    pairs = (line.split("\t") for line in data_lines("misspellings.tsv"))
    return {word: tuple(wrong.split(" ")) for word, wrong in pairs}
