"""Domains without meaning: uniform random tokens, and a unit repeated."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, data_lines, range_problem, refuse
from metamodel.types import Prompt

PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))
LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class Mechanistic(GeneratedDomain):
    """Characters drawn independently and uniformly: for a byte-level model, uniform random tokens.

    The domain without any meaning: what a primary model does there shows its mechanism alone.

    Attributes:
        min_length: Fewest characters.
        max_length: Most characters.
        alphabet: Characters to draw from.
        domain: Name of the domain.
    """

    min_length: int = 8
    max_length: int = 64
    alphabet: str = PRINTABLE_ASCII
    domain: str = "mechanistic"

    def __post_init__(self) -> None:
        """Refuse an empty range of lengths or an empty alphabet."""
        refuse(
            range_problem("length", self.min_length, self.max_length, least=1),
            None if self.alphabet else "alphabet is empty, must hold at least one character",
        )

    def draw(self, draws: Draws) -> Example:
        """Return random characters, with their number; nothing is expected after them."""
        length = draws.between(self.min_length, self.max_length)
        text = "".join([draws.pick(self.alphabet) for _ in range(length)])
        return Prompt.create(text, domain=self.domain, attributes={"length": length}), ""


@dataclass(frozen=True, kw_only=True)
class RepeatedText(GeneratedDomain):
    """A word or a random string over and over, sometimes broken off: "guitar guitar guit".

    The context of induction (Olsson et al., *In-context Learning and Induction Heads*, 2022): whoever copies what came
    before falls into a loop. Nothing is expected after it.

    Attributes:
        min_repeats: Fewest repetitions.
        max_repeats: Most repetitions.
        min_length: Fewest characters of a random string.
        max_length: Most characters of a random string.
        domain: Name of the domain.
    """

    min_repeats: int = 3
    max_repeats: int = 8
    min_length: int = 2
    max_length: int = 6
    domain: str = "repeated_text"

    def __post_init__(self) -> None:
        """Refuse empty ranges."""
        refuse(
            range_problem("repeats", self.min_repeats, self.max_repeats, least=1),
            range_problem("length", self.min_length, self.max_length, least=1),
        )

    def draw(self, draws: Draws) -> Example:
        """Return the repeated unit, with its length, the number of repetitions and whether it breaks off."""
        is_word = draws.chance(0.5)
        if is_word:
            unit = draws.pick(data_lines("words.txt"))
        else:
            length = draws.between(self.min_length, self.max_length)
            unit = "".join([draws.pick(LETTERS_AND_DIGITS) for _ in range(length)])
        n_repeats = draws.between(self.min_repeats, self.max_repeats)
        text = " ".join([unit] * n_repeats)
        n_missing = draws.between(1, len(unit) - 1) if len(unit) > 1 and draws.chance(0.5) else 0
        attributes = {"length": len(unit), "n_repeats": n_repeats, "is_word": is_word, "n_missing": n_missing}
        return Prompt.create(text[: len(text) - n_missing], domain=self.domain, attributes=attributes), ""
