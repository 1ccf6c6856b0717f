"""How much of the output's information a function of the prompt explains, above what chance would.

Shapes: n = prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from metamodel.bootstrap import Interval
from metamodel.output_information.estimator import (
    CrossScores,
    Influenced,
    conditional_entropy,
    partition_information,
    population_bounds,
    population_high,
)
from metamodel.output_information.intervals import interval_of
from metamodel.output_information.partitions import Chance, by_chance, joined
from metamodel.output_information.results import ExplainedRow, Figure, LengthInformation, Reader
from metamodel.types import FloatArray, IntArray

# Of log2 n; beyond it most partitions explain what a random one does, and nothing is left to tell them apart.
_SATURATED_SHARE = 0.9
# Rounding of a statistic; a permutation that ends with the same partition must count as equal.
_EQUAL_BITS = 1e-9


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How figures get their intervals and what they are compared with.

    Attributes:
        n_bootstrap: Draws of the bootstrap.
        n_permutations: Random partitions.
        seed: Seed of both.
    """

    n_bootstrap: int
    n_permutations: int
    seed: int

    def figure(
        self, *statistics: Influenced, combine: Callable[[FloatArray], FloatArray] = lambda draws: draws[..., 0]
    ) -> Figure:
        """Return a figure made of statistics, with its interval where that is finite."""
        found = interval_of(statistics, n_draws=self.n_bootstrap, seed=self.seed, combine=combine)
        if found is None:
            return Figure(value=float(combine(np.array([one.bits for one in statistics]))))
        return _figure(found)


def length_information(cross: CrossScores, settings: Settings, *, tokens: int, is_complete: bool) -> LengthInformation:
    """Return I(Y; X) and its bounds for one length of outputs."""
    found = partition_information(cross, cross.singletons)
    high = population_high(cross)
    return LengthInformation(
        tokens=tokens,
        is_complete=is_complete,
        bits=settings.figure(found),
        high_bits=settings.figure(high) if np.isfinite(high.bits) else None,
        conditional_entropy_bits=settings.figure(conditional_entropy(cross)),
        is_saturated=found.bits > _SATURATED_SHARE * float(np.log2(cross.n_prompts)),
    )


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A function of the prompt, as bins.

    Attributes:
        reader: Whose.
        metamodel: Name of the metamodel, if it is one's.
        behavior: The behavior, if it is one.
        reads_prompt: As of the behavior.
        bins: Over all prompts, [n].
        within: Over each domain's own prompts, numbered anew in every domain, [n]; None for the domain itself.
        reduction_bits: Bits that the predictions explain of the labels of the same prompts.
    """

    reader: Reader
    metamodel: str | None = None
    behavior: str | None = None
    reads_prompt: bool | None = None
    bins: IntArray
    within: IntArray | None
    reduction_bits: float | None = None


@dataclass(kw_only=True)
class Explainer:
    """Judges partitions of the same prompts by the same matrix; random partitions are drawn once a set of bin sizes.

    Attributes:
        cross: The matrix.
        domains: Domain of each prompt, [n].
        settings: Draws and permutations.
    """

    cross: CrossScores
    domains: IntArray
    settings: Settings
    _chances: dict[tuple[tuple[int, ...], ...], Chance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compute what all partitions are compared with."""
        self._whole = partition_information(self.cross, self.cross.singletons)
        self._domain = partition_information(self.cross, self.domains)

    def row(self, partition: Partition) -> ExplainedRow:
        """Return what a partition explains."""
        found = partition_information(self.cross, partition.bins)
        chance = self._chance(partition.bins, None)
        above = _less(found, chance.mean)
        within, within_share, within_p = self._within(partition)
        low, high = population_bounds(self.cross, partition.bins)
        return ExplainedRow(
            reader=partition.reader,
            metamodel=partition.metamodel,
            behavior=partition.behavior,
            reads_prompt=partition.reads_prompt,
            n_bins=int(partition.bins.max()) + 1,
            bits=self.settings.figure(found),
            chance_bits=chance.mean.bits,
            above_bits=self.settings.figure(above),
            share=self._share(above, self._whole),
            p_value=_p_value(found, chance),
            within_bits=within,
            within_share=within_share,
            within_p_value=within_p,
            population_low_bits=self._end(low, "low"),
            population_high_bits=self._end(high, "high"),
            reduction_bits=partition.reduction_bits,
        )

    def _within(self, partition: Partition) -> tuple[Figure | None, Figure | None, float | None]:
        if partition.within is None:
            return None, None, None
        found = partition_information(self.cross, joined(self.domains, partition.within))
        chance = self._chance(partition.within, self.domains)
        above = _less(found, chance.mean)
        share = self._share(above, _less(self._whole, self._domain))
        return self.settings.figure(above), share, _p_value(found, chance)

    def _share(self, part: Influenced, whole: Influenced) -> Figure | None:
        if whole.bits <= _EQUAL_BITS:
            return None
        return self.settings.figure(part, whole, combine=lambda draws: draws[..., 0] / draws[..., 1])

    def _end(self, bound: Influenced, end: str) -> float | None:
        found = self.settings.figure(bound) if np.isfinite(bound.bits) else None
        return None if found is None else found.low if end == "low" else found.high

    def _chance(self, bins: IntArray, groups: IntArray | None) -> Chance:
        held = np.zeros(len(bins), dtype=np.int64) if groups is None else groups
        sizes = (np.sort(np.bincount(bins[held == group])) for group in np.unique(held))
        key = ((len(np.unique(held)),), *(tuple(size[size > 0].tolist()) for size in sizes))
        if key not in self._chances:
            self._chances[key] = by_chance(
                self.cross,
                bins,
                groups=groups,
                n_permutations=self.settings.n_permutations,
                seed=self.settings.seed,
            )
        return self._chances[key]


def _less(first: Influenced, second: Influenced) -> Influenced:
    return Influenced(first.bits - second.bits, first.influence - second.influence)


def _p_value(found: Influenced, chance: Chance) -> float:
    n_as_much = int((chance.bits >= found.bits - _EQUAL_BITS).sum())
    return (1 + n_as_much) / (1 + len(chance.bits))


def _figure(interval: Interval) -> Figure:
    return Figure(value=interval.value, low=interval.low, high=interval.high)
