"""What all sources of changed prompts share: they wrap a source and let each of its prompts be followed by versions.

A changed version records which prompt it comes from; it is sampled and compared with its origin, never trained on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from metamodel.config.components import build_component
from metamodel.errors import ConfigError
from metamodel.prompts.base import Draws
from metamodel.protocols import PromptSource
from metamodel.types import Prompt


@dataclass(frozen=True, kw_only=True)
class PerturbedSource(ABC):
    """A source whose prompts are each followed by changed versions of them.

    Versions that the wrapped source makes itself are handed through, so that changes can be stacked. What a version
    holds depends on its original and the seed alone, never on what was drawn before it.

    Attributes:
        source: The wrapped prompt source: its kind, or a mapping with `kind` and its fields.
    """

    source: str | Mapping[str, object]

    def __post_init__(self) -> None:
        """Refuse a source that cannot be built."""
        try:
            _ = self.wrapped
        except ConfigError as error:
            raise ValueError("; ".join(error.problems)) from error

    @cached_property
    def wrapped(self) -> PromptSource:
        """The source of the originals."""
        spec = self.source if isinstance(self.source, str) else dict(self.source)
        wrapped: PromptSource = build_component("prompts", spec, at="source")
        return wrapped

    @property
    def domain(self) -> str | None:
        """The one domain of the wrapped source; None where it has several."""
        domain = getattr(self.wrapped, "domain", None)
        return domain if isinstance(domain, str) else None

    @property
    def is_finite(self) -> bool:
        """Whether the wrapped source ends."""
        return bool(getattr(self.wrapped, "is_finite", False))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield each original, then its changed versions."""
        for prompt in self.wrapped.prompts(seed):
            yield prompt
            if prompt.origin_id is None:
                yield from self.versions(prompt, seed)

    @abstractmethod
    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the changed versions of an original; none where the change does not apply to it."""


def version_draws(change: str, seed: int, prompt: Prompt, number: int = 0) -> Draws:
    """Return the stream of random choices of one version, of its own for each change, seed, original and number."""
    return Draws(f"{change}:{seed}:{prompt.id}:{number}")


def number_problem(name: str, value: int, least: int = 1) -> str | None:
    """Say what is wrong with a number of versions, or return None."""
    return None if value >= least else f"{name} is {value}, must be at least {least}"


def shuffled(items: list[int], draws: Draws) -> list[int]:
    """Return the items in random order (Fisher and Yates).

    >>> sorted(shuffled([0, 1, 2], Draws("x")))
    [0, 1, 2]
    """
    mixed = list(items)
    for last in range(len(mixed) - 1, 0, -1):
        chosen = draws.between(0, last)
        mixed[last], mixed[chosen] = mixed[chosen], mixed[last]
    return mixed
