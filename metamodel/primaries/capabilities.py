"""What a primary model may offer beyond `generate`; collect looks for it and does without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from metamodel.types import Generation, Prompt, Sampling


@dataclass(frozen=True, kw_only=True)
class DrawRequest:
    """Some of a prompt's samples.

    Attributes:
        prompt: The input.
        samples: Indices of the samples to draw.
    """

    prompt: Prompt
    samples: tuple[int, ...]


def requests_for_all(prompts: Sequence[Prompt], sampling: Sampling) -> list[DrawRequest]:
    """Return requests for every sample of every prompt."""
    return [DrawRequest(prompt=prompt, samples=tuple(range(sampling.n_samples))) for prompt in prompts]


@runtime_checkable
class DrawsSamples(Protocol):
    """A primary model that can draw single samples, so that a run with more samples draws only the new ones."""

    def draw(self, requests: Sequence[DrawRequest], sampling: Sampling) -> Iterator[list[Generation]]:
        """Yield batches of generations, one a requested sample, in any order."""
        ...


@runtime_checkable
class RefusesPrompts(Protocol):
    """A primary model that knows beforehand which prompts it cannot answer."""

    def refusal(self, prompt: Prompt, sampling: Sampling) -> str | None:
        """Return why nothing can be drawn for a prompt, or None; `generate` yields nothing for a refused prompt."""
        ...
