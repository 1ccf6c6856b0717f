"""Columns of somebody's Arrow table as our columns, many rows at a time.

Whatever type a column has, what cannot be read as what it should be becomes null, and the index reports such rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import DataError
from metamodel.recorded.rows import to_json_object

if TYPE_CHECKING:
    import pyarrow as pa


def as_text(column: pa.ChunkedArray, where: str) -> pa.Array:
    """Return a column as texts; numbers and truth values are written out.

    Raises:
        DataError: It holds lists or objects.
    """
    import pyarrow as pa

    flat = _combined(column)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_nested(flat.type) or pa.types.is_binary(flat.type) or pa.types.is_large_binary(flat.type):
        raise DataError(f"{where} holds {flat.type}, must be text")
    return flat.cast(pa.string())


def as_texts(column: pa.ChunkedArray, where: str) -> pa.Array:
    """Return a column as lists of texts: a single value is a list of one, a null an empty list."""
    import pyarrow as pa

    flat = _combined(column)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type):
        if pa.types.is_nested(flat.type.value_type):
            raise DataError(f"{where} holds {flat.type}, must be text or a list of texts")
        values = flat.flatten().cast(pa.string()).fill_null("")
        lengths = np.asarray(flat.value_lengths().fill_null(0), dtype=np.int64)
    else:
        values = as_text(column, where)
        lengths = np.asarray(values.is_valid(), dtype=np.int64)
        values = values.drop_null()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def no_texts(n_rows: int) -> pa.Array:
    """Return n empty lists of texts."""
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array(np.zeros(n_rows + 1, dtype=np.int32)), pa.array([], pa.string()))


def as_type(column: pa.ChunkedArray, kind: pa.DataType, where: str) -> pa.Array:
    """Return a column as numbers or lists of numbers.

    Raises:
        DataError: It holds something else.
    """
    import pyarrow as pa

    try:
        return _combined(column).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{where} must hold {kind} ({str(error).splitlines()[0]})") from error


def json_objects(table: pa.Table, names: Sequence[str], also: dict[str, str] | None = None) -> pa.Array:
    """Return some columns of each row as a JSON object.

    Args:
        table: Any table.
        names: Its columns that go in.
        also: More columns that go in, under another key: key by column.
    """
    import pyarrow as pa

    keys = {name: name for name in names} | (also or {})
    if not keys:
        return pa.array(["{}"]).take(pa.array(np.zeros(len(table), dtype=np.int32)))
    parts = []
    for name, key in sorted(keys.items(), key=lambda pair: pair[1]):
        opening = f"{json.dumps(key)}: "
        parts.append([opening + value for value in _json_values(_combined(table[name]), name)])
    return pa.array(["{" + ", ".join(fields) + "}" for fields in zip(*parts, strict=True)], pa.string())


def _json_values(column: pa.Array, name: str) -> list[str]:
    """Return each value as JSON; values that recur are written once."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = column.to_pylist()
    if pa.types.is_boolean(column.type):
        return ["null" if value is None else "true" if value else "false" for value in values]
    if pa.types.is_integer(column.type):
        return ["null" if value is None else str(value) for value in values]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return ["null" if value is None else encode_basestring_ascii(value) for value in values]
    return [to_json_object({name: value})[len(json.dumps(name)) + 3 : -1] for value in values]


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    combined = column.combine_chunks()
    return combined if not isinstance(combined, pa.ChunkedArray) else pa.concat_arrays(combined.chunks)
