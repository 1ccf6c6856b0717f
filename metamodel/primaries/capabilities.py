"""What a primary model may offer beyond `generate`; the stages look for it and do without.

Each is a protocol of one method. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from metamodel.types import JSONObject, Outcome, Prompt, Sampling

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.protocols import PrimaryModel
    from metamodel.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class DrawRequest:
    """Some of a prompt's samples.

    Attributes:
        prompt: The input.
        samples: Indices of the samples to draw.
    """

    prompt: Prompt
    samples: tuple[int, ...]


def requests_for_all(prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[DrawRequest]:
    """Yield requests for every sample of every prompt."""
    for prompt in prompts:
        yield DrawRequest(prompt=prompt, samples=tuple(range(sampling.n_samples)))


@runtime_checkable
class DrawsSamples(Protocol):
    """A primary model that can draw single samples, so that a run with more samples draws only the new ones."""

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield one outcome a requested sample, in batches and any order; reads ahead in the requests only so far."""
        ...


@runtime_checkable
class ReadsRecords(Protocol):
    """A primary model whose outputs exist already, read as whole tables."""

    def records(self, sampling: Sampling) -> Iterator[pa.Table]:
        """Yield tables with the columns of `generations` but key and primary, in bounded pieces."""
        ...


@runtime_checkable
class ExplainsMissing(Protocol):
    """Records that may say why an output is not there."""

    def missing_reasons(self) -> Mapping[tuple[str, int], str]:
        """Return reasons by prompt id and sample, where there are any."""
        ...


@runtime_checkable
class HasMembers(Protocol):
    """One config entry that stands for several primary models, as a log of several does."""

    def members(self) -> Mapping[str, PrimaryModel]:
        """Return the primary models by name."""
        ...


@runtime_checkable
class ScoresTokens(Protocol):
    """A primary model that can say how likely it finds the tokens of an output, for `metamodel verify`."""

    def token_logprobs(self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the natural log-probability of each token of each output after its prompt, [t] each."""
        ...


@runtime_checkable
class TellsProvenance(Protocol):
    """A primary model that can say on what and how it drew: device, dtype, templates."""

    def provenance(self) -> JSONObject:
        """Return facts for run.json, once something was drawn; no secrets."""
        ...


@runtime_checkable
class TellsUsage(Protocol):
    """A primary model whose draws cost something."""

    def usage_summary(self) -> JSONObject:
        """Return what was used since it was made: tokens, money, requests, retries."""
        ...


@runtime_checkable
class TellsSize(Protocol):
    """A primary model that can say how long the description of its weights is."""

    @property
    def weight_bits(self) -> float:
        """Return the size of the weights in bits, as loaded: nothing compressed."""
        ...
