"""How metamodels that were trained on an original fare on the labels of models derived from it.

Shapes: n = prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.dataset import PrimaryDataset, read_datasets
from metamodel.metric_rows import SPLITS
from metamodel.perturbations.changes import PairedLabels, bits_change
from metamodel.perturbations.lineage import Derived
from metamodel.perturbations.rows import PredictionChange
from metamodel.train import fitted_across_primaries

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import IntArray

_Mask: TypeAlias = NDArray[np.bool_]


class StoredPredictions:
    """Stored predictions of the metamodels, and the labels of all primary models."""

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        """Read the predictions, but those of metamodels that were trained on derived models, too."""
        self._n_draws, self._seed = config.evaluation.n_bootstrap, config.seed
        self._datasets = read_datasets(run, config)
        across = fitted_across_primaries(config)
        table: pd.DataFrame = run.read("predictions").to_pandas()
        self._table = table[~table["metamodel"].str.split("+").str[0].isin(across)]
        first = next(iter(self._datasets.values()))
        self._row_of = {prompt_id: row for row, prompt_id in enumerate(first.prompt_ids)}

    def changes(self, one: Derived) -> Iterator[PredictionChange]:
        """Yield the changes of every metamodel and behavior, on each split."""
        native, mine = (self._table[self._table["primary"] == name] for name in one.derived_and_original)
        for (split, metamodel, behavior), group in mine.groupby(["split", "metamodel", "behavior"], sort=True):
            same = native[
                (native["split"] == split) & (native["metamodel"] == metamodel) & (native["behavior"] == behavior)
            ]
            found = self._change(one, group, str(behavior))
            if found is None:
                continue
            own = self._change(replace(one, original=one.name), same, str(behavior)) if len(same) else None
            yield replace(
                found,
                metamodel=str(metamodel),
                split=next(known for known in SPLITS if known == split),
                native_bits=None if own is None else own.original_bits,
            )

    def _change(self, one: Derived, predictions: pd.DataFrame, behavior: str) -> PredictionChange | None:
        pairs = self._pairs(one, predictions, behavior)
        is_pooled = (predictions["split"] == "in_distribution").all()
        domains = np.array(predictions["domain"].tolist())
        kept = (pairs.original.sum(axis=1) > 0) & (pairs.derived.sum(axis=1) > 0)
        strata = [kept] if is_pooled else [kept & (domains == domain) for domain in sorted(set(domains.tolist()))]
        found = bits_change(
            [_taken(pairs, stratum) for stratum in strata if stratum.any()], n_draws=self._n_draws, seed=self._seed
        )
        if found is None:
            return None
        return PredictionChange(
            derived=one.name,
            original=one.original,
            kind=one.kind,
            label=one.label,
            metamodel="",
            behavior=behavior,
            split="in_distribution",
            n_prompts=int(kept.sum()),
            original_bits=found.original_bits.value,
            derived_bits=found.derived_bits.value,
            derived_low_bits=found.derived_bits.low,
            derived_high_bits=found.derived_bits.high,
            change_bits=found.change_bits.value,
            low_bits=found.change_bits.low,
            high_bits=found.change_bits.high,
            cross_entropy_change_bits=found.cross_entropy_change_bits.value,
            cross_entropy_low_bits=found.cross_entropy_change_bits.low,
            cross_entropy_high_bits=found.cross_entropy_change_bits.high,
            native_bits=None,
            p=found.p,
            verdict="never held" if found.original_bits.low <= 0 else "no change shown",
        )

    def _pairs(self, one: Derived, predictions: pd.DataFrame, behavior: str) -> PairedLabels:
        rows = np.array([self._row_of[prompt_id] for prompt_id in predictions["prompt_id"]], dtype=np.int64)
        return PairedLabels(
            original=_counts(self._datasets[one.original], behavior)[rows],
            derived=_counts(self._datasets[one.name], behavior)[rows],
            probabilities=np.stack(predictions["probabilities"].tolist()),
        )


def _counts(dataset: PrimaryDataset, behavior: str) -> IntArray:
    return dataset.prompts.labels[behavior].counts


def _taken(pairs: PairedLabels, rows: _Mask) -> PairedLabels:
    return PairedLabels(
        original=pairs.original[rows], derived=pairs.derived[rows], probabilities=pairs.probabilities[rows]
    )
