"""A first look at a file, to tell its format."""

from __future__ import annotations

from functools import lru_cache

from metamodel.errors import DataError
from metamodel.recorded.archives import opened_archive
from metamodel.recorded.files import LogFile, opened
from metamodel.recorded.json_stream import array_items, json_lines

_LOOKED_AT_BYTES = 4096


@lru_cache(maxsize=4096)
def first_item(file: LogFile) -> tuple[str, ...]:
    """Return the keys of the first object of a JSON array; nothing where the file holds something else."""
    try:
        with opened(file) as handle:
            item = next(array_items(handle, file.path), None)
    except DataError:
        return ()
    return tuple(map(str, item)) if isinstance(item, dict) else ()


@lru_cache(maxsize=4096)
def first_line(file: LogFile) -> tuple[str, ...]:
    """Return the keys of the first object of JSON lines; nothing where the file holds something else."""
    try:
        with opened(file) as handle:
            value = next((value for _, value, _ in json_lines(handle, file.path)), None)
    except DataError:
        return ()
    return tuple(map(str, value)) if isinstance(value, dict) else ()


@lru_cache(maxsize=4096)
def opening(file: LogFile) -> str:
    """Return the first characters of a file."""
    with opened(file) as handle:
        return handle.read(_LOOKED_AT_BYTES).decode("utf-8", errors="replace")


@lru_cache(maxsize=4096)
def zip_names(file: LogFile) -> tuple[str, ...]:
    """Return the names in a zip archive; nothing where the file is none."""
    try:
        with opened(file) as handle, opened_archive(handle, file.path) as archive:
            return tuple(archive.namelist())
    except DataError:
        return ()
