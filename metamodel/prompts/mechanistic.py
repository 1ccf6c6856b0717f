"""Uniform random tokens: the mechanistic distribution."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, range_problem, refuse
from metamodel.types import Prompt

PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))


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
        return Prompt.create(text, domain=self.domain, difficulty={"length": length}), ""
