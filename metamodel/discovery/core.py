"""The search over prompts and residuals in memory: what the stage runs for a run directory.

Shapes: n = prompts of the run, m = labeled prompts of a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metamodel.discovery.clusters import cluster_conditions
from metamodel.discovery.conditions import SLICE_KINDS, Conditions, SliceKind, joined_conditions
from metamodel.discovery.domain_effects import domain_effects
from metamodel.discovery.effects import WithinDomains
from metamodel.discovery.found import DomainEffect
from metamodel.discovery.halves import near_duplicate_groups, search_half
from metamodel.discovery.phrases import phrase_conditions
from metamodel.discovery.residuals import Cell, Measure, measures_of
from metamodel.discovery.search import SearchedPrompts
from metamodel.discovery.surface import surface_conditions
from metamodel.discovery.tokens import read_tokens
from metamodel.discovery.verify import KeptPrompts, Tested, judge
from metamodel.scaling.adjusting import adjusted
from metamodel.types import IntArray

# One run in a hundred without anything to find reports something: whoever follows a candidate up spends days on it.
DEFAULT_ALPHA: Final = 0.01
DEFAULT_LEAST: Final = 20
DEFAULT_CANDIDATES: Final = 8


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """How slices are searched for.

    Attributes:
        kinds: What slices look at.
        seed: Fixes the halves and the clusters.
        least: Fewest prompts inside a slice, and outside of it in the same domains; in either half.
        most: Candidates of each behavior, primary model and split that go to the test.
        alpha: Chance of reporting any slice where there is none.
    """

    kinds: Sequence[SliceKind] = SLICE_KINDS
    seed: int = 0
    least: int = DEFAULT_LEAST
    most: int = DEFAULT_CANDIDATES
    alpha: float = DEFAULT_ALPHA


@dataclass(frozen=True, kw_only=True)
class PreparedPrompts:
    """Prompts as the search needs them; no label was looked at.

    Attributes:
        conditions: What may single a slice out.
        domains: Number of each prompt's domain, [n].
        domain_names: Name of each domain.
        groups: Number of each prompt's group of near-duplicates, [n].
        is_searched: Whether the prompt is of the searched half, [n].
        plan: How it was prepared.
        halves: The halves of each set of judged prompts, made once.
    """

    conditions: Conditions
    domains: IntArray
    domain_names: Sequence[str]
    groups: IntArray
    is_searched: NDArray[np.bool_]
    plan: SearchPlan
    halves: dict[bytes, SearchedPrompts] = field(default_factory=dict, repr=False)

    def searched(self, rows: IntArray) -> SearchedPrompts:
        """Return the searched ones among the judged prompts, [m]."""
        key = rows.tobytes()
        if key not in self.halves:
            self.halves.clear()  # cells of one split come one after another: one set at a time is enough
            is_searched = self.is_searched[rows]
            self.halves[key] = SearchedPrompts(
                self.conditions,
                rows=rows[is_searched],
                kept=rows[~is_searched],
                domains=self.domains,
                clusters=self.groups,
                least=self.plan.least,
            )
        return self.halves[key]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What one cell gave.

    Attributes:
        candidates: What was tested, p uncorrected.
        domains: Domains with their p, uncorrected.
    """

    candidates: Sequence[Tested]
    domains: Sequence[tuple[DomainEffect, float]]


def prepare(texts: Sequence[str], domains: Sequence[str], plan: SearchPlan) -> PreparedPrompts:
    """Divide prompts into halves and name what may single a slice out.

    Args:
        texts: Prompts, n of them.
        domains: Their domains.
        plan: How to search.
    """
    tokens = read_tokens(texts)
    groups = near_duplicate_groups(texts, domains, tokens)
    least = min(2 * plan.least, max(len(texts), 1))
    parts = []
    if "surface" in plan.kinds:
        parts.append(surface_conditions(texts, tokens, least=least))
    if "ngrams" in plan.kinds:
        parts += phrase_conditions(tokens, least=least)
    if "clusters" in plan.kinds:
        parts.append(cluster_conditions(tokens, least=least, seed=plan.seed))
    names = sorted(set(domains))
    numbers = {name: number for number, name in enumerate(names)}
    return PreparedPrompts(
        conditions=joined_conditions(parts, least=least),
        domains=np.array([numbers[name] for name in domains], dtype=np.int64),
        domain_names=names,
        groups=groups,
        is_searched=search_half(texts, domains, groups, seed=plan.seed),
        plan=plan,
    )


def search_cell(prepared: PreparedPrompts, cells: Mapping[str, Cell], required: Sequence[str]) -> Judged:
    """Search one cell's searched half and judge what is found on the other.

    Args:
        prepared: The run's prompts.
        cells: The cell by every trained metamodel, by name: the same prompts and labels; all labeled.
        required: The metamodels that must agree; the first stands for all in what is shown.
    """
    cell = cells[required[0]]
    measures = {name: list(measures_of(one)) for name, one in cells.items()}
    effects = list(
        domain_effects(cell, measures[required[0]][0], prepared.domains, prepared.groups, prepared.domain_names)
    )
    is_searched = prepared.is_searched[cell.rows]
    if is_searched.all() or not is_searched.any() or not len(prepared.conditions):
        return Judged(candidates=[], domains=effects)
    searched = prepared.searched(cell.rows)
    n_samples = float(cell.counts.sum(axis=1).mean())
    of_searched = [
        [_taken(measures[name][number], is_searched) for name in required]
        for number in range(len(measures[required[0]]))
    ]
    candidates = searched.candidates(of_searched, n_samples=n_samples, most=prepared.plan.most)
    places = np.flatnonzero(~is_searched)
    rows = cell.rows[places]
    kept = KeptPrompts(
        conditions=prepared.conditions,
        rows=rows,
        places=places,
        domains=prepared.domains,
        domain_names=prepared.domain_names,
        within=WithinDomains(prepared.domains[rows], prepared.groups[rows]),
        n_samples=n_samples,
    )
    tested = [judge(one, cell, measures, required, kept) for one in candidates]
    # One whose prompts there are all near-duplicates of each other has no error that could be estimated.
    return Judged(candidates=[one for one in tested if np.isfinite(one.discovery.bits.low)], domains=effects)


def corrected(found: Sequence[Tested], alpha: float) -> list[Tested]:
    """Return candidates with p corrected for all of them (Holm), the verified ones first, then by p."""
    p = adjusted(np.array([one.discovery.p for one in found]), "holm")
    judged = [
        replace(one, discovery=replace(one.discovery, p_adjusted=float(value), is_verified=bool(value <= alpha)))
        for one, value in zip(found, p, strict=True)
    ]
    return sorted(judged, key=lambda one: (not one.discovery.is_verified, one.discovery.p, one.discovery.slice))


def corrected_domains(found: Sequence[tuple[DomainEffect, float]], alpha: float) -> list[DomainEffect]:
    """Return domains with p corrected for all of them (Holm), those that are off first, then by size of the effect."""
    p = adjusted(np.array([value for _, value in found]), "holm")
    judged = [
        replace(one, p_adjusted=float(value), is_off=bool(value <= alpha))
        for (one, _), value in zip(found, p, strict=True)
    ]
    return sorted(judged, key=lambda one: (not one.is_off, -abs(one.bits.value)))


def _taken(measure: Measure, mine: NDArray[np.bool_]) -> Measure:
    return replace(
        measure,
        values=measure.values[mine],
        variances=measure.variances[mine],
        observed=measure.observed[mine],
        predicted=measure.predicted[mine],
    )
