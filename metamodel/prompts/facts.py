"""Capitals, as they are and against a counterfactual sentence."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, answered, data_lines, refuse, share_problem
from metamodel.types import Scalar

QUESTIONS = (
    "The capital of {place} is",
    "Capital of {place}:",
    "Q: What is the capital of {place}? A:",
    "The city that is the capital of {place} is",
)
SUPPOSITIONS = (
    "Imagine the capital of {place} is {city}.",
    "Suppose the capital of {place} is {city}.",
    "In this tale the capital of {place} is {city}.",
)


@functools.cache
def load_capitals() -> tuple[tuple[str, str], ...]:
    """Return (place, capital) of countries and US states; no place occurs twice."""
    pairs = (line.split("\t") for line in data_lines("capitals.tsv"))
    return tuple((place, city) for place, city in pairs)


@dataclass(frozen=True, kw_only=True)
class Capitals(GeneratedDomain):
    """Capitals of countries and US states: "The capital of France is" -> " Paris".

    Attributes:
        domain: Name of the domain.
    """

    domain: str = "capitals"

    def draw(self, draws: Draws) -> Example:
        """Return a question, with its template and the length of the answer."""
        place, city = draws.pick(load_capitals())
        template = draws.between(0, len(QUESTIONS) - 1)
        attributes = {"template": template, "answer_bytes": len(city)}
        return answered(QUESTIONS[template].format(place=place), city, domain=self.domain, attributes=attributes)


@dataclass(frozen=True, kw_only=True)
class CounterfactualCapitals(GeneratedDomain):
    """A capital after a sentence that moves one: the context's answer is gold where it is about the place asked for.

    "Imagine the capital of France is Lima. The capital of France is" -> " Lima"
    "Imagine the capital of Peru is Oslo. The capital of France is" -> " Paris"

    Attributes:
        other_place_share: How often the sentence is about another place, so that memory is right.
        domain: Name of the domain.
    """

    other_place_share: float = 0.3
    domain: str = "counterfactual_capitals"

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        refuse(share_problem("other_place_share", self.other_place_share))

    def draw(self, draws: Draws) -> Example:
        """Return a supposition and a question, with whether the right answer follows the context."""
        (asked, memory), (other, _), (_, moved_to) = draws.distinct(load_capitals(), 3)
        follows_context = not draws.chance(self.other_place_share)
        supposition = draws.pick(SUPPOSITIONS).format(place=asked if follows_context else other, city=moved_to)
        attributes: dict[str, Scalar] = {"follows_context": follows_context}
        attributes |= {"context_answer": moved_to, "memory_answer": memory}
        answer = moved_to if follows_context else memory
        text = f"{supposition} The capital of {asked} is"
        return answered(text, answer, domain=self.domain, attributes=attributes)
