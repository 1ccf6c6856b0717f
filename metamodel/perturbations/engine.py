"""Sample and score a perturbed model by the same engine as its original, from a changed copy in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from metamodel.config.components import build_component
from metamodel.errors import MetamodelError
from metamodel.perturbations.kinds import (
    AblateHeads,
    AblateLayers,
    AblateUnits,
    Average,
    Noise,
    Perturbation,
    Quantize,
    read_perturbation,
)
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import JSONObject

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from metamodel.primaries.loading import LanguageModel, Source


@dataclass(frozen=True, kw_only=True)
class PerturbedEngine(TransformersModel):
    """The engine of a primary model whose loaded weights are changed.

    Attributes:
        changes: The perturbations in the order in which they are applied, each as JSON.
        full_identity: Identity of the result.
    """

    changes: tuple[str, ...]
    full_identity: str

    @property
    def identity(self) -> str:
        """The original's identity and the perturbations'."""
        return self.full_identity

    def change_facts(self) -> JSONObject:
        """Return what the perturbations did to the weights, ready for JSON."""
        return dict(_load_perturbed(self._source, self.changes, self.full_identity).facts)

    def _load(self) -> LanguageModel:
        return _load_perturbed(self._source, self.changes, self.full_identity).model


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    model: LanguageModel
    facts: JSONObject


def engine_of(primary: object, *, at: str) -> TransformersModel:
    """Return the engine that runs a primary model's weights in this process.

    Raises:
        MetamodelError: Its weights are elsewhere, as those behind an endpoint or in a log are.
    """
    # The zoo's models and perturbed ones hand their work to such an engine.
    engine = getattr(primary, "_delegate", primary)
    if not isinstance(engine, TransformersModel):
        raise MetamodelError(
            f"{at} is of kind {type(primary).__name__}, whose weights are out of reach: perturb a model of kind "
            "transformers, zoo or perturbed"
        )
    if engine.device_map is not None:
        raise MetamodelError(f"{at}.device_map is {engine.device_map!r}: a perturbed model must lie on one device")
    return engine


def perturbed_engine(engine: TransformersModel, change: JSONObject, *, identity: str) -> PerturbedEngine:
    """Return the engine of a perturbed model.

    Args:
        engine: The original's, which may be perturbed itself.
        change: The perturbation, as `perturbation_to_dict` gives it.
        identity: Identity of the result.
    """
    before = engine.changes if isinstance(engine, PerturbedEngine) else ()
    options = {item.name: getattr(engine, item.name) for item in fields(TransformersModel)}
    return PerturbedEngine(**options, changes=(*before, json.dumps(change, sort_keys=True)), full_identity=identity)


def apply_perturbation(model: PreTrainedModel, perturbation: Perturbation) -> None:
    """Change the weights of a loaded model in place.

    Raises:
        MetamodelError: The model lacks what the perturbation names.
    """
    from metamodel.perturbations import blocks, weights

    match perturbation:
        case Noise(scale=scale, seed=seed, tensors=tensors) if not isinstance(scale, tuple):
            weights.add_noise(model, scale=scale, seed=seed, tensors=tensors)
        case Quantize(bits=bits, per_channel=per_channel, tensors=tensors) if not isinstance(bits, tuple):
            weights.quantize(model, bits=bits, per_channel=per_channel, tensors=tensors)
        case AblateHeads(layer=layer, heads=heads):
            blocks.ablate_heads(model, layer, heads)
        case AblateLayers(layers=layers):
            blocks.ablate_layers(model, layers)
        case AblateUnits(layer=layer, units=units):
            blocks.ablate_units(model, layer, units)
        case Average(others=others, shares=shares):
            loaded = [_other_checkpoint(spec, at=f"perturbation.others.{number}") for number, spec in enumerate(others)]
            weights.average(model, [one.model for one in loaded], shares)
        case _:
            raise TypeError(f"not one perturbation: {perturbation}")


def _other_checkpoint(spec: Mapping[str, object], *, at: str) -> LanguageModel:
    engine = engine_of(build_component("primaries", dict(spec), at=at), at=at)
    return engine._load()  # noqa: SLF001 - the engine that this one extends


@lru_cache(maxsize=2)
def _load_perturbed(source: Source, changes: tuple[str, ...], identity: str) -> _Loaded:
    """Load the original, copy it, and change the copy; `identity` names the other checkpoints that go into it."""
    from metamodel.perturbations.weights import relative_change, weights_hash
    from metamodel.primaries.loading import load_language_model
    from metamodel.quiet import quiet_transformers

    del identity
    original = load_language_model(source)
    model = copy.deepcopy(original.model)
    with quiet_transformers():
        for change in changes:
            apply_perturbation(model, read_perturbation(json.loads(change)))
    n_changed, relative = relative_change(model, original.model)
    facts: JSONObject = {
        "original_weights_hash": weights_hash(original.model),
        "weights_hash": weights_hash(model),
        "n_tensors": sum(1 for _ in model.parameters()),
        "n_tensors_changed": n_changed,
        "relative_change": relative,
    }
    # What the architecture can do, as padding and caching, no weight changes.
    return _Loaded(model=replace(original, model=model), facts=facts)
