"""A pre-screen in memory: a metamodel, the rules it decides by, and what it knows of its training prompts.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from metamodel.errors import DataError, nearest_name_hint
from metamodel.feature_cache import uncached
from metamodel.labels import LabelSpace
from metamodel.protocols import Metamodel
from metamodel.screen.rules import ScreenRule
from metamodel.screen.screened import ScreenedPrompt
from metamodel.types import FloatArray


@runtime_checkable
class KnowsTrainingPrompts(Protocol):
    """Says how far a prompt lies from the training prompts."""

    @property
    def limit(self) -> float:
        """Unfamiliarity above which a prompt is warned of."""
        ...

    def unfamiliarity(self, texts: Sequence[str]) -> FloatArray:
        """Return the share of held-out training prompts that lie nearer than each text, [n], from 0 to 1."""
        ...


class Screen:
    """Decides about prompts before the primary model is called.

    It predicts probabilities, and its rules decide: nothing here compares a probability with anything but a rule.

    Attributes:
        metamodel: What it predicts with.
        spaces: Label space of each behavior.
        rules: What it decides by; without rules every prompt passes.
        familiarity: What it knows of its training prompts.
        source: Where it comes from, as screen.json tells; empty for one that was made in memory.
        version: Content hash of all its files, 16 hexadecimal digits; empty for one that was made in memory.
    """

    def __init__(
        self,
        metamodel: Metamodel,
        *,
        spaces: Mapping[str, LabelSpace],
        rules: Sequence[ScreenRule],
        familiarity: KnowsTrainingPrompts | None = None,
        source: Mapping[str, object] | None = None,
        version: str = "",
    ) -> None:
        """Check that the rules speak of what the metamodel predicts.

        Raises:
            DataError: A rule names a behavior or an outcome that is not predicted.
        """
        self.metamodel, self.spaces, self.rules, self.familiarity = metamodel, dict(spaces), tuple(rules), familiarity
        self.source, self.version = dict(source or {}), version
        for rule in self.rules:
            if rule.behavior not in self.spaces:
                raise DataError(f"rule of {rule.behavior!r}: {nearest_name_hint(rule.behavior, self.spaces)}")
            outcomes = self.spaces[rule.behavior].outcomes
            unknown = sorted(set(rule.failures) - set(outcomes))
            if unknown:
                raise DataError(f"rule of {rule.behavior}: {nearest_name_hint(unknown[0], outcomes)}")
        self._failing = {
            rule.behavior: [self.spaces[rule.behavior].outcomes.index(outcome) for outcome in rule.failures]
            for rule in self.rules
        }

    @classmethod
    def load(cls, path: str | Path) -> Screen:
        """Read what `metamodel export` wrote, see `metamodel.screen.folder.load_screen`."""
        from metamodel.screen.folder import load_screen

        return load_screen(path)

    def __call__(self, prompts: Sequence[str], *, behaviors: Collection[str] | None = None) -> list[ScreenedPrompt]:
        """Return a decision on each prompt, in their order; a decision depends on its own prompt alone.

        Args:
            prompts: Texts, n of them.
            behaviors: Behaviors that decide and are told; None takes all.

        Raises:
            DataError: A behavior is not predicted.
        """
        for name in behaviors or ():
            self.require_behavior(name)
        wanted = self.spaces if behaviors is None else behaviors
        rules = [rule for rule in self.rules if rule.behavior in wanted]
        with uncached():
            predictions = self.metamodel.predict(prompts)
        tables = {name: predictions[name].tolist() for name in self.spaces if name in wanted}
        distances = self.familiarity.unfamiliarity(prompts).tolist() if self.familiarity is not None else None
        return [self._screened(row, rules, tables, distances) for row in range(len(prompts))]

    def require_behavior(self, name: str) -> None:
        """Raise DataError for a behavior that is not predicted."""
        if name not in self.spaces:
            raise DataError(f"no behavior is named {name!r}: {nearest_name_hint(name, self.spaces)}")

    def _screened(
        self,
        row: int,
        rules: Sequence[ScreenRule],
        tables: Mapping[str, Sequence[Sequence[float]]],
        distances: Sequence[float] | None,
    ) -> ScreenedPrompt:
        failures, stopped_by = {}, []
        for rule in rules:
            values = tables[rule.behavior][row]
            failure = min(sum(values[place] for place in self._failing[rule.behavior]), 1.0)
            failures[rule.behavior] = failure
            # A third party's probability that is no number lets nothing through.
            if failure > rule.threshold or math.isnan(failure):
                stopped_by.append(rule.behavior)
        distance = distances[row] if distances is not None else None
        return ScreenedPrompt(
            decision="stop" if stopped_by else "pass",
            failures=failures,
            stopped_by=tuple(stopped_by),
            probabilities={
                name: dict(zip(self.spaces[name].outcomes, values[row], strict=True)) for name, values in tables.items()
            },
            unfamiliarity=distance,
            is_unfamiliar=distance is not None and self.familiarity is not None and distance > self.familiarity.limit,
        )
