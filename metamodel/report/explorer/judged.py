"""What was predicted of a run's prompts, from the stored tables.

Shapes: n = prompts of the run, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.information import prompt_cross_entropies_bits
from metamodel.labels import LabelTable
from metamodel.metric_rows import SPLITS, MetricsRow, Split, best_row, mean_rows, names, select
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.dataset import PrimaryDataset
    from metamodel.store.run_directory import RunDirectory

# A prompt judged on both kinds of split is shown as judged on the domain that was left out.
_PREFERRED: Final[tuple[Split, ...]] = SPLITS


@dataclass(frozen=True, kw_only=True)
class PromptPredictions:
    """What one metamodel predicted of one behavior, and what it lost.

    Attributes:
        rows: Numbers of the prompts in the dataset, [m].
        splits: Number in `SPLITS` of the split that each was judged on, [m].
        probabilities: Outcome probabilities, [m, c].
        bits: Mean of -log2 of the probability given to what came, NaN without a label, [m].
    """

    rows: IntArray
    splits: IntArray
    probabilities: FloatArray
    bits: FloatArray


class StoredPredictions:
    """One primary model's stored predictions, read once and taken apart by metamodel and behavior."""

    def __init__(self, run: RunDirectory, dataset: PrimaryDataset) -> None:
        """Read the table.

        Args:
            run: An evaluated run.
            dataset: The primary model's labeled prompts.
        """
        import pandas as pd

        self._dataset = dataset
        self._table: pa.Table = run.read(
            "predictions",
            columns=["metamodel", "behavior", "split", "prompt_id", "probabilities"],
            shard_names=[dataset.primary],
        )
        self._row_of = pd.Index(dataset.prompt_ids)
        names_only = self._table.select(["metamodel", "behavior"]).to_pandas()
        self._places: Mapping[tuple[str, str], IntArray] = names_only.groupby(["metamodel", "behavior"]).indices

    def pairs(self) -> list[tuple[str, str]]:
        """Return every metamodel and behavior that has predictions."""
        return list(self._places)

    def of(self, metamodel: str, behavior: str, wanted: IntArray | None = None) -> PromptPredictions | None:
        """Return the predictions of one behavior, each prompt once; None where there are none.

        Args:
            metamodel: Who predicted.
            behavior: What.
            wanted: Numbers of the prompts that are asked for; None takes all.
        """
        places = self._places.get((metamodel, behavior))
        labels = self._dataset.prompts.labels.get(behavior)
        if places is None or labels is None:
            return None
        rows = np.asarray(self._row_of.get_indexer(self._table["prompt_id"].take(places).to_pylist()), dtype=np.int64)
        split_names = self._table["split"].take(places).to_pylist()
        splits = np.array([_PREFERRED.index(name) for name in split_names], dtype=np.int64)
        order = np.lexsort((splits, rows))
        order = order[rows[order] >= 0]
        if wanted is not None:
            order = order[np.isin(rows[order], wanted)]
        order = order[np.append(True, np.diff(rows[order]) > 0)] if len(order) else order
        chosen = self._table["probabilities"].take(places[order]).combine_chunks()
        probabilities = chosen.flatten().to_numpy(zero_copy_only=False).reshape(len(order), -1)
        return PromptPredictions(
            rows=rows[order],
            splits=splits[order],
            probabilities=probabilities,
            bits=bits_lost(labels.take(rows[order]), probabilities),
        )


def bits_lost(labels: LabelTable, probabilities: FloatArray) -> FloatArray:
    """Return the mean of -log2 q(f given x) over each prompt's labels, NaN without any, [m]."""
    bits = np.full(len(probabilities), np.nan)
    is_labeled = labels.counts.sum(axis=1) > 0
    if is_labeled.any():
        bits[is_labeled] = prompt_cross_entropies_bits(labels.counts[is_labeled], probabilities[is_labeled])
    return bits


def ranked_metamodels(
    rows: Sequence[MetricsRow], *, primary: str, behavior: str, baselines: Sequence[str]
) -> list[str]:
    """Return the metamodels of a behavior, trained ones first, then by the bits that they gain on left-out domains.

    Without left-out domains the split within domains decides; who has no figure comes last.
    """
    mine = select(rows, primary=primary, behavior=behavior)
    known = names(mine, "metamodel")
    return sorted(known, key=lambda name: (name in baselines, -_gained(mine, name), name))


def _gained(rows: Sequence[MetricsRow], metamodel: str) -> float:
    for split in _PREFERRED:
        best = best_row(mean_rows(select(rows, metamodels=[metamodel], split=split)))
        if best is not None and best.reduction_bits is not None:
            return best.reduction_bits
    return -np.inf


def best_predictions(stored: StoredPredictions, best: Mapping[str, str]) -> Iterator[tuple[str, PromptPredictions]]:
    """Yield each behavior's predictions by its best metamodel.

    Args:
        stored: The predictions.
        best: Best metamodel of each behavior.
    """
    for behavior, metamodel in best.items():
        found = stored.of(metamodel, behavior)
        if found is not None:
            yield behavior, found
