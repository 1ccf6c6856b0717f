"""Predictions of many metamodels on the same prompts, laid out on disk behavior by behavior.

Runs store predictions primary model by primary model, scores are computed behavior by behavior over all of them: each
shard is read once and its rows are put where they belong.

Shapes: s = sources of one metamodel, m = judged prompts of a block, c = outcomes of a behavior, r = rows of a shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.errors import DataError, RunError
from metamodel.information import PROBABILITY_FLOOR
from metamodel.labels import LabelSpace
from metamodel.transfer.blocks import Block
from metamodel.transfer.opening import OpenedRun, Source
from metamodel.transfer.predicting import predicted_logs
from metamodel.transfer.reach import Reach, reach_of
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.console import OnProgress

_SUM_TOLERANCE: Final = 1e-5
_COLUMNS: Final = ("metamodel", "behavior", "primary", "split", "prompt_id", "probabilities")


class Spool:
    """log2 probabilities of every source on every block's prompts, one file a block, metamodel and behavior."""

    def __init__(
        self, folder: Path, blocks: Sequence[Block], sources: Sequence[Source], spaces: Mapping[str, LabelSpace]
    ) -> None:
        """Lay out empty files below a folder that exists.

        Args:
            folder: Where the files go.
            blocks: Judged prompts.
            sources: Who predicts; those of one metamodel share files.
            spaces: Label space of each behavior.
        """
        self.blocks = tuple(blocks)
        self.spaces = dict(spaces)
        self.metamodels = list(dict.fromkeys(source.metamodel for source in sources))
        self.sources = {name: [one for one in sources if one.metamodel == name] for name in self.metamodels}
        self._reaches: dict[tuple[str, int], Reach] = {}
        self._folder = folder
        for block_number, block in enumerate(self.blocks):
            for metamodel in self.metamodels:
                for behavior, space in self.spaces.items():
                    shape = (len(self.sources[metamodel]), len(block), len(space.outcomes))
                    path = self._path(block_number, metamodel, behavior)
                    np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)

    def reach(self, opened: OpenedRun, block_number: int) -> Reach:
        """Return what a run's metamodels can predict of a block."""
        key = (opened.name, block_number)
        if key not in self._reaches:
            self._reaches[key] = reach_of(opened, self.blocks[block_number])
        return self._reaches[key]

    def read(self, block_number: int, metamodel: str, behavior: str, start: int, stop: int) -> FloatArray:
        """Return log2 probabilities of prompts start to stop, [s, stop - start, c], which a copy in memory holds."""
        mapped = np.load(self._path(block_number, metamodel, behavior), mmap_mode="r")
        return np.array(mapped[:, start:stop])

    def write(self, place: tuple[int, str, str], position: int, rows: IntArray, logs: FloatArray) -> None:
        """Put one source's log2 probabilities, [., c], at the given rows of a block.

        Args:
            place: Number of the block, metamodel, behavior.
            position: Number of the source among those of the metamodel.
            rows: Rows of the block.
            logs: log2 probabilities.
        """
        mapped = np.load(self._path(*place), mmap_mode="r+")
        mapped[position, rows] = logs

    def _path(self, block_number: int, metamodel: str, behavior: str) -> Path:
        # Names are the config's and may hold what a file system does not take.
        return (
            self._folder / f"{block_number}-{self.metamodels.index(metamodel)}-{list(self.spaces).index(behavior)}.npy"
        )


def fill(spool: Spool, *, cache: Path, on_progress: OnProgress | None = None) -> None:
    """Bring in all stored predictions, then let saved fits predict what is not stored.

    Args:
        spool: Where they go.
        cache: Folder that keeps what was predicted, so that it is not predicted again.
        on_progress: Told which run is read, and which fit predicts.

    Raises:
        RunError: A run lacks predictions that its config plans.
        DataError: A stored prediction is no distribution over the behavior's outcomes.
    """
    runs = list({id(one.opened): one.opened for group in spool.sources.values() for one in group}.values())
    n_shards = sum(len(opened.run.shards("predictions")) for opened in runs)
    done = 0
    for opened in runs:
        n_found: dict[tuple[int, str, str], int] = {}
        for shard in opened.run.shards("predictions"):
            if on_progress:
                on_progress(f"predictions of {opened.name}", done, n_shards)
            _take_in(spool, opened, opened.run.read_shard("predictions", shard, _COLUMNS), n_found)
            done += 1
        _refuse_gaps(spool, opened, n_found)
    for opened in runs:
        _predict(spool, opened, cache, on_progress)


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """Rows of a shard that belong to one metamodel, behavior, primary model and split."""

    metamodel: str
    behavior: str
    primary: str
    split: str
    rows: IntArray


