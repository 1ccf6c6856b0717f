"""The local engine: one outcome for every requested sample, nothing read far ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metamodel.engines.local import LocalEngine
from metamodel.primaries.capabilities import DrawRequest
from metamodel.types import Generation, Outcome, Prompt, Sampling

PROMPTS = [Prompt.create(f"prompt {number}", domain="d") for number in range(5)]
SAMPLING = Sampling(n_samples=3)


def outcome(prompt: Prompt, sample: int) -> Outcome:
    """Return an output."""
    return Generation(key="", prompt_id=prompt.id, primary="", sample=sample, text="")


@dataclass(frozen=True, kw_only=True)
class WholePrompts:
    """A primary model that draws no less than all samples of a prompt."""

    identity: str = "whole"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield one prompt a batch."""
        for prompt in prompts:
            yield [outcome(prompt, sample) for sample in range(sampling.n_samples)]


@dataclass(frozen=True, kw_only=True)
class SingleSamples(WholePrompts):
    """A primary model that draws just what is asked for."""

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield one request a batch."""
        del sampling
        for request in requests:
            yield [outcome(request.prompt, sample) for sample in request.samples]


def drawn(primary: WholePrompts, requests: Iterable[DrawRequest]) -> list[tuple[str, int]]:
    """Return prompt and sample of each outcome."""
    batches = LocalEngine().draw(primary, requests, SAMPLING)
    return [(row.prompt_id, row.sample) for batch in batches for row in batch]


def test_what_is_asked_for_is_drawn() -> None:
    """A model that can, draws single samples; any other all of a prompt's, the requested ones among them."""
    requests = [DrawRequest(prompt=prompt, samples=(1,)) for prompt in PROMPTS]
    assert drawn(SingleSamples(), requests) == [(prompt.id, 1) for prompt in PROMPTS]
    assert drawn(WholePrompts(), requests) == [(prompt.id, sample) for prompt in PROMPTS for sample in range(3)]


def test_requests_are_read_as_they_are_answered() -> None:
    """A million requests are never held: the next is made when the one before is drawn."""
    made: list[int] = []

    def requests() -> Iterator[DrawRequest]:
        for number, prompt in enumerate(PROMPTS):
            made.append(number)
            yield DrawRequest(prompt=prompt, samples=(0,))

    for primary in (SingleSamples(), WholePrompts()):
        made.clear()
        batches = LocalEngine().draw(primary, requests(), SAMPLING)
        next(batches)
        assert made == [0]
