"""Products: behaviors joined with one another and with domains, the paper's Cartesian product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from metamodel.analysis.composed import Joined, Wrapped, spec_name
from metamodel.labels import Categorical, LabelSpace
from metamodel.protocols import Featurizer
from metamodel.types import FloatArray, GenerationBatch

_MOST_CLASSES = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Joined):
    """Which outcomes several behaviors have together, with the prompt's domain as one more where domains are named.

    f = (domain, g1, g2, ...), one class a combination, in the order of `domains` and of the parts' outcomes, the last
    part running fastest. Missing where any part is missing, or where the prompt's domain is not named.

    Label space: categorical, one class a combination, at most 1,000. Needs: what its parts need. Reads the prompt if a
    part does or domains are named.
    Source: the Cartesian product of behaviors and domains, Holtzman et al. (2023).

    Attributes:
        of: Specs of behaviors; counts and reals enter as their bins.
        domains: Domains to tell apart; none leaves the domain out.

    >>> from metamodel.text import text_batch
    >>> both = Product(of=("empty", {"kind": "truncated", "name": "cut"}))
    >>> labels = both.label(text_batch(["", "a"], finish_reasons=["stop", "length"]))
    >>> [both.space.outcomes[int(label)] for label in labels]
    ['empty=yes & cut=no', 'empty=no & cut=yes']
    """

    domains: tuple[str, ...] = ()

    @property
    def reads_prompt(self) -> bool:
        """Whether any part does, or domains count: a domain is a property of the prompt."""
        return bool(self.domains) or super().reads_prompt

    @cached_property
    def space(self) -> LabelSpace:
        """One class a combination of outcomes."""
        named = [
            [f"{spec_name(spec)}={outcome}" for outcome in part.space.outcomes]
            for spec, part in zip(self.of, self.parts, strict=True)
        ]
        in_domains = [[f"domain={domain}" for domain in self.domains]] if self.domains else []
        return Categorical(classes=tuple(" & ".join(pair) for pair in product(*in_domains, *named)))

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        n_classes = int(np.prod([len(part.space.outcomes) for part in parts], dtype=np.float64)) * max(
            1, len(self.domains)
        )
        if n_classes > _MOST_CLASSES:
            raise ValueError(f"the product has {n_classes} classes, must have at most {_MOST_CLASSES}: use thresholds")
        names = [spec_name(spec) for spec in self.of]
        if len(set(names)) < len(names) or len(set(self.domains)) < len(self.domains):
            raise ValueError(
                f"names in of are {names}, domains {list(self.domains)}: each must differ, give parts a `name`"
            )

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:
        """Return the labels that the parts' labels give, [n]."""
        places = {domain: float(place) for place, domain in enumerate(self.domains)}
        codes = np.array([places.get(domain, np.nan) for domain in batch.domains]) if places else np.zeros(len(batch))
        for part, column in zip(self.parts, columns, strict=True):
            outcome = np.where(np.isnan(column), np.nan, part.space.encode(column))
            codes = codes * len(part.space.outcomes) + outcome
        return codes


@dataclass(frozen=True, kw_only=True, eq=False)
class InDomains(Wrapped):
    """The part's label where the prompt's domain is one of the named, missing elsewhere.

    f(x, y) = g(x, y) if the domain of x is in `domains`, else missing: the behavior restricted to them.

    Label space: its part's. Needs: what its part needs. Reads the prompt if its part does.
    Source: the Cartesian product of behaviors and domains, Holtzman et al. (2023), one factor of it.

    Attributes:
        of: Spec of any behavior.
        domains: Domains in which the label exists.

    >>> from dataclasses import replace
    >>> from metamodel.text import text_batch
    >>> batch = replace(text_batch(["", ""]), domains=["law", "physics"])
    >>> InDomains(of="empty", domains=("law",)).label(batch)
    array([ 1., nan])
    """

    domains: tuple[str, ...]

    @property
    def space(self) -> LabelSpace:
        """The label space of the part."""
        return self.parts[0].space

    def check(self, parts: Sequence[Featurizer]) -> None:
        """Refuse parts that this composition cannot take."""
        super().check(parts)
        if not self.domains:
            raise ValueError("domains is empty, must name at least one")

    def combine(self, columns: Sequence[FloatArray], batch: GenerationBatch) -> FloatArray:
        """Return the labels that the parts' labels give, [n]."""
        within = np.array([domain in self.domains for domain in batch.domains], dtype=bool)
        return np.where(within, columns[0], np.nan)
