"""From the paired labels and predictions of one cell to its rows.

Shapes: m = prompts in common, c = outcomes of the behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from metamodel.bootstrap import DEFAULT_DRAWS, Interval, macro_difference_interval
from metamodel.compare.intervals import (
    LEAST_PROMPTS_OF_A_DOMAIN,
    gain_difference_interval,
    mean_interval,
    mean_p_value,
)
from metamodel.compare.pairing import PairedLabels, PairedRates, paired_rates
from metamodel.compare.rows import ComparedRow, Measured, RateChange
from metamodel.compare.sides import Predicted
from metamodel.information import entropy_bits, prompt_cross_entropies_bits
from metamodel.types import FloatArray, IntArray

# Below, a t-test of losses as skewed as these says nothing.
LEAST_PROMPTS: Final = 10
_BINARY: Final = 2


@dataclass(frozen=True, kw_only=True)
class CellDomain:
    """One domain of a cell.

    Attributes:
        name: The domain; None for all prompts of a split taken together.
        old_counts: Labels of the old run, [m, c].
        new_counts: Labels of the new run, [m, c].
        old_probabilities: What the old run predicted, [m, c].
        new_probabilities: What the new run predicted, [m, c].
    """

    name: str | None
    old_counts: IntArray
    new_counts: IntArray
    old_probabilities: FloatArray
    new_probabilities: FloatArray

    def rates(self) -> PairedRates:
        """Return the shares of the outcomes of both runs."""
        return paired_rates(self.old_counts, self.new_counts)

    def losses(self) -> tuple[FloatArray, FloatArray]:
        """Return the cross-entropy of each prompt's labels in the old and in the new run, in bits, [m] each."""
        return (
            prompt_cross_entropies_bits(self.old_counts, self.old_probabilities),
            prompt_cross_entropies_bits(self.new_counts, self.new_probabilities),
        )


