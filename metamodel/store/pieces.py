"""Cut a stream of tables into pieces of bounded rows and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# A shard holds at most so much (in memory, before compression).
SHARD_ROWS = 8192
SHARD_BYTES = 32 * 1024 * 1024


def bounded_tables(
    tables: Iterable[pa.Table], *, most_rows: int | None = None, most_bytes: int | None = None
) -> Iterator[pa.Table]:
    """Yield the same rows in the same order, in tables as large as the bounds allow (a row is never parted).

    Args:
        tables: Tables of one schema.
        most_rows: Most rows each; those of a shard where it is None.
        most_bytes: Most bytes each; those of a shard where it is None.

    >>> import pyarrow as pa
    >>> [part.num_rows for part in bounded_tables([pa.table({"x": range(5)}), pa.table({"x": [1]})], most_rows=4)]
    [4, 2]
    """
    import pyarrow as pa

    most_rows = SHARD_ROWS if most_rows is None else most_rows
    most_bytes = SHARD_BYTES if most_bytes is None else most_bytes
    held: list[pa.Table] = []
    n_rows = n_bytes = 0
    for table in tables:
        for piece in _cut(table, most_rows=most_rows, most_bytes=most_bytes):
            if held and (n_rows + piece.num_rows > most_rows or n_bytes + piece.nbytes > most_bytes):
                fits = most_rows - n_rows if n_bytes + piece.nbytes <= most_bytes else 0
                yield pa.concat_tables([*held, piece.slice(0, fits)])
                piece = piece.slice(fits)  # noqa: PLW2901 - the rest goes on
                held, n_rows, n_bytes = [], 0, 0
            held.append(piece)
            n_rows += piece.num_rows
            n_bytes += piece.nbytes
    if n_rows:
        yield pa.concat_tables(held)


def _cut(table: pa.Table, *, most_rows: int, most_bytes: int) -> Iterator[pa.Table]:
    """Yield slices; rows of very different sizes are cut by halves."""
    if table.num_rows > most_rows:
        for begin in range(0, table.num_rows, most_rows):
            yield from _cut(table.slice(begin, most_rows), most_rows=most_rows, most_bytes=most_bytes)
    elif table.num_rows > 1 and table.nbytes > most_bytes:
        half = table.num_rows // 2
        for part in (table.slice(0, half), table.slice(half)):
            yield from _cut(part, most_rows=most_rows, most_bytes=most_bytes)
    elif table.num_rows:
        yield table
