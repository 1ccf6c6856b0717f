"""What all generators of domains share: seeded draws, the two views of an example, and taking distinct prompts."""

from __future__ import annotations

import functools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import TypeAlias, TypeVar

from metamodel.errors import DataError
from metamodel.protocols import PromptSource
from metamodel.store.keys import key_bytes
from metamodel.types import Prompt, Scalar

# A prompt and what a model trained on its domain should write after it, leading space included.
Example: TypeAlias = tuple[Prompt, str]

Item = TypeVar("Item")

# Among m equally frequent prompts, one that is still unseen stays so through 20 m draws with probability exp(-20).
PATIENCE_PER_PROMPT = 20
LEAST_PATIENCE = 1000


class Draws:
    """A seeded stream of random choices.

    Everything is built on `random.Random.random`, the one method whose sequence Python promises to keep from version to
    version, and is seeded by a string, which no process salts.

    >>> Draws("addition:0").between(1, 6) == Draws("addition:0").between(1, 6)
    True
    """

    __slots__ = ("fraction",)

    def __init__(self, seed: str) -> None:
        self.fraction = random.Random(seed).random  # noqa: S311 - reproducible data, not secrets

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + int(self.fraction() * (high - low + 1))

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[int(self.fraction() * len(items))]

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.fraction() < probability

    def distinct(self, items: Sequence[Item], n_items: int) -> list[Item]:
        """Return n_items different positions' items, in random order."""
        taken: dict[int, None] = {}
        while len(taken) < n_items:
            taken[int(self.fraction() * len(items))] = None
        return [items[position] for position in taken]


class GeneratedDomain(ABC):
    """An endless, seeded domain: a component defines `draw`, and both views of it follow.

    Identical prompts may recur; `take_unique` drops them.
    """

    domain: str

    @abstractmethod
    def draw(self, draws: Draws) -> Example:
        """Return the next example."""

    def examples(self, seed: int) -> Iterator[Example]:
        """Yield (prompt, continuation with its leading space) without end, for training a primary model."""
        draws = Draws(f"{self.domain}:{seed}")
        while True:
            yield self.draw(draws)

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield the prompts of `examples`."""
        for prompt, _ in self.examples(seed):
            yield prompt


def answered(text: str, answer: str, *, domain: str, attributes: Mapping[str, Scalar]) -> Example:
    """Return the example of a question with one right answer, which is its reference and its continuation."""
    return Prompt.create(text, domain=domain, references=(answer,), attributes=attributes), f" {answer}"


def refuse(*problems: str | None) -> None:
    """Raise ValueError with all problems that are not None."""
    found = [problem for problem in problems if problem]
    if found:
        raise ValueError("; ".join(found))


def range_problem(name: str, low: int, high: int, *, least: int, most: int | None = None) -> str | None:
    """Say what is wrong with the fields min_NAME and max_NAME, or return None."""
    limit = "" if most is None else f" <= {most}"
    if least <= low <= high and (most is None or high <= most):
        return None
    return f"min_{name} is {low} and max_{name} is {high}, must be {least} <= min_{name} <= max_{name}{limit}"


def share_problem(name: str, value: float) -> str | None:
    """Say what is wrong with a probability, or return None."""
    return None if 0 <= value <= 1 else f"{name} is {value}, must be from 0 to 1"


@functools.cache
def data_lines(name: str) -> tuple[str, ...]:
    """Return the non-empty lines of a file in metamodel/prompts/data."""
    text = resources.files("metamodel.prompts").joinpath("data", name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)


def take_unique(source: PromptSource, n_prompts: int | None, seed: int) -> list[Prompt]:
    """Return what `iterate_unique` yields."""
    return list(iterate_unique(source, n_prompts, seed))


def iterate_unique(source: PromptSource, n_prompts: int | None, seed: int) -> Iterator[Prompt]:
    """Yield the first n distinct prompts of each domain of a source, in its order, each with its changed versions.

    A source that ends gives what it has. An endless one gives fewer than n where it runs dry, as there are only 100
    sums of two digits: it is left when LEAST_PATIENCE prompts, and PATIENCE_PER_PROMPT for each one taken so far, have
    in a row brought nothing new. Of what was yielded only ids are kept.

    Args:
        source: A generator or a file. A string in its attribute `domain` says that it holds one domain, and it is left
            as soon as that is full; a true attribute `is_finite` says that it ends, and it is read on until it does.
        n_prompts: Distinct prompts a domain, changed versions not counted; None takes all that a finite source has.
        seed: Seed of the source.

    Raises:
        ValueError: n_prompts is below 1.
        DataError: All of a source that does not end are asked for.
    """
    if n_prompts is not None and n_prompts < 1:
        raise ValueError(f"n_prompts is {n_prompts}, must be at least 1")
    has_one_domain = isinstance(getattr(source, "domain", None), str)
    is_finite = bool(getattr(source, "is_finite", False))
    if n_prompts is None and not is_finite:
        raise DataError(f"{source} never ends and n_prompts is null, which takes all: set n_prompts to a number")
    limit = math.inf if n_prompts is None else n_prompts
    taken: set[bytes] = set()
    n_taken: dict[str, int] = {}
    n_stale = 0
    for prompt in source.prompts(seed):
        key = key_bytes(prompt.id)
        if prompt.origin_id is not None:
            # A changed version follows its original and is none of the n.
            if key_bytes(prompt.origin_id) in taken and key not in taken:
                taken.add(key)
                yield prompt
            continue
        n_originals = sum(n_taken.values())
        if has_one_domain and n_originals >= limit:
            break
        if key in taken or n_taken.get(prompt.domain, 0) >= limit:
            n_stale += 1
            if not is_finite and n_stale >= LEAST_PATIENCE + PATIENCE_PER_PROMPT * n_originals:
                break
            continue
        taken.add(key)
        n_taken[prompt.domain] = n_taken.get(prompt.domain, 0) + 1
        n_stale = 0
        yield prompt