class CellJudge:
    """Compares two runs' predictions of one behavior."""

    def __init__(self, labels: PairedLabels, *, n_draws: int = DEFAULT_DRAWS, seed: int = 0) -> None:
        """Take the labels of both runs; computes nothing yet."""
        self._labels = labels
        self._n_draws = n_draws
        self._seed = seed

    def rows(self, blank: ComparedRow, old: Predicted, new: Predicted) -> Iterator[ComparedRow]:
        """Yield the row that sums up a split and then one a domain; none where fewer than two prompts are in common.

        Args:
            blank: A row with the names and the split.
            old: What the old run's metamodel predicted.
            new: What the new run's metamodel predicted.
        """
        domains, everything = self._paired(old, new)
        blank = replace(blank, relation=self._labels.relation)
        usable = [one for one in domains if len(one.old_counts) >= LEAST_PROMPTS_OF_A_DOMAIN]
        single = [
            _with_rest(
                self._row(replace(blank, domain=one.name), [one]),
                (old.domain_of == one.name).sum(),
                (new.domain_of == one.name).sum(),
            )
            for one in usable
        ]
        pooled = usable if blank.split == "held_out_domain" else [everything]
        if not pooled or len(everything.old_counts) < LEAST_PROMPTS_OF_A_DOMAIN:
            return
        worst = min(single, key=lambda row: row.difference.value, default=None)
        row = replace(self._row(blank, pooled), n_domains=len(usable))
        summary = _with_rest(row, len(old.domain_of), len(new.domain_of))
        if worst is not None:
            summary = replace(summary, worst_domain=worst.domain, worst_bits=worst.difference.value)
        yield summary
        yield from single

    def _paired(self, old: Predicted, new: Predicted) -> tuple[list[CellDomain], CellDomain]:
        """Return the domains, and all prompts taken together."""
        both = old.domain_of.index.intersection(new.domain_of.index, sort=False)
        labels = self._labels.places(both)
        both, labels = both[labels >= 0], labels[labels >= 0]
        names = old.domain_of.loc[both].to_numpy()
        everything = CellDomain(
            name=None,
            old_counts=self._labels.old_counts[labels],
            new_counts=self._labels.new_counts[labels],
            old_probabilities=old.probabilities[old.domain_of.index.get_indexer(both)],
            new_probabilities=new.probabilities[new.domain_of.index.get_indexer(both)],
        )
        domains = [_taken(everything, str(name), names == name) for name in sorted(set(names.tolist()))]
        return domains, everything

    def _row(self, blank: ComparedRow, domains: Sequence[CellDomain]) -> ComparedRow:
        losses = [one.losses() for one in domains]
        rates = [one.rates() for one in domains]
        old = [_gain(one.old_shares, before) for one, (before, _) in zip(rates, losses, strict=True)]
        new = [_gain(one.new_shares, after) for one, (_, after) in zip(rates, losses, strict=True)]
        n_prompts = sum(len(one.old_counts) for one in domains)
        row = replace(
            blank,
            n_prompts=n_prompts,
            n_domains=len(domains),
            old_bits=float(np.mean(old)),
            new_bits=float(np.mean(new)),
        )
        if blank.relation == "same":
            interval = macro_difference_interval(
                [(one.new_counts, one.new_probabilities, one.old_probabilities) for one in domains],
                n_draws=self._n_draws,
                seed=self._seed,
            )
            p_value = mean_p_value([before - after for before, after in losses])
            # What cancels exactly leaves rounding behind: -(a - b) is -0.0 where a = b.
            return replace(
                row,
                difference=_measured(_positive_zero(interval)),
                p_value=p_value if n_prompts >= LEAST_PROMPTS else None,
            )
        parts = [(before, r.old_shares, after, r.new_shares) for (before, after), r in zip(losses, rates, strict=True)]
        interval = gain_difference_interval(parts, n_draws=self._n_draws, seed=self._seed)
        return replace(row, difference=_measured(interval), p_value=None, rates=self._rate_change(rates))

    def _rate_change(self, rates: Sequence[PairedRates]) -> RateChange:
        is_binary = rates[0].old_shares.shape[1] == _BINARY
        change = None
        if is_binary:
            change = self._mean([one.new_shares[:, 1] - one.old_shares[:, 1] for one in rates])
        return RateChange(
            old_rate=float(np.mean([one.old_shares[:, 1].mean() for one in rates])) if is_binary else None,
            new_rate=float(np.mean([one.new_shares[:, 1].mean() for one in rates])) if is_binary else None,
            difference=change,
            distance=float(np.mean([one.distance for one in rates])),
            agreement=self._mean([one.agreement for one in rates]),
            chance_agreement=float(np.mean([one.chance_agreement for one in rates])),
        )

    def _mean(self, domains: Sequence[FloatArray]) -> Measured:
        return _measured(mean_interval(domains, n_draws=self._n_draws, seed=self._seed))


def _taken(cell: CellDomain, name: str, rows: FloatArray) -> CellDomain:
    return CellDomain(
        name=name,
        old_counts=cell.old_counts[rows],
        new_counts=cell.new_counts[rows],
        old_probabilities=cell.old_probabilities[rows],
        new_probabilities=cell.new_probabilities[rows],
    )


def _gain(shares: FloatArray, losses: FloatArray) -> float:
    """Return H(F) less the cross-entropy, in bits."""
    return float(entropy_bits(shares.mean(axis=0)) - losses.mean())


def _with_rest(row: ComparedRow, n_old: int, n_new: int) -> ComparedRow:
    """Say how many of each run's judged prompts were not compared."""
    return replace(row, n_only_old=int(n_old) - row.n_prompts, n_only_new=int(n_new) - row.n_prompts)


def _measured(interval: Interval | None) -> Measured:
    if interval is None:
        raise ValueError("a domain with fewer than two prompts has no interval: leave it out")
    return Measured(value=interval.value, low=interval.low, high=interval.high)


def _positive_zero(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(low=interval.low + 0.0, value=interval.value + 0.0, high=interval.high + 0.0)
