"""Behaviors that are made of behaviors: specs as fields, parts built from them, needs and missing labels passed on.

Ground floor: a composition, ours or a third party's, says in `combine` how the labels of its parts give its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from metamodel.config.components import build_component
from metamodel.errors import ConfigError, LabelError
from metamodel.protocols import Featurizer
from metamodel.types import FloatArray, GenerationBatch, JSONObject, Need

# A kind, or a mapping with `kind` and fields.
Spec: TypeAlias = str | JSONObject


@dataclass(frozen=True, kw_only=True, eq=False)
class Composed:
    """What every composition shares: parts, built from their specs when it is made."""

    def __post_init__(self) -> None:
        """Build the parts, so that what is wrong with one is known before anything is drawn."""
        self.check(self.parts)

    def __eq__(self, other: object) -> bool:
        """Compare the fields."""
        return type(self) is type(other) and self._written() == Composed._written(other)

    def __hash__(self) -> int:
        """Hash the fields; specs are mappings, which have no hash of their own."""
        return hash((type(self), self._written()))

    def _written(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def specs(self) -> dict[str, Spec]:
        """Specs of the parts by key path."""
        raise NotImplementedError

    @cached_property
    def parts(self) -> tuple[Featurizer, ...]:
        """The behaviors it is made of.

        Raises:
            ConfigError: What is wrong with any of their specs.
        """
        built: list[Featurizer] = []
        problems: list[str] = []
        for at, spec in self.specs.items():
            try:
                built.append(build_component("featurizers", spec, at=at))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems, source=type(self).__name__.lower())
        return tuple(built)

    @property
    def reads_prompt(self) -> bool:
        """Whether any part does."""
        return any(part.reads_prompt for part in self.parts)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What any part needs."""
        return tuple(dict.fromkeys(need for part in self.parts for need in part.needs))

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the label of each row, [n]; NaN where it is missing."""
        reasons: dict[int, str] = {}
        columns = []
        for part in self.parts:
            try:
                columns.append(part.label(batch))
            except LabelError as error:
                columns.append(np.asarray(error.labels, dtype=np.float64))
                reasons |= error.reasons
        labels = self.combine(columns, batch)
        failed = {row: reason for row, reason in reasons.items() if np.isnan(labels[row])}
        if failed:
            raise LabelError(labels.tolist(), failed)
        return labels

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        raise NotImplementedError

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:
        """Return the labels that the parts' labels give, [n]."""
        raise NotImplementedError

    def require(self, allowed: type | tuple[type, ...], wanted: str, advice: str) -> None:
        """Refuse parts whose label space is of another kind."""
        problems = [
            f"{at}: labels of {spec_name(spec)} are {part.space.kind}, must be {wanted}: {advice}"
            for (at, spec), part in zip(self.specs.items(), self.parts, strict=True)
            if not isinstance(part.space, allowed)
        ]
        if problems:
            raise ConfigError(problems, source=type(self).__name__.lower())


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined(Composed):
    """A composition of several behaviors.

    Attributes:
        of: Their specs.
    """

    of: tuple[Spec, ...]

    @property
    def specs(self) -> dict[str, Spec]:
        """Specs of the parts by key path."""
        return {f"of.{place}": spec for place, spec in enumerate(self.of)}

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        if not parts:
            raise ConfigError(["of: is empty, must list at least one behavior"], source=type(self).__name__.lower())


@dataclass(frozen=True, kw_only=True, eq=False)
class Wrapped(Composed):
    """A composition around one behavior.

    Attributes:
        of: Its spec.
    """

    of: Spec

    @property
    def specs(self) -> dict[str, Spec]:
        """Spec of the one part by key path."""
        return {"of": self.of}

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""


def spec_name(spec: Spec) -> str:
    """Return the name that a spec gives its behavior, else its kind."""
    return str(spec.get("name") or spec.get("kind")) if isinstance(spec, Mapping) else spec
