"""From labels and predicted probabilities to the rows of metrics.json.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from metamodel.bootstrap import Interval, macro_difference_interval, macro_reduction_interval, reduction_interval
from metamodel.ceiling import Ceiling, noise_ceiling
from metamodel.comparisons import PairedDifference
from metamodel.config import RunConfig
from metamodel.dataset import PrimaryDataset
from metamodel.information import cross_entropy_bits, label_entropy_bits, reduction_bits
from metamodel.metric_rows import MetricsRow, Split
from metamodel.metrics import auprc, auroc, brier, ece, refinement_bits
from metamodel.types import FloatArray, IntArray, Predictions

# Below a thousandth of a bit a ceiling is zero but for the estimate's noise, and a share of it means nothing.
LEAST_CEILING_BITS = 1e-3


@dataclass(frozen=True, kw_only=True)
class ScoredDomain:
    """One domain's labels and predictions of one behavior, prompts without a label left out.

    Attributes:
        counts: How often each outcome was drawn, [m, c].
        probabilities: What was predicted, [m, c].
        row: Its row of metrics.json.
    """

    counts: IntArray
    probabilities: FloatArray
    row: MetricsRow


class PrimaryScorer:
    """Scores metamodels on one primary model's labels; a ceiling, which no metamodel changes, is computed once."""

    def __init__(self, *, dataset: PrimaryDataset, config: RunConfig) -> None:
        """Take the labels; computes nothing yet."""
        self._dataset = dataset
        self._domains = np.asarray(dataset.prompts.domains)
        self._n_bootstrap = config.evaluation.n_bootstrap
        self._seed = config.seed
        self._is_deterministic = config.sampling.is_greedy
        self._ceilings: dict[tuple[str, Split, str | None], Ceiling | None] = {}

    def rows(self, metamodel: str, split: Split, rows: IntArray, predictions: Predictions) -> Iterator[MetricsRow]:
        """Yield the rows of one metamodel on one split: for each behavior the summary, then every domain.

        Args:
            metamodel: Name of the metamodel.
            split: What the predictions were held out from.
            rows: Row numbers of the judged prompts in the dataset, [m].
            predictions: Outcome probabilities, [m, c] a behavior.
        """
        domains = self._domains[rows]
        for behavior, table in self._dataset.prompts.labels.items():
            blank = MetricsRow(
                metamodel=metamodel,
                behavior=behavior,
                primary=self._dataset.primary,
                split=split,
                domain=None,
                n_prompts=0,
                n_samples=0,
            )
            counts, probabilities = table.counts[rows], predictions[behavior]
            per_domain = [
                self._scored(replace(blank, domain=domain), counts[domains == domain], probabilities[domains == domain])
                for domain in sorted(set(domains.tolist()))
            ]
            if split == "in_distribution":
                yield self._scored(blank, counts, probabilities).row
            else:
                yield self._mean(blank, per_domain)
            yield from (scored.row for scored in per_domain)

    def comparisons(
        self, split: Split, rows: IntArray, predictions: Mapping[str, Predictions]
    ) -> Iterator[PairedDifference]:
        """Yield the difference in bits gained of every ordered pair of metamodels, for each behavior.

        Args:
            split: What the predictions were held out from.
            rows: Row numbers of the judged prompts in the dataset, [m].
            predictions: Outcome probabilities by metamodel and behavior, [m, c] each.
        """
        domains = self._domains[rows]
        strata = [domains == domain for domain in sorted(set(domains.tolist()))]
        if split == "in_distribution":
            strata = [np.ones(len(rows), dtype=bool)]
        for behavior, table in self._dataset.prompts.labels.items():
            counts = table.counts[rows]
            for metamodel, rival in combinations(predictions, 2):
                mine, other = predictions[metamodel][behavior], predictions[rival][behavior]
                interval = macro_difference_interval(
                    [(counts[stratum], mine[stratum], other[stratum]) for stratum in strata],
                    n_draws=self._n_bootstrap,
                    seed=self._seed,
                )
                if interval is not None:
                    difference = PairedDifference(
                        metamodel=metamodel,
                        rival=rival,
                        behavior=behavior,
                        primary=self._dataset.primary,
                        split=split,
                        difference_bits=interval.value,
                        low_bits=interval.low,
                        high_bits=interval.high,
                    )
                    yield from (difference, difference.mirrored())

    def _scored(self, blank: MetricsRow, counts: IntArray, probabilities: FloatArray) -> ScoredDomain:
        is_labeled = counts.sum(axis=1) > 0
        counts, probabilities = counts[is_labeled], probabilities[is_labeled]
        row = replace(blank, n_prompts=len(counts), n_samples=int(counts.sum()))
        if len(counts):
            ceiling = self._ceiling(row, counts)
            interval = reduction_interval(counts, probabilities, n_draws=self._n_bootstrap, seed=self._seed)
            is_binary = counts.shape[1] == 2  # noqa: PLR2004 - no and yes
            row = _with(
                row,
                base_rate=_base_rate(counts) if is_binary else None,
                entropy_bits=label_entropy_bits(counts),
                cross_entropy_bits=cross_entropy_bits(counts, probabilities),
                auroc=auroc(counts, probabilities) if is_binary else None,
                auprc=auprc(counts, probabilities) if is_binary else None,
                brier=brier(counts, probabilities),
                ece=ece(counts, probabilities),
                refinement_bits=refinement_bits(counts, probabilities),
                **_interval_fields(reduction_bits(counts, probabilities), interval, ceiling),
            )
        return ScoredDomain(counts=counts, probabilities=probabilities, row=row)

    def _ceiling(self, row: MetricsRow, counts: IntArray) -> Ceiling | None:
        key = (row.behavior, row.split, row.domain)
        if key not in self._ceilings:
            self._ceilings[key] = noise_ceiling(counts, is_deterministic=self._is_deterministic)
        return self._ceilings[key]

    def _mean(self, blank: MetricsRow, scored: Sequence[ScoredDomain]) -> MetricsRow:
        """Return the mean over domains: each domain counts once, whatever its number of prompts.

        A figure that is undefined in some domains is the mean over the others. The ceiling's interval is the mean of
        the domains' interval ends, which is at least as wide as an interval of the mean.
        """
        present = [one for one in scored if one.row.n_prompts]
        row = replace(
            blank,
            n_prompts=sum(one.row.n_prompts for one in present),
            n_samples=sum(one.row.n_samples for one in present),
        )
        if not present:
            return row
        interval = macro_reduction_interval(
            [(one.counts, one.probabilities) for one in present], n_draws=self._n_bootstrap, seed=self._seed
        )
        ceilings = [self._ceiling(one.row, one.counts) for one in present]
        known = [ceiling for ceiling in ceilings if ceiling is not None]
        mean_ceiling = (
            Ceiling(
                low_bits=float(np.mean([one.low_bits for one in known])),
                bits=float(np.mean([one.bits for one in known])),
                high_bits=float(np.mean([one.high_bits for one in known])),
            )
            if len(known) == len(ceilings)
            else None
        )
        means = {
            name: _mean_of([getattr(one.row, name) for one in present])
            for name in (
                "base_rate",
                "entropy_bits",
                "cross_entropy_bits",
                "auroc",
                "auprc",
                "brier",
                "ece",
                "refinement_bits",
            )
        }
        reduction = _mean_of([one.row.reduction_bits for one in present])
        return _with(row, **means, **_interval_fields(reduction, interval, mean_ceiling))