def _take_in(spool: Spool, opened: OpenedRun, table: pa.Table, n_found: dict[tuple[int, str, str], int]) -> None:
    """Put a shard's predictions where they belong, and count them by block, metamodel and primary model."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.combine_chunks()
    if not table.num_rows:
        return
    segments = list(_segments(table))
    lists = table["probabilities"].combine_chunks()
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    positions = {
        (metamodel, one.primary): place
        for metamodel, group in spool.sources.items()
        for place, one in enumerate(group)
        if one.opened is opened
    }
    for number, block in enumerate(spool.blocks):
        stored = spool.reach(opened, number).stored
        if not len(stored):
            continue
        known = pa.array([block.ids[row] for row in stored], type=pa.string())
        found = pc.index_in(table["prompt_id"], value_set=known)
        place_of = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        for segment in segments:
            position = positions.get((segment.metamodel, segment.primary))
            if position is None or segment.split != block.split or segment.behavior not in spool.spaces:
                continue
            mine = segment.rows[place_of[segment.rows] >= 0]
            c = len(spool.spaces[segment.behavior].outcomes)
            if (np.diff(offsets)[mine] != c).any():
                raise DataError(f"{opened.run.path}: a prediction of {segment.behavior} has not {c} outcomes")
            probabilities = values[offsets[mine][:, None] + np.arange(c)]
            logs = _checked_logs(probabilities, opened, segment.behavior)
            spool.write((number, segment.metamodel, segment.behavior), position, stored[place_of[mine]], logs)
            key = (number, segment.metamodel, segment.primary)
            n_found[key] = n_found.get(key, 0) + len(np.unique(place_of[mine]))


def _segments(table: pa.Table) -> Iterator[_Segment]:
    names = ("metamodel", "behavior", "primary", "split")
    encoded = [table[name].combine_chunks().dictionary_encode() for name in names]
    combined = np.zeros(table.num_rows, dtype=np.int64)
    for column in encoded:
        combined = combined * len(column.dictionary) + column.indices.to_numpy()
    order = np.argsort(combined, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(combined[order])) + 1):
        words = {name: column[int(rows[0])].as_py() for name, column in zip(names, encoded, strict=True)}
        yield _Segment(rows=rows, **words)


def _checked_logs(probabilities: FloatArray, opened: OpenedRun, behavior: str) -> FloatArray:
    is_sound = (probabilities >= 0).all() and (np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE).all()
    if not is_sound:
        raise DataError(
            f"{opened.run.path}: a prediction of {behavior} is no distribution (below 0, or its sum is not 1): "
            "run `metamodel evaluate` again"
        )
    logs: FloatArray = np.log2(np.maximum(probabilities, PROBABILITY_FLOOR))
    return logs


def _refuse_gaps(spool: Spool, opened: OpenedRun, n_found: Mapping[tuple[int, str, str], int]) -> None:
    for number, block in enumerate(spool.blocks):
        wanted = len(spool.reach(opened, number).stored) * len(spool.spaces)
        for metamodel, group in spool.sources.items():
            for one in group:
                found = n_found.get((number, metamodel, one.primary), 0)
                if one.opened is opened and found != wanted:
                    raise RunError(
                        f"{opened.run.path} has {found} of {wanted} predictions of {metamodel} for {one.primary}, "
                        f"{block.split}: run `metamodel evaluate` with its config again"
                    )


def _predict(spool: Spool, opened: OpenedRun, cache: Path, on_progress: OnProgress | None) -> None:
    """Let a run's saved fits predict the prompts of others."""
    mine = [
        (metamodel, place, one)
        for metamodel, group in spool.sources.items()
        for place, one in enumerate(group)
        if one.opened is opened
    ]
    for number, block in enumerate(spool.blocks):
        for foreign in spool.reach(opened, number).foreign:
            for step, (metamodel, place, one) in enumerate(mine):
                if on_progress:
                    on_progress(f"{metamodel} of {one.name} predicts {len(foreign.rows)} new prompts", step, len(mine))
                logs = predicted_logs(one, foreign, block, spool.spaces, cache=cache)
                for behavior, values in logs.items():
                    spool.write((number, metamodel, behavior), place, foreign.rows, values)
