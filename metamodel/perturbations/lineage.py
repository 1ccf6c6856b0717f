"""Which primary models of a run are derived from which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metamodel.config.components import build_named
from metamodel.errors import RunError
from metamodel.perturbations.kinds import Perturbation, perturbation_to_dict
from metamodel.primaries.perturbed_model import PerturbedModel

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.types import JSONObject, JSONValue


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A primary model of a run whose original is in the run, too.

    Attributes:
        name: Its name.
        original: Name of the original.
        perturbation: What was changed last.
    """

    name: str
    original: str
    perturbation: Perturbation

    @property
    def derived_and_original(self) -> tuple[str, str]:
        """Both names."""
        return self.name, self.original

    @property
    def kind(self) -> str:
        """Kind of the perturbation."""
        return str(perturbation_to_dict(self.perturbation)["kind"])

    @property
    def label(self) -> str:
        """What was changed, in a word."""
        return self.perturbation.label

    @property
    def dose(self) -> float:
        """How strong it is among those of its kind."""
        return self.perturbation.dose or 0.0


def derived_models(config: RunConfig) -> list[Derived]:
    """Return the run's perturbed models with their originals, by original, kind and dose.

    The original of a perturbed model is the run's primary model with the very fields of its `model`; of a stack of
    changes, the nearest one that the run has.

    Raises:
        RunError: There is none, or an original is not in the run.
    """
    by_spec = {_without_name(spec): name for name, spec in config.specs("primaries").items()}
    found = []
    for name, primary in config.primaries.items():
        if not isinstance(primary, PerturbedModel):
            continue
        original = _original_of(primary, by_spec)
        if original is None:
            raise RunError(
                f"{name} is derived from {dict(primary.original)}, which is no primary model of this run: add it to "
                "`primaries` and collect again, so that both answer the same prompts"
            )
        found.append(Derived(name=name, original=original, perturbation=primary.change))
    if not found:
        raise RunError(
            "the run has no perturbed primary model: add {kind: perturbed, original: {kind: zoo, model: gpt2}, "
            "perturbation: {kind: noise, scale: [0.01, 0.1]}} to `primaries` and collect again"
        )
    return sorted(found, key=lambda one: (one.original, one.kind, one.dose, one.name))


def _original_of(primary: PerturbedModel, by_spec: dict[str, str]) -> str | None:
    inner: object = primary
    while isinstance(inner, PerturbedModel):
        named = build_named("primaries", dict(inner.original), "original", [])
        if named is None:
            return None
        resolved = named.resolved
        name = by_spec.get(_without_name(resolved)) if isinstance(resolved, dict) else None
        if name is not None:
            return name
        inner = named.component
    return None


def _without_name(spec: JSONObject | dict[str, JSONValue]) -> str:
    return str(sorted((key, str(value)) for key, value in spec.items() if key != "name"))
