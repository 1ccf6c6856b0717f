"""What an engine does: it runs primary models and featurizers somewhere; the stage that asked writes the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from metamodel.primaries.capabilities import DrawRequest
from metamodel.protocols import Featurizer, PrimaryModel
from metamodel.types import FloatArray, GenerationBatch, Outcome, Sampling


class Engine(Protocol):
    """Runs components. Whatever it runs them on, keys and results are those of the local engine."""

    def draw(
        self, primary: PrimaryModel, requests: Iterable[DrawRequest], sampling: Sampling
    ) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample, in batches and any order; reads ahead only so far."""
        ...

    def label(
        self, featurizers: Mapping[str, Featurizer], batches: Iterable[GenerationBatch]
    ) -> Iterator[dict[str, FloatArray]]:
        """Yield the labels of each batch by name of the featurizer, [n] each, in the order of the batches."""
        ...
