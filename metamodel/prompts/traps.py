"""Tasks on which models may get worse as they are trained: a known ending, a pattern and a popular mistake to resist.

Small relatives of the tasks that Michaelov and Bergen, *Emergent inabilities? Inverse scaling over the course of
pretraining* (2023), saw fall over training: Memo Trap and Pattern Match Suppression (Inverse Scaling Prize) and
TruthfulQA. The fourth, Hindsight Neglect, is `metamodel.prompts.reasoning.HindsightBet`. Each asks for what the prompt
or the facts say where something learned pulls the other way, and offers both answers as choices.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, data_lines, range_problem, refuse
from metamodel.prompts.facts import load_capitals
from metamodel.types import Prompt, Scalar

MOST_ITEMS = 24
FRAMES = (
    "Many people think the capital of {place} is {mistake}. In truth the capital of {place} is",
    "They say {mistake} is the capital of {place}, which is wrong. The capital of {place} is",
    "Which is the capital of {place}, {first} or {second}? Answer:",
)
DIGITS = tuple("0123456789")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


@functools.cache
def load_mistaken_capitals() -> tuple[tuple[str, str], ...]:
    """Return (place, city) where the city is better known than the place's capital, which it is not."""
    pairs = (line.split("\t") for line in data_lines("mistaken_capitals.tsv"))
    return tuple((place, city) for place, city in pairs)


@dataclass(frozen=True, kw_only=True)
class MemoTrap(GeneratedDomain):
    """A known sentence to end otherwise: 'Write a quote that ends in the word "cheese": All that glitters is not'.

    Gold is the asked word, the trap is the known ending.

    Attributes:
        domain: Name of the domain.
    """

    domain: str = "memo_trap"

    def draw(self, draws: Draws) -> Example:
        """Return a sentence without its last word, with the asked word, the known one and the words shown."""
        start, known = draws.pick(data_lines("quotes.txt")).rsplit(" ", 1)
        asked = known
        while asked == known:
            asked = draws.pick(data_lines("words.txt"))
        attributes: dict[str, Scalar] = {"n_words": start.count(" ") + 1}
        attributes |= {"context_answer": asked, "memory_answer": known}
        text = f'Write a quote that ends in the word "{asked}": {start}'
        return _trap(draws, text, right=asked, trap=known, domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class PatternSuppression(GeneratedDomain):
    """A pattern to break: "Write 6 letters, k and p in turn, with a surprise at the end: k p k p k" -> " k".

    Gold is what the pattern forbids, the trap is what it demands.

    Attributes:
        min_items: Fewest items of the whole sequence.
        max_items: Most items.
        domain: Name of the domain.
    """

    min_items: int = 4
    max_items: int = 12
    domain: str = "pattern_suppression"

    def __post_init__(self) -> None:
        """Refuse a range of lengths that shows no pattern or leaves the length limit."""
        refuse(range_problem("items", self.min_items, self.max_items, least=4, most=MOST_ITEMS))

    def draw(self, draws: Draws) -> Example:
        """Return all items but the last, with the kind of the items and their number."""
        kind = draws.pick(("letters", "digits", "words"))
        known = {"letters": LETTERS, "digits": DIGITS, "words": data_lines("words.txt")}[kind]
        pair = draws.distinct(known, 2)
        n_items = draws.between(self.min_items, self.max_items)
        shown = [pair[place % 2] for place in range(n_items - 1)]
        text = f"Write {n_items} {kind}, {pair[0]} and {pair[1]} in turn, with a surprise at the end: {' '.join(shown)}"
        attributes: dict[str, Scalar] = {"kind": kind, "n_items": n_items}
        return _trap(
            draws, text, right=shown[-1], trap=pair[(n_items - 1) % 2], domain=self.domain, attributes=attributes
        )


@dataclass(frozen=True, kw_only=True)
class MistakenCapitals(GeneratedDomain):
    """A capital against a popular mistake: "Many people think the capital of Australia is Sydney. In truth ...".

    Gold is the capital, the trap is the better known city, which every prompt names.

    Attributes:
        domain: Name of the domain.
    """

    domain: str = "mistaken_capitals"

    def draw(self, draws: Draws) -> Example:
        """Return a question, with its frame and both answers."""
        place, mistake = draws.pick(load_mistaken_capitals())
        capital = dict(load_capitals())[place]
        frame = draws.between(0, len(FRAMES) - 1)
        first, second = draws.distinct((capital, mistake), 2)
        text = FRAMES[frame].format(place=place, mistake=mistake, first=first, second=second)
        attributes: dict[str, Scalar] = {"frame": frame, "context_answer": mistake, "memory_answer": capital}
        return _trap(draws, text, right=capital, trap=mistake, domain=self.domain, attributes=attributes)


def _trap(draws: Draws, text: str, *, right: str, trap: str, domain: str, attributes: Mapping[str, Scalar]) -> Example:
    """Return the example of a choice between the right answer and the trap, in either order."""
    choices = draws.distinct((right, trap), 2)
    prompt = Prompt.create(text, domain=domain, references=(right,), choices=choices, attributes=attributes)
    return prompt, f" {right}"
