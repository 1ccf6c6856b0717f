"""Read a run's predictions back as cells: one behavior of one primary model by each metamodel.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metamodel.dataset import PrimaryDataset
from metamodel.discovery.residuals import Cell
from metamodel.errors import DataError, RunError
from metamodel.metric_rows import Split
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.store.run_directory import RunDirectory

_NAMES = ("metamodel", "behavior", "split")


class StoredPredictions:
    """One primary model's predictions."""

    def __init__(self, run: RunDirectory, dataset: PrimaryDataset) -> None:
        """Read them.

        Raises:
            RunError: There are none.
        """
        import pandas as pd

        columns = [*_NAMES, "prompt_id", "probabilities"]
        self._table = run.read("predictions", columns=columns, shard_names=[dataset.primary]).combine_chunks()
        if not self._table.num_rows:
            raise RunError(f"{run.path} has no predictions of {dataset.primary}: run `metamodel evaluate` first")
        self._dataset = dataset
        self._row_of = pd.Index(dataset.prompt_ids)
        self._codes = {name: _coded(self._table[name]) for name in _NAMES}

    def cell(self, metamodel: str, behavior: str, split: Split) -> Cell | None:
        """Return what a metamodel predicted of a behavior, in the order of the prompts; None if it did not.

        Raises:
            DataError: What it predicted is not a distribution over the behavior's outcomes.
        """
        mine = np.ones(self._table.num_rows, dtype=bool)
        for name, value in zip(_NAMES, (metamodel, behavior, split), strict=True):
            numbers, codes = self._codes[name]
            mine &= codes == numbers.get(value, -1)
        if not mine.any():
            return None
        taken = self._table.filter(mine)
        rows = self._row_of.get_indexer(taken["prompt_id"].to_pandas())
        labels = self._dataset.prompts.labels[behavior]
        probabilities = _matrix(taken["probabilities"], len(labels.space.outcomes), metamodel, behavior)
        order = np.argsort(rows, kind="stable")
        # A prompt that is gone since has no labels; one labeled again keeps its place.
        order = order[(rows[order] >= 0) & (labels.counts[rows[order]].sum(axis=1) > 0)]
        return Cell(
            primary=self._dataset.primary,
            behavior=behavior,
            split=split,
            metamodel=metamodel,
            space=labels.space,
            rows=rows[order].astype(np.int64),
            counts=labels.counts[rows[order]],
            probabilities=probabilities[order],
        )


def usable_cells(found: Sequence[Cell | None]) -> dict[str, Cell]:
    """Return, by metamodel, the cells that judge the same prompts as the first one.

    Raises:
        ValueError: There is no first one.
    """
    first = found[0]
    if first is None:
        raise ValueError("the first cell must be there")
    return {one.metamodel: one for one in found if one is not None and np.array_equal(one.rows, first.rows)}


def _coded(column: pa.ChunkedArray) -> tuple[dict[str, int], NDArray[np.int32]]:
    encoded = column.combine_chunks().dictionary_encode()
    numbers = {value: number for number, value in enumerate(encoded.dictionary.to_pylist())}
    return numbers, encoded.indices.to_numpy()


def _matrix(column: pa.ChunkedArray, n_outcomes: int, metamodel: str, behavior: str) -> FloatArray:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    lengths = column.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    where = f"predictions of {behavior} by {metamodel}"
    if not (lengths == n_outcomes).all():
        raise DataError(f"{where} do not have {n_outcomes} outcomes each: run `metamodel evaluate` again")
    matrix: FloatArray = flat.reshape(-1, n_outcomes)
    if not np.isfinite(matrix).all() or (matrix < 0).any() or (np.abs(matrix.sum(axis=1) - 1) > 1e-5).any():  # noqa: PLR2004 - as `metamodel.information`
        raise DataError(f"{where} are no probabilities that sum to 1: run `metamodel evaluate` again")
    return matrix
