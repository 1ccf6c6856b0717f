"""A primary model derived from another by a change of its weights; the original stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from metamodel.config.components import build_component, build_named
from metamodel.errors import ConfigError, MetamodelError
from metamodel.perturbations.kinds import (
    Average,
    Perturbation,
    is_series,
    perturbation_to_dict,
    read_perturbation,
    single_perturbations,
)
from metamodel.protocols import PrimaryModel
from metamodel.types import (
    Failure,
    FloatArray,
    JSONObject,
    Outcome,
    Prompt,
    Sampling,
    TextReading,
    content_hash,
    generation_key,
)

if TYPE_CHECKING:
    from metamodel.perturbations.engine import PerturbedEngine
    from metamodel.primaries.capabilities import DrawRequest


@dataclass(frozen=True, kw_only=True)
class PerturbedModel:
    """A model of kind `transformers` or `zoo` with changed weights, in memory alone.

    It draws and scores as its original does, with the same random numbers for the same prompt and sample, so that
    outputs differ only where the weights make them differ. Its identity, and so the key of each generation, names the
    original and the change. `perturbation` is one of

    - {kind: noise, scale: 0.05, seed: 0}: Gaussian, relative to each tensor's root mean square
    - {kind: quantize, bits: 4, per_channel: true}: rounded to the nearest level
    - {kind: ablate_heads, layer: 0, heads: [1]}, {kind: ablate_layers, layers: [2]}, and for an LSTM
      {kind: ablate_units, layer: 0, units: [3]}
    - {kind: average, others: [{kind: transformers, model: FOLDER}], weights: [0.5, 0.5]}: of checkpoints

    A list of scales or bits stands for a primary model each. Changes are stacked by perturbing a perturbed model.

    Attributes:
        original: The model whose weights are changed, as a mapping with `kind` and its fields.
        perturbation: What is changed, as a mapping with `kind` and its fields.
    """

    original: Mapping[str, object]
    perturbation: Mapping[str, object]

    def __post_init__(self) -> None:
        """Refuse a perturbation that means nothing and an original that cannot be built."""
        from metamodel.perturbations.engine import engine_of

        _ = self.change
        try:
            engine_of(self.source_model, at="original")
        except ConfigError as error:
            raise ValueError("; ".join(error.problems)) from error
        except MetamodelError as error:
            raise ValueError(str(error)) from error

    @cached_property
    def change(self) -> Perturbation:
        """What is changed."""
        return read_perturbation(self.perturbation)

    @cached_property
    def source_model(self) -> PrimaryModel:
        """The model that the weights come from."""
        source: PrimaryModel = build_component("primaries", dict(self.original), at="original")
        return source

    @property
    def model(self) -> str:
        """What a config calls it that gives it no name: the original's name and the change."""
        named = build_named("primaries", dict(self.original), "original", [])
        prefix = "" if named is None else f"{named.name}-"
        return f"{prefix}{self.change.family if is_series(self.change) else self.change.label}"

    def members(self) -> Mapping[str, PrimaryModel]:
        """Return the models of a series by name; none where this is one model."""
        if not is_series(self.change):
            return {}
        return {
            one.value_label: replace(self, perturbation=perturbation_to_dict(one))
            for one in single_perturbations(self.change)
        }

    @property
    def identity(self) -> str:
        """The original's identity and a hash of the change.

        Raises:
            MetamodelError: If a model cannot be found.
        """
        described = perturbation_to_dict(self.change)
        parts = [json.dumps(described, sort_keys=True)]
        if isinstance(self.change, Average):
            others = (build_component("primaries", dict(spec), at="others") for spec in self.change.others)
            parts = [*(other.identity for other in others), str(self.change.shares)]
        return f"{self.source_model.identity}+{described['kind']}:{content_hash(*parts)}"

    def provenance(self) -> JSONObject:
        """Return what the outputs come from: the original, the change, and what it did to the weights."""
        engine = self._delegate
        told = {key: value for key, value in engine.provenance().items() if key not in ("model", "revision")}
        return {
            **told,
            "original": self.source_model.identity,
            "perturbation": perturbation_to_dict(self.change),
            **engine.change_facts(),
        }

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, every sample of every prompt."""
        return self._renamed(self._delegate.generate(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample."""
        return self._renamed(self._delegate.draw(requests, sampling), sampling)

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> FloatArray:
        """Return the natural log-probability of each continuation after its prompt, [n]; NaN beyond the context."""
        return self._delegate.score(prompts, continuations)

    def token_logprobs(self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the natural log-probability of each token of each output after its prompt, [t] each."""
        return self._delegate.token_logprobs(prompts, outputs)

    def read_texts(self, texts: Sequence[str], *, max_tokens: int) -> Iterator[TextReading]:
        """Yield what one forward pass over each text shows."""
        return self._delegate.read_texts(texts, max_tokens=max_tokens)

    @property
    def weight_bits(self) -> float:
        """Size of the loaded weights in bits; rounded weights are kept, and counted, at their original width."""
        return self._delegate.weight_bits

    @property
    def _delegate(self) -> PerturbedEngine:
        from metamodel.perturbations.engine import engine_of, perturbed_engine

        if is_series(self.change):
            raise MetamodelError(
                f"perturbation {self.perturbation} stands for several models: list it in `primaries`, or give one value"
            )
        engine = engine_of(self.source_model, at="original")
        return perturbed_engine(engine, perturbation_to_dict(self.change), identity=self.identity)

    def _renamed(self, batches: Iterator[list[Outcome]], sampling: Sampling) -> Iterator[list[Outcome]]:
        # The folder's place on this machine must not reach the artifacts.
        identity, name = self.identity, self.change.label
        for batch in batches:
            yield [
                row
                if isinstance(row, Failure)
                else replace(
                    row,
                    primary=name,
                    key=generation_key(
                        primary_identity=identity, prompt_id=row.prompt_id, sampling=sampling, sample=row.sample
                    ),
                )
                for row in batch
            ]
