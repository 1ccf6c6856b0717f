"""Copying from the context: key-value recall and quotes with a changed last word."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.base import (
    Draws,
    Example,
    GeneratedDomain,
    answered,
    data_lines,
    range_problem,
    refuse,
    share_problem,
)

RECALL_KEYS = tuple(consonant + vowel for consonant in "bcdfghjklmnpqrstvwxz" for vowel in "aeiou")
MOST_PAIRS = 20


@dataclass(frozen=True, kw_only=True)
class Recall(GeneratedDomain):
    """The value of a key given before: "ka: lemon, bo: chair. ka:" -> " lemon".

    Attributes:
        min_pairs: Fewest pairs.
        max_pairs: Most pairs.
        distance: Pairs between the asked one and the question; None draws it uniformly from 0 to n_pairs - 1.
        domain: Name of the domain.
    """

    min_pairs: int = 1
    max_pairs: int = 12
    distance: int | None = None
    domain: str = "recall"

    def __post_init__(self) -> None:
        """Refuse an empty range of pairs and a distance that the fewest pairs do not reach."""
        is_reachable = self.distance is None or 0 <= self.distance < self.min_pairs
        refuse(
            range_problem("pairs", self.min_pairs, self.max_pairs, least=1, most=MOST_PAIRS),
            None
            if is_reachable
            else f"distance is {self.distance}, must be from 0 to min_pairs - 1 = {self.min_pairs - 1}",
        )

    def draw(self, draws: Draws) -> Example:
        """Return pairs and a key, with the number of pairs and the distance."""
        n_pairs = draws.between(self.min_pairs, self.max_pairs)
        distance = draws.between(0, n_pairs - 1) if self.distance is None else self.distance
        keys = draws.distinct(RECALL_KEYS, n_pairs)
        values = draws.distinct(data_lines("words.txt"), n_pairs)
        pairs = ", ".join([f"{key}: {value}" for key, value in zip(keys, values, strict=True)])
        asked = n_pairs - 1 - distance
        attributes = {"n_pairs": n_pairs, "distance": distance}
        return answered(f"{pairs}. {keys[asked]}:", values[asked], domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class QuoteRepetition(GeneratedDomain):
    """A known sentence to repeat, its last word often another: "Repeat: All that glitters is not cheese ->".

    Attributes:
        changed_share: How often the last word is replaced by a noun.
        domain: Name of the domain.
    """

    changed_share: float = 0.5
    domain: str = "quote_repetition"

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        refuse(share_problem("changed_share", self.changed_share))

    def draw(self, draws: Draws) -> Example:
        """Return a sentence, with its length in words and whether it was changed."""
        sentence = draws.pick(data_lines("quotes.txt"))
        changed = draws.chance(self.changed_share)
        if changed:
            start, last = sentence.rsplit(" ", 1)
            word = last
            while word == last:
                word = draws.pick(data_lines("words.txt"))
            sentence = f"{start} {word}"
        attributes = {"changed": changed, "n_words": sentence.count(" ") + 1}
        return answered(f"Repeat: {sentence} ->", sentence, domain=self.domain, attributes=attributes)
