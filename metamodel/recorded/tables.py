"""JSONL and CSV by column mapping."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TypeAlias

from metamodel.errors import DataError
from metamodel.recorded.base import BadRowError, id_of, optional_text, text_of, texts_of
from metamodel.recorded.columns import ColumnMapping, ColumnSpec, known_finish_reason, map_columns
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import json_lines
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow

SUFFIXES = (".jsonl", ".csv")
_MOST_CSV_FIELD = 64 * 1024 * 1024

_Raw: TypeAlias = tuple[str, Mapping[str, object]]


def table_rows(files: Sequence[LogFile], problems: Problems, columns: ColumnSpec) -> Iterator[RecordedRow]:
    """Yield the rows of tables; one that cannot be read goes to `problems`.

    Raises:
        DataError: A file has no header or lacks a column.
    """
    for file in files:
        mapping: ColumnMapping | None = None
        for place, raw in _raw_rows(file, problems):
            # JSON lines may leave keys out, so that only the first line can lack a column.
            mapping = mapping or map_columns(columns, list(raw), place, needed=("prompt",))
            try:
                yield _row(place, raw, mapping, file)
            except BadRowError as problem:
                problems.add(f"{place}: {problem}")


def _row(place: str, raw: Mapping[str, object], mapping: ColumnMapping, file: LogFile) -> RecordedRow:
    named = mapping.named
    values = {field: raw.get(column) for field, column in named.items()}
    known = {*named.values(), *mapping.attributes}
    metadata = {key: value for key, value in raw.items() if key not in known}
    reason = values.get("finish_reason")
    if reason is not None and known_finish_reason(reason) is None:
        metadata[named["finish_reason"]] = reason
    attributes = {name: raw.get(name) for name in mapping.attributes}
    if "id" in named:
        attributes[named["id"]] = values["id"]
    return RecordedRow(
        place=place,
        item=id_of(values.get("id")),
        domain=text_of(raw, named["domain"]) if "domain" in named else file.stem,
        text=text_of(raw, named["prompt"]),
        references=texts_of(values.get("references"), named.get("references", "")),
        choices=texts_of(values.get("choices"), named.get("choices", "")),
        attributes=attributes,
        model=text_of(raw, named["model"]) if "model" in named else file.stem,
        sample=_whole(values["sample"], named["sample"]) if "sample" in named else 0,
        output=optional_text(raw, named["output"]) if "output" in named else None,
        finish_reason=known_finish_reason(reason),
        n_tokens=_optional_whole(values.get("n_tokens"), named.get("n_tokens", "")),
        token_ids=_wholes(values.get("token_ids"), named.get("token_ids", "")),
        logprobs=_numbers(values.get("logprobs"), named.get("logprobs", "")),
        metadata=metadata,
    )


def _raw_rows(file: LogFile, problems: Problems) -> Iterator[_Raw]:
    with opened(file) as handle:
        yield from (_csv_rows if file.suffix == ".csv" else _jsonl_rows)(handle, file, problems)


def _jsonl_rows(handle: IO[bytes], file: LogFile, problems: Problems) -> Iterator[_Raw]:
    for number, value, problem in json_lines(handle, file.path):
        place = f"{file.path}, line {number}"
        if isinstance(value, dict):
            yield place, value
        else:
            problems.add(f"{place}: {problem or f'a JSON {type(value).__name__}, must be an object'}")


def _csv_rows(handle: IO[bytes], file: LogFile, problems: Problems) -> Iterator[_Raw]:
    csv.field_size_limit(_MOST_CSV_FIELD)  # outputs are longer than the module's 128 KiB
    reader = csv.reader(_decoded_lines(handle), strict=True)
    try:
        header = next(reader, [])
        if not header or len(set(header)) < len(header):
            raise DataError(f"{file.path}, line 1: {header!r} is no header: it must name each column once")
        first_line = reader.line_num + 1
        for fields in reader:
            place, first_line = f"{file.path}, line {first_line}", reader.line_num + 1
            if not fields:
                continue
            if len(fields) != len(header):
                problems.add(f"{place}: {len(fields)} fields, the header has {len(header)}")
                continue
            # CSV has no null: an empty field is one.
            yield place, {name: field or None for name, field in zip(header, fields, strict=True)}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file.path}, line {reader.line_num + 1}: not CSV ({error})") from error


def _decoded_lines(handle: IO[bytes]) -> Iterator[str]:
    """Yield lines with their ends; a byte order mark, as spreadsheets write it, is dropped."""
    encoding = "utf-8-sig"
    while line := handle.readline(_MOST_CSV_FIELD):
        yield line.decode(encoding)
        encoding = "utf-8"


def _whole(value: object, column: str) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:  # noqa: PLR2004 - fits 32 bits
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise BadRowError(f"{column!r} is {value!r}, must be a whole number from 0")
    return value


def _optional_whole(value: object, column: str) -> int | None:
    return None if value is None else _whole(value, column)


def _wholes(value: object, column: str) -> list[int] | None:
    return None if value is None else [_whole(item, column) for item in _listed(value, column)]


def _numbers(value: object, column: str) -> list[float] | None:
    if value is None:
        return None
    numbers = [float(item) for item in _listed(value, column) if isinstance(item, int | float)]
    if len(numbers) < len(_listed(value, column)):
        raise BadRowError(f"{column!r} must be a list of numbers or null")
    return numbers


def _listed(value: object, column: str) -> list[object]:
    if not isinstance(value, list):
        raise BadRowError(f"{column!r} must be a list of numbers or null")
    return value
