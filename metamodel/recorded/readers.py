"""What every format ends as: pieces of a table with the columns of `row_schema`, read as often as needed.

Parquet is read where it lies. Everything else is parsed once, into a temporary Parquet file that goes with the process.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from metamodel.errors import DataError
from metamodel.recorded.columns import ColumnMapping, ColumnSpec, known_finish_reason, map_columns
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.rows import ROWS_PER_PIECE, RecordedRow, row_schema, rows_to_table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Says of a range of rows whether any of it is needed.
IsWanted: TypeAlias = Callable[[int, int], bool]

_STREAM_BYTES = 1 << 20


class RowReader(Protocol):
    """A table in pieces; the same pieces each time."""

    def pieces(self, columns: Sequence[str], is_wanted: IsWanted | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows) with the given columns of `row_schema`; may pass over unwanted rows."""
        ...


class SpooledRows:
    """Rows of a format that is parsed once."""

    def __init__(self, rows: Iterable[RecordedRow]) -> None:
        """Read all rows into a temporary file."""
        import pyarrow.parquet as pq

        folder = tempfile.mkdtemp(prefix="metamodel-log-")
        # Goes with this object, at the latest with the process.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._path = Path(folder) / "rows.parquet"
        remaining = iter(rows)
        with pq.ParquetWriter(self._path, row_schema(), compression="zstd") as writer:
            while listed := list(islice(remaining, ROWS_PER_PIECE)):
                writer.write_table(rows_to_table(listed))

    def pieces(self, columns: Sequence[str], is_wanted: IsWanted | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows in pieces."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._path) as file:
            yield from _batches(file, columns, is_wanted, 0)


class ParquetRows:
    """Rows of Parquet files by column mapping, converted as they are read."""

    def __init__(
        self, files: Sequence[LogFile], columns: ColumnSpec, *, needed: Sequence[str], are_prompts: bool = False
    ) -> None:
        """Look at the columns of every file.

        Raises:
            DataError: A file is no Parquet, or lacks a column.
        """
        self._files = list(files)
        self._mappings: list[ColumnMapping] = []
        for file in self._files:
            with _parquet(file) as content:
                present = content.schema_arrow.names
                self._mappings.append(map_columns(columns, present, file.path, needed=needed, are_prompts=are_prompts))

    def pieces(self, columns: Sequence[str], is_wanted: IsWanted | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows in pieces."""
        first = 0
        for file, mapping in zip(self._files, self._mappings, strict=True):
            with _parquet(file) as content:
                for start, batch in _batches(content, _sources(mapping, columns), is_wanted, first):
                    yield start, converted(batch, mapping, columns, file, start - first)
                first += content.metadata.num_rows


@contextmanager
def _parquet(file: LogFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; whatever is wrong with it while it is open is a DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(file) as handle:
        try:
            # Without these two a file with one huge row group would be in memory as a whole.
            yield pq.ParquetFile(handle, pre_buffer=False, buffer_size=_STREAM_BYTES)
        except pa.ArrowException as error:
            raise DataError(f"{file.path} is not a readable Parquet file: {error}") from error


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], is_wanted: IsWanted | None, first: int
) -> Iterator[tuple[int, pa.Table]]:
    import pyarrow as pa

    for group in range(file.num_row_groups):
        n_rows = file.metadata.row_group(group).num_rows
        if is_wanted is None or is_wanted(first, first + n_rows):
            start = first
            for batch in file.iter_batches(batch_size=ROWS_PER_PIECE, row_groups=[group], columns=list(columns)):
                if is_wanted is None or is_wanted(start, start + batch.num_rows):
                    yield start, pa.Table.from_batches([batch])
                start += batch.num_rows
        first += n_rows


_FIELD_OF = {
    "item": "id",
    "domain": "domain",
    "text": "prompt",
    "references": "references",
    "choices": "choices",
    "model": "model",
    "sample": "sample",
    "output": "output",
    "finish_reason": "finish_reason",
    "n_tokens": "n_tokens",
    "token_ids": "token_ids",
    "logprobs": "logprobs",
}


def _sources(mapping: ColumnMapping, columns: Sequence[str]) -> list[str]:
    """Return the columns of the file that the wanted ones are made of."""
    sources = [mapping.named[field] for name in columns if (field := _FIELD_OF.get(name, "")) in mapping.named]
    if "attributes" in columns:
        sources += [*mapping.attributes, *([mapping.named["id"]] if "id" in mapping.named else [])]
    if "metadata" in columns:
        sources += [*mapping.metadata, *([mapping.named["finish_reason"]] if "finish_reason" in mapping.named else [])]
    # A batch of no column has no rows.
    return list(dict.fromkeys(sources)) or list(mapping.named.values())[:1]


def converted(batch: pa.Table, mapping: ColumnMapping, columns: Sequence[str], file: LogFile, first: int) -> pa.Table:
    """Return a batch of somebody's table with our columns."""
    import pyarrow as pa

    return pa.table({name: _column(name, batch, mapping, file, first) for name in columns})


def _column(name: str, batch: pa.Table, mapping: ColumnMapping, file: LogFile, first: int) -> pa.Array:
    import pyarrow as pa

    from metamodel.recorded.arrow_columns import json_objects

    if name == "place":
        return pa.array([f"{file.path}, row {row}" for row in range(first + 1, first + len(batch) + 1)], pa.string())
    if name == "attributes":
        own_id = {mapping.named["id"]: mapping.named["id"]} if "id" in mapping.named else {}
        return json_objects(batch, mapping.attributes, own_id)
    if name == "metadata":
        return json_objects(batch, mapping.metadata, _unknown_reasons(batch, mapping))
    source = mapping.named.get(_FIELD_OF.get(name, ""))
    return _absent(name, len(batch), file) if source is None else _present(name, batch[source], file, source)


def _absent(name: str, n_rows: int, file: LogFile) -> pa.Array:
    """Return a column that the table lacks: the file is one domain then, and one model's, each row a first sample."""
    import pyarrow as pa

    from metamodel.recorded.arrow_columns import no_texts

    if name in ("references", "choices"):
        return no_texts(n_rows)
    default = {"domain": file.stem, "model": file.stem, "sample": 0}.get(name)
    return pa.array([default], row_schema().field(name).type).take(pa.array([0] * n_rows, pa.int32()))


def _present(name: str, column: pa.ChunkedArray, file: LogFile, source: str) -> pa.Array:
    import pyarrow as pa

    from metamodel.recorded.arrow_columns import as_text, as_texts, as_type

    where = f"{file.path}, column {source!r}"
    kind = row_schema().field(name).type
    if name in ("references", "choices"):
        return as_texts(column, where)
    if name == "finish_reason":
        return pa.array([known_finish_reason(reason) for reason in as_text(column, where).to_pylist()], kind)
    return as_text(column, where) if kind == pa.string() else as_type(column, kind, where)


def _unknown_reasons(batch: pa.Table, mapping: ColumnMapping) -> dict[str, str]:
    """Keep the column of finish reasons in the metadata where it holds one that we have no word for."""
    source = mapping.named.get("finish_reason")
    if source is None or source not in batch.column_names:
        return {}
    values = batch[source].unique().to_pylist()
    unknown = any(value is not None and known_finish_reason(value) is None for value in values)
    return {source: source} if unknown else {}
