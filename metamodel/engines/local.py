"""The engine that works in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from metamodel.primaries.capabilities import DrawRequest, DrawsSamples
from metamodel.protocols import Featurizer, PrimaryModel
from metamodel.types import FloatArray, GenerationBatch, Outcome, Sampling


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Runs components in this process, one after another."""

    def draw(
        self, primary: PrimaryModel, requests: Iterable[DrawRequest], sampling: Sampling
    ) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample; all samples of a prompt where the model draws no less."""
        if isinstance(primary, DrawsSamples):
            yield from primary.draw(requests, sampling)
            return
        for request in requests:
            yield from primary.generate([request.prompt], sampling)

    def label(
        self, featurizers: Mapping[str, Featurizer], batches: Iterable[GenerationBatch]
    ) -> Iterator[dict[str, FloatArray]]:
        """Yield the labels of each batch by name of the featurizer, [n] each."""
        for batch in batches:
            yield {name: featurizer.label(batch) for name, featurizer in featurizers.items()}
