"""Search one half of the prompts for slices whose residuals stand out within their domains.

Shapes: m = prompts of the half, s = slices, d = domains, r = metamodels that must agree (one, unless all must).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from metamodel.discovery.conditions import Conditions, Slice
from metamodel.discovery.effects import WithinDomains
from metamodel.discovery.residuals import Measure
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array

# How many conditions are looked at closely, how many of them are joined two by two, and how many pairs again closely.
_N_CLOSE: Final = 96
_N_JOINED: Final = 20
_N_CLOSE_PAIRS: Final = 32
# A candidate must stand out at least so much in the searched half; less will not be verified in the other.
LEAST_T: Final = 3.0
# What is left of it once the clearer slices' effects are taken out.
_LEAST_LEFT: Final = 2.0
# Two conditions must say so much more than the better of them alone ...
_WORTH_OF_A_SECOND: Final = 0.5
# ... and come behind a single one that stands out as much: there are many more pairs for chance to choose among.
_COST_OF_A_SECOND: Final = 1.0
# Slices that share more than this of their prompts are one finding.
MOST_OVERLAP: Final = 0.5
# "More surprised where a rare word is not" is no slice of prompts that a person would look at.
_LARGEST_SURPRISING: Final = 0.8


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A slice that stands out in the searched half; nothing is known of the other half yet.

    Attributes:
        slice: Which prompts.
        measure: Number of the measure among the cell's.
        sign: 1 if the residual is larger inside, -1 if it is smaller.
        t: Its statistic in the searched half; of several metamodels the smallest, and 0 where they differ in sign.
    """

    slice: Slice
    measure: int
    sign: int
    t: float


class SearchedPrompts:
    """The prompts of the searched half with the conditions that can be tested in both halves."""

    def __init__(
        self,
        conditions: Conditions,
        *,
        rows: IntArray,
        kept: IntArray,
        domains: IntArray,
        clusters: IntArray,
        least: int,
    ) -> None:
        """Count who meets what.

        Args:
            conditions: Over all prompts of the run.
            rows: Row numbers of the searched prompts, [m].
            kept: Row numbers of those kept aside.
            domains: Domain number of every prompt of the run.
            clusters: Cluster number of every prompt of the run.
            least: Fewest prompts inside, and outside, of domains that have both; in either half.
        """
        from scipy.sparse import csc_array, csr_array

        members = csr_array(conditions.members)
        self.conditions, self.rows, self._least = conditions, rows, least
        self.within = WithinDomains(domains[rows], clusters[rows])
        self.members: csc_array = csc_array(members[rows])
        self.domains, self._kept, self._kept_domains = domains[rows], kept, domains[kept]
        searched = _Support.of(self.members, domains[rows])
        self.information = searched.information
        self.inside = np.diff(self.members.indptr)
        self.is_testable = searched.is_enough(least) & _Support.of(csc_array(members[kept]), domains[kept]).is_enough(
            least
        )

    def candidates(self, measures: Sequence[Sequence[Measure]], *, n_samples: float, most: int) -> list[Candidate]:
        """Return the slices that stand out, at most `most`, the clearest first; no two share most of their prompts.

        Args:
            measures: The cell's measures, each by every metamodel that must agree; values of the searched prompts.
            n_samples: Mean number of samples a prompt.
            most: How many.
        """
        found: list[tuple[Candidate, NDArray[np.bool_]]] = []
        for number, by_metamodel in enumerate(measures):
            found += _OneMeasure(self, number, by_metamodel, n_samples).candidates(most)
        found.sort(key=lambda pair: -abs(pair[0].t))
        chosen: list[tuple[Candidate, NDArray[np.bool_]]] = []
        for candidate, inside in found:
            if len(chosen) < most and not _overlaps(inside, chosen):
                chosen.append((candidate, inside))
        return [candidate for candidate, _ in chosen]

    def can_be_tested(self, one: Slice) -> bool:
        """Say whether both halves hold enough prompts inside and outside a slice."""
        from scipy.sparse import csc_array

        inside = self.conditions.prompts_of(one)
        halves = ((self.rows, self.domains), (self._kept, self._kept_domains))
        return all(
            bool(_Support.of(csc_array(inside[rows][:, None].astype(float)), domains).is_enough(self._least)[0])
            for rows, domains in halves
        )


