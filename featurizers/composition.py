"""Composition: behaviors made of behaviors, in YAML.

A missing label stands for an unknown one: `and`, `or` and `not` follow Kleene's strong logic of three values, in which
a conjunction with a false part is false whatever the others are. Where an output itself is unknown, the stage that
labels gives a missing label to every behavior that reads it, compositions too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from metamodel.analysis.composed import Joined, Wrapped
from metamodel.labels import Binary, Count, LabelSpace, Real
from metamodel.protocols import Featurizer
from metamodel.types import FloatArray, GenerationBatch

_TO_BINARY = "wrap it in {kind: threshold} or {kind: outcome}"


@dataclass(frozen=True, kw_only=True, eq=False)
class And(Joined):
    """1 if every part's label is 1, 0 if any is 0, else missing.

    f = min of the parts' labels, where a missing label is unknown: 0 and missing is 0, 1 and missing is missing.

    Label space: binary. Needs: what its parts need. Reads the prompt if a part does.
    Source: composition of featurizers as in Holtzman et al. (2023); Kleene's strong logic of three values (1952).

    Attributes:
        of: Specs of binary behaviors.

    >>> from metamodel.text import text_batch
    >>> And(of=("empty", {"kind": "truncated"})).label(text_batch(["", "", "a"], finish_reasons=["length", None, None]))
    array([ 1., nan,  0.])
    """

    space: ClassVar[LabelSpace] = Binary()

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        self.require(Binary, "binary", _TO_BINARY)

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:
        """Return the labels that the parts' labels give, [n]."""
        stacked = np.stack(columns).reshape(len(columns), len(batch))
        return np.where((stacked == 0).any(axis=0), 0.0, np.where(np.isnan(stacked).any(axis=0), np.nan, 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Or(Joined):
    """1 if any part's label is 1, 0 if every one is 0, else missing.

    f = max of the parts' labels, where a missing label is unknown: 1 or missing is 1, 0 or missing is missing.

    Label space: binary. Needs: what its parts need. Reads the prompt if a part does.
    Source: composition of featurizers as in Holtzman et al. (2023); Kleene's strong logic of three values (1952).

    Attributes:
        of: Specs of binary behaviors.

    >>> from metamodel.text import text_batch
    >>> Or(of=("empty", "truncated")).label(text_batch(["", "a", "a"], finish_reasons=[None, None, "stop"]))
    array([ 1., nan,  0.])
    """

    space: ClassVar[LabelSpace] = Binary()

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        self.require(Binary, "binary", _TO_BINARY)

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:
        """Return the labels that the parts' labels give, [n]."""
        stacked = np.stack(columns).reshape(len(columns), len(batch))
        return np.where((stacked == 1).any(axis=0), 1.0, np.where(np.isnan(stacked).any(axis=0), np.nan, 0.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Not(Wrapped):
    """1 if the part's label is 0, 0 if it is 1, missing if it is missing.

    f = 1 - g.

    Label space: binary. Needs: what its part needs. Reads the prompt if its part does.
    Source: composition of featurizers as in Holtzman et al. (2023); Kleene's strong logic of three values (1952).

    Attributes:
        of: Spec of a binary behavior.

    >>> from metamodel.text import text_batch
    >>> Not(of="empty").label(text_batch(["", "a"]))
    array([0., 1.])
    """

    space: ClassVar[LabelSpace] = Binary()

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        self.require(Binary, "binary", _TO_BINARY)

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:  # noqa: ARG002 - one signature
        """Return the labels that the parts' labels give, [n]."""
        return 1.0 - columns[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold(Wrapped):
    """1 if the part's value lies between two limits, else 0; missing if it is missing.

    f = 1 if at_least <= g <= at_most. The value itself is compared, not the bin that bits refer to.

    Label space: binary. Needs: what its part needs. Reads the prompt if its part does.
    Source: this project.

    Attributes:
        of: Spec of a behavior with count or real labels.
        at_least: Lower limit, itself within; None for none.
        at_most: Upper limit, itself within; None for none.

    >>> from metamodel.text import text_batch
    >>> Threshold(of="n_tokens", at_least=2).label(text_batch(["a", "a b", ""], n_tokens=[1, 2, None]))
    array([ 0.,  1., nan])
    """

    at_least: float | None = None
    at_most: float | None = None

    space: ClassVar[LabelSpace] = Binary()

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        self.require((Count, Real), "count or real", "take {kind: outcome} for classes")
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least and at_most are both missing, must give one")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least is {self.at_least:g}, must be at most at_most, which is {self.at_most:g}")

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:  # noqa: ARG002 - one signature
        """Return the labels that the parts' labels give, [n]."""
        values = columns[0]
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        return np.where(np.isnan(values), np.nan, (values >= low) & (values <= high))


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome(Wrapped):
    """1 if the part's label is one of the named outcomes, else 0; missing if it is missing.

    f = 1 if the outcome of g is in `outcomes`. Makes one class of a categorical behavior, or some bins of a count, a
    behavior of its own.

    Label space: binary. Needs: what its part needs. Reads the prompt if its part does.
    Source: this project.

    Attributes:
        of: Spec of any behavior.
        outcomes: Names of outcomes of its label space.

    >>> from metamodel.text import text_batch
    >>> Outcome(of="n_tokens", outcomes=("0", "1")).label(text_batch(["a", "a b"], n_tokens=[1, 2]))
    array([1., 0.])
    """

    outcomes: tuple[str, ...]

    space: ClassVar[LabelSpace] = Binary()

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        known = parts[0].space.outcomes
        unknown = [name for name in self.outcomes if name not in known]
        if unknown or not self.outcomes:
            raise ValueError(f"outcomes are {list(self.outcomes)}, must be some of {', '.join(known)}")

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:  # noqa: ARG002 - one signature
        """Return the labels that the parts' labels give, [n]."""
        space = self.parts[0].space
        codes = space.encode(columns[0])
        chosen = np.array([name in self.outcomes for name in (*space.outcomes, "")], dtype=np.float64)
        return np.where(np.isnan(columns[0]), np.nan, chosen[codes])