def undefined_cells(rows: Sequence[MetricsRow]) -> list[str]:
    """Say in words which figures are null and why.

    Metamodels share their labels, so each cell is named once.
    """
    one_class: dict[tuple[str, str], set[str]] = {}
    empty: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row.domain is None:
            continue
        key = (row.primary, row.behavior)
        if row.n_prompts == 0:
            empty.setdefault(key, set()).add(row.domain)
        elif row.base_rate in (0.0, 1.0):
            one_class.setdefault(key, set()).add(row.domain)
    notes = [
        f"{behavior} of {primary} has no label in {', '.join(sorted(domains))}: every figure there is null"
        for (primary, behavior), domains in empty.items()
    ]
    notes += [
        f"{behavior} of {primary} has one class in {', '.join(sorted(domains))} (in at least one split): "
        "AUROC and AUPRC are null there, the ceiling's estimate is 0 and no share of it can be stated"
        for (primary, behavior), domains in one_class.items()
    ]
    return notes


def _with(row: MetricsRow, **numbers: float | None) -> MetricsRow:
    """Return the row with numbers filled in."""
    return MetricsRow.from_dict({**row.to_dict(), **numbers})


def _base_rate(counts: IntArray) -> float:
    return float((counts[:, 1] / counts.sum(axis=1)).mean())


def _mean_of(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def _interval_fields(
    reduction: float | None, interval: Interval | None, ceiling: Ceiling | None
) -> dict[str, float | None]:
    """Return the fields of the bits gained, of their interval and of the ceiling."""
    fields: dict[str, float | None] = {"reduction_bits": reduction}
    if interval is not None:
        fields |= {"reduction_low_bits": interval.low, "reduction_high_bits": interval.high}
    if ceiling is not None:
        fields |= {
            "ceiling_low_bits": ceiling.low_bits,
            "ceiling_bits": ceiling.bits,
            "ceiling_high_bits": ceiling.high_bits,
        }
        if reduction is not None and ceiling.bits >= LEAST_CEILING_BITS:
            fields["explained"] = reduction / ceiling.bits
    return fields