@dataclass(frozen=True, kw_only=True)
class _Support:
    """How many prompts each of s slices has inside and outside, of domains that have both, [s] each."""

    inside: FloatArray
    outside: FloatArray
    information: FloatArray  # sum of (S_i - S_d)^2

    @classmethod
    def of(cls, members: csc_array, domains: IntArray) -> _Support:
        from scipy.sparse import csr_array

        m = len(domains)
        _, numbers = np.unique(domains, return_inverse=True)
        n_domains = int(numbers.max(initial=-1)) + 1
        by_domain = csr_array((np.ones(m), (numbers, np.arange(m))), shape=(n_domains, m))
        inside = (by_domain @ members).toarray()  # [d, s]
        sizes = np.bincount(numbers, minlength=n_domains)[:, None]
        is_mixed = (inside > 0) & (inside < sizes)
        return cls(
            inside=np.where(is_mixed, inside, 0).sum(axis=0),
            outside=np.where(is_mixed, sizes - inside, 0).sum(axis=0),
            information=(inside * (1 - inside / np.maximum(sizes, 1))).sum(axis=0),
        )

    def is_enough(self, least: int) -> NDArray[np.bool_]:
        return (self.inside >= least) & (self.outside >= least)


class _OneMeasure:
    """The search for one measure of one cell."""

    def __init__(
        self, prompts: SearchedPrompts, number: int, by_metamodel: Sequence[Measure], n_samples: float
    ) -> None:
        self._prompts, self._number = prompts, number
        self._kind = by_metamodel[0].kind
        within = prompts.within
        self._residuals = [measure.values for measure in by_metamodel]
        self._implied = [within.implied_variances(one.values, one.variances, n_samples) for one in by_metamodel]
        self._centered = within.centered(np.column_stack(self._residuals))  # [m, r]

    def candidates(self, most: int) -> list[tuple[Candidate, NDArray[np.bool_]]]:
        """Return the slices that stand out, each with the searched prompts inside."""
        singles = self._close_singles()
        if not singles:
            return []
        return self._greedy([*singles, *self._close_pairs(singles)], most)

    def _close_singles(self) -> list[_Close]:
        prompts = self._prompts
        z = _agreed(self._quick(), prompts.information)
        z[~prompts.is_testable] = 0.0
        order = np.argsort(-np.abs(z), kind="stable")[:_N_CLOSE]
        slices = [Slice(columns=(number,), negated=(False,)) for number in order[np.abs(z[order]) > 1].tolist()]
        return self._looked_at(slices)

    def _quick(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return, by metamodel, the sum of centered residuals inside each slice and a variance of it, [s] each.

        The variance forgets clusters and, in its terms of second order, which domain a prompt is of.
        """
        members = self._prompts.members.T.tocsr()
        inside = np.maximum(self._prompts.inside, 1)
        sums = members @ self._centered
        squares = members @ self._centered**2
        implied = members @ np.column_stack(self._implied)
        share = (self._prompts.information / inside)[:, None]
        variances = share * np.maximum(squares, implied)
        return [(sums[:, one], variances[:, one]) for one in range(sums.shape[1])]

    def _looked_at(self, slices: Sequence[Slice]) -> list[_Close]:
        """Return the slices with their exact statistics, turned so that a person would name that side."""
        if not slices:
            return []
        prompts = self._prompts
        members = np.column_stack([prompts.conditions.prompts_of(one)[prompts.rows] for one in slices])
        effects = [
            prompts.within.effects(residuals, implied, members)
            for residuals, implied in zip(self._residuals, self._implied, strict=True)
        ]
        t = _agreed([(one.t, np.ones(len(slices))) for one in effects], np.ones(len(slices)))
        closer = [_Close(slice=one, t=float(t[number]), inside=members[:, number]) for number, one in enumerate(slices)]
        return [turned for one in closer if (turned := self._turned(one)) is not None]

    def _turned(self, close: _Close) -> _Close | None:
        """Return a slice or, where that is what stands out, the rest of the prompts; None if neither is of use."""
        share = close.inside.mean()
        is_rest = close.t < 0 if self._kind == "surprise" else share > 1 / 2
        if self._kind == "surprise" and (1 - share if is_rest else share) > _LARGEST_SURPRISING:
            return None
        if not is_rest:
            return close
        if len(close.slice.columns) > 1:  # the rest of "this and that" is "not this or not that"
            return None if self._kind == "surprise" else close
        negated = Slice(columns=close.slice.columns, negated=(not close.slice.negated[0],))
        return _Close(slice=negated, t=-close.t, inside=~close.inside)

    def _close_pairs(self, singles: Sequence[_Close]) -> list[_Close]:
        """Return the best slices of two conditions that say more than either."""
        prompts = self._prompts
        best: list[_Close] = []
        for one in sorted(singles, key=lambda one: -abs(one.t)):
            if len(best) < _N_JOINED and all(_overlap(one.inside, other.inside) < 0.9 for other in best):  # noqa: PLR2004
                best.append(one)
        z = self._quick_pairs(np.column_stack([one.inside for one in best]).astype(np.float64)) if best else None
        pairs = []
        for left, right in combinations(range(len(best)), 2):
            (first,), (second,) = best[left].slice.columns, best[right].slice.columns
            alone = max(abs(best[left].t), abs(best[right].t))
            sources = {prompts.conditions.conditions[number].source for number in (first, second)}
            if z is not None and len(sources) > 1 and abs(z[left, right]) > alone + _WORTH_OF_A_SECOND:
                negated = (best[left].slice.negated[0], best[right].slice.negated[0])
                pairs.append((abs(z[left, right]), alone, Slice(columns=(first, second), negated=negated)))
        pairs.sort(key=lambda pair: -pair[0])
        testable = [pair for pair in pairs[:_N_CLOSE_PAIRS] if prompts.can_be_tested(pair[2])]
        alone_of = {pair[2]: pair[1] for pair in testable}
        close = self._looked_at([pair[2] for pair in testable])
        return [one for one in close if abs(one.t) > alone_of[one.slice] + _WORTH_OF_A_SECOND]

    def _quick_pairs(self, members: FloatArray) -> FloatArray:
        """Return a rough statistic of what meets both of two conditions, [best, best]."""
        domains = self._prompts.domains
        information = np.zeros((members.shape[1],) * 2)
        for domain in np.unique(domains):
            mine = members[domains == domain]
            both = mine.T @ mine
            information += both * (1 - both / len(mine))
        inside = np.maximum(members.T @ members, 1)
        sums = []
        for centered, implied in zip(self._centered.T, self._implied, strict=True):
            total = members.T @ (members * centered[:, None])
            squares = members.T @ (members * (centered**2)[:, None])
            by_model = members.T @ (members * implied[:, None])
            sums.append((total, information / inside * np.maximum(squares, by_model)))
        return _agreed(sums, information)

    def _greedy(self, close: Sequence[_Close], most: int) -> list[tuple[Candidate, NDArray[np.bool_]]]:
        """Take the clearest slice, take its effect out of the residuals, look again."""
        members = np.column_stack([one.inside for one in close]).astype(np.float64)
        contrast = self._prompts.within.centered(members)  # [m, s]
        lengths = (contrast**2).sum(axis=0)
        left = self._centered.copy()  # [m, r]
        first = np.abs(contrast.T @ left).min(axis=1)
        t = np.array([abs(one.t) for one in close])
        cost = np.array([_COST_OF_A_SECOND * (len(one.slice.columns) - 1) for one in close])
        # One unit of this statistic is one unit of t: the errors are those of the first look.
        unit = np.divide(t, first, out=np.zeros(len(t)), where=first > 0)
        chosen: list[tuple[Candidate, NDArray[np.bool_]]] = []
        for _ in range(most):
            now = np.abs(contrast.T @ left).min(axis=1) * unit
            now[[_overlaps(one.inside, chosen) for one in close]] = 0.0
            now[t - cost < LEAST_T] = 0.0
            best = int(np.argmax(now - cost))
            if now[best] < _LEAST_LEFT:
                break
            picked = close[best]
            candidate = Candidate(slice=picked.slice, measure=self._number, sign=1 if picked.t > 0 else -1, t=picked.t)
            chosen.append((candidate, picked.inside))
            left -= contrast[:, [best]] * (contrast[:, best] @ left) / lengths[best]
        return chosen


@dataclass(frozen=True, kw_only=True)
class _Close:
    slice: Slice
    t: float
    inside: NDArray[np.bool_]


def _agreed(sums: Sequence[tuple[FloatArray, FloatArray]], information: FloatArray) -> FloatArray:
    """Return, of each metamodel's sum over the root of its variance, the smallest; 0 where they differ in sign."""
    z = np.stack(
        [
            np.divide(total, np.sqrt(variance), out=np.zeros(total.shape), where=(variance > 0) & (information > 0))
            for total, variance in sums
        ]
    )
    same = np.abs(np.sign(z).sum(axis=0)) == len(z)
    agreed: FloatArray = np.where(same, np.sign(z[0]) * np.abs(z).min(axis=0), 0.0)
    return agreed


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the share of the prompts of either slice that are in both (Jaccard)."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def _overlaps(inside: NDArray[np.bool_], chosen: Sequence[tuple[Candidate, NDArray[np.bool_]]]) -> bool:
    """Say whether a slice, or what it leaves out, is mostly one that was chosen: the two tell the same."""
    return any(max(_overlap(inside, other), _overlap(~inside, other)) > MOST_OVERLAP for _, other in chosen)
