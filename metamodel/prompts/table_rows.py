"""Rows of JSONL, CSV and Parquet files, streamed, each with where it stands so that errors can say so."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, TypeAlias

from metamodel.errors import DataError

# Where a row stands ("prompts.jsonl, line 3") and its values by column.
Row: TypeAlias = tuple[str, Mapping[str, object]]

ROWS_PER_BATCH = 1024
SHOWN_CHARACTERS = 60


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a table, by the suffix of its path.

    Args:
        path: Local path or fsspec URL that ends in .jsonl, .csv or .parquet.

    Raises:
        DataError: The file is missing, of another format, cannot be read, or a line of it cannot; the line is named.
    """
    import fsspec

    reader = _reader(path)
    try:
        opened = fsspec.open(path, "rb")
    # An unknown scheme, or one whose package is not installed; fsspec's message says which.
    except (ValueError, ImportError) as error:
        raise DataError(f"prompt file {path} cannot be opened: {error}") from error
    try:
        with opened as handle:
            yield from reader(handle, path)
    except FileNotFoundError as error:
        raise DataError(f"prompt file {path} does not exist: check the path") from error
    except OSError as error:
        raise DataError(f"prompt file {path} cannot be read: {error}") from error


def check_suffix(path: str) -> str | None:
    """Say what is wrong with a path's suffix, or return None."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _READERS:
        return None
    return f"path is {path!r}, its suffix is {suffix!r}, must be one of {', '.join(_READERS)}"


def _reader(path: str) -> Callable[[IO[bytes], str], Iterator[Row]]:
    problem = check_suffix(path)
    if problem:
        raise DataError(problem)
    return _READERS[PurePosixPath(path).suffix.lower()]


def _decoded_lines(handle: IO[bytes], path: str) -> Iterator[str]:
    """Yield lines with their ends; a byte order mark, as spreadsheets write it, is dropped."""
    for number, line in enumerate(handle, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not UTF-8 (byte {error.object[error.start]:#04x}): save the file as UTF-8"
            ) from error


def _jsonl_rows(handle: IO[bytes], path: str) -> Iterator[Row]:
    for number, line in enumerate(_decoded_lines(handle, path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        # Too deep a nesting is no ValueError, yet as much the file's fault.
        except (ValueError, RecursionError) as error:
            shown = line.strip()[:SHOWN_CHARACTERS]
            raise DataError(f"{where}: not JSON ({error}): {shown!r}; each line must be one JSON object") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: a JSON {type(row).__name__}, must be an object with a key a column")
        yield where, row


def _csv_rows(handle: IO[bytes], path: str) -> Iterator[Row]:
    reader = csv.reader(_decoded_lines(handle, path), strict=True)
    try:
        header = next(reader, [])
        _refuse_repeated_columns(header, path)
        first_line = reader.line_num + 1
        for fields in reader:
            where = f"{path}, line {first_line}"
            first_line = reader.line_num + 1
            if not fields:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"{where}: {len(fields)} fields, the header has {len(header)} ({', '.join(header)}): "
                    "put fields that hold commas or line breaks in double quotes"
                )
            # CSV has no null: an empty field is one.
            yield where, {name: field or None for name, field in zip(header, fields, strict=True)}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _parquet_rows(handle: IO[bytes], path: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_rows = 0
    try:
        for batch in pq.ParquetFile(handle).iter_batches(batch_size=ROWS_PER_BATCH):
            for row in batch.to_pylist():
                n_rows += 1
                yield f"{path}, row {n_rows}", row
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable Parquet file after row {n_rows} ({error})") from error


def _refuse_repeated_columns(header: Sequence[str], path: str) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{path}, line 1: columns occur twice: {', '.join(map(repr, repeated))}; rename one")


_READERS: dict[str, Callable[[IO[bytes], str], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
