"""What a trial is worth: bits gained on domains that its fits left out.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metamodel.dataset import PrimaryDataset, joined_dataset
from metamodel.feature_cache import stored_under
from metamodel.information import reduction_bits
from metamodel.labels import task_name
from metamodel.protocols import FitContext, Trainer, TrainsAcrossPrimaries
from metamodel.splits import Fold
from metamodel.tune.domains import TuningDomains
from metamodel.types import IntArray, Predictions


class Cell(NamedTuple):
    """Where bits are gained."""

    primary: str
    behavior: str
    domain: str


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Judges a trainer on the folds.

    Attributes:
        domains: What may be read.
        seed: Seed of every fit.
        feature_folder: Where features are stored once for all trials; None stores none.
    """

    domains: TuningDomains
    seed: int
    feature_folder: Path | None = None

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.domains.folds)

    def reductions(self, trainer: Trainer, position: int) -> dict[Cell, float]:
        """Return the bits gained on each domain that a fold leaves out, for every primary model and behavior.

        Args:
            trainer: Fitted on the fold's training prompts.
            position: Number of the fold.

        Returns:
            H(F) less the cross-entropy of each cell with a label.
        """
        fold, datasets = self.domains.folds[position], self.domains.datasets
        if isinstance(trainer, TrainsAcrossPrimaries) and trainer.across_primaries:
            predicted = self._predicted(trainer, joined_dataset(datasets), fold)
            by_primary = {
                primary: {name: predicted[task_name(primary, name)] for name in dataset.prompts.labels}
                for primary, dataset in datasets.items()
            }
        else:
            by_primary = {primary: self._predicted(trainer, dataset, fold) for primary, dataset in datasets.items()}
        cells: dict[Cell, float] = {}
        for primary, predictions in by_primary.items():
            cells |= _reductions(datasets[primary], fold.test, predictions)
        return cells

    def _predicted(self, trainer: Trainer, dataset: PrimaryDataset, fold: Fold) -> Predictions:
        from threadpoolctl import threadpool_limits

        prompts = dataset.prompts
        context = FitContext(seed=self.seed, name=f"tune-{fold.name}", expects_shift=True)
        # As in the stage train: small fits are faster on one thread, and give the same bits on every machine.
        with threadpool_limits(limits=1), stored_under(self.feature_folder):
            fitted = trainer.fit(prompts.take(fold.train), prompts.take(fold.validation), context=context)
            judged = prompts.take(fold.test)
            return fitted.predict(judged.texts, domains=judged.domains)


def mean_bits(cells: Mapping[Cell, float]) -> float:
    """Return the mean over primary models, behaviors and domains, each cell counted once."""
    return float(np.mean(list(cells.values()))) if cells else float("nan")


def _reductions(dataset: PrimaryDataset, rows: IntArray, predictions: Predictions) -> dict[Cell, float]:
    domains = np.array([dataset.prompts.domains[row] for row in rows])
    cells = {}
    for behavior, table in dataset.prompts.labels.items():
        counts = table.counts[rows]
        for domain in sorted(set(domains.tolist())):
            mine = domains == domain
            bits = reduction_bits(counts[mine], predictions[behavior][mine])
            if bits is not None:
                cells[Cell(primary=dataset.primary, behavior=behavior, domain=domain)] = bits
    return cells
