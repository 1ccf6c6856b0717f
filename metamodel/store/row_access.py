"""Rows of a table by their place, in any order, without holding the table.

Shapes: n = rows.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import TableName, schema_of
from metamodel.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

# Decoded shards kept at hand.
_HELD_SHARDS = 12
# With more visits to shards than this for each shard and piece, rows are sorted into pieces on disk first.
_VISITS_BEFORE_SORTING = 3


class Places(NamedTuple):
    """Where rows are.

    Attributes:
        shards: Number of each row's shard in the manifest, [n].
        rows: Number of the row in its shard, [n].
    """

    shards: NDArray[np.int32]
    rows: NDArray[np.int32]

    def take(self, chosen: IntArray | slice) -> Places:
        """Return the places of some of the rows."""
        return Places(self.shards[chosen], self.rows[chosen])


class RowAccess:
    """Reads rows of one table by place; the shards used last stay at hand."""

    def __init__(self, run: RunDirectory, table: TableName, columns: Sequence[str] | None = None) -> None:
        """Attach to the shards that the table has now."""
        self._run, self._table = run, table
        self._columns = list(columns if columns is not None else schema_of(table).names)
        self._shards = run.shards(table)
        self._held: OrderedDict[int, pa.Table] = OrderedDict()

    def take(self, places: Places) -> pa.Table:
        """Return the rows at the places, in their order."""
        import pyarrow as pa

        parts = [self._empty()]
        order = np.argsort(places.shards, kind="stable")
        for number in np.unique(places.shards):
            mine = order[np.searchsorted(places.shards[order], number) :]
            mine = mine[places.shards[mine] == number]
            parts.append(self._shard(int(number)).take(places.rows[mine]))
        together = pa.concat_tables(parts)
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return together.take(back)

    def pieces(self, places: Places, ends: Sequence[int]) -> Iterator[pa.Table]:
        """Yield the rows up to each end, in order; where they lie too scattered, they are first sorted on disk."""
        begins = [0, *ends[:-1]]
        piece_of = np.repeat(np.arange(len(ends), dtype=np.int64), np.diff([0, *ends]))
        n_visits = len(np.unique(piece_of * len(self._shards) + places.shards))
        if n_visits > _VISITS_BEFORE_SORTING * (len(self._shards) + len(ends)):
            yield from self._sorted_pieces(places, piece_of, len(ends))
            return
        for begin, end in zip(begins, ends, strict=True):
            yield self.take(places.take(slice(begin, end)))

    def _sorted_pieces(self, places: Places, piece_of: IntArray, n_pieces: int) -> Iterator[pa.Table]:
        """Read each shard once and deal its rows out to the pieces, then give the pieces one after another."""
        import pyarrow as pa

        batches: list[list[int]] = [[] for _ in range(n_pieces)]
        orders: list[list[IntArray]] = [[] for _ in range(n_pieces)]
        with tempfile.TemporaryDirectory(prefix="metamodel-") as scratch:
            path = Path(scratch) / "rows.arrow"
            n_batches = 0
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self._empty().schema) as writer:
                for number in np.unique(places.shards):
                    mine = np.flatnonzero(places.shards == number)  # in the order of the pieces
                    rows = self._shard(int(number)).take(places.rows[mine])
                    numbers, starts = np.unique(piece_of[mine], return_index=True)
                    for piece, begin, end in zip(numbers, starts, [*starts[1:], len(mine)], strict=True):
                        (batch,) = rows.slice(begin, end - begin).combine_chunks().to_batches()
                        writer.write_batch(batch)
                        batches[piece].append(n_batches)
                        orders[piece].append(mine[begin:end])
                        n_batches += 1
            self._held.clear()
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
                for piece in range(n_pieces):
                    together = pa.Table.from_batches([reader.get_batch(number) for number in batches[piece]])
                    yield together.take(np.argsort(np.concatenate(orders[piece]), kind="stable"))

    def _shard(self, number: int) -> pa.Table:
        table = self._held.pop(number, None)
        if table is None:
            table = self._run.read_shard(self._table, self._shards[number], self._columns)
        self._held[number] = table
        while len(self._held) > _HELD_SHARDS:
            self._held.popitem(last=False)
        return table

    def _empty(self) -> pa.Table:
        import pyarrow as pa

        schema = schema_of(self._table)
        return pa.schema([schema.field(name) for name in self._columns]).empty_table()
