"""What a format is: how it is told, and how its files become rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from metamodel.recorded.files import LogFile
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import RecordedRow

RowsOf: TypeAlias = Callable[[Sequence[LogFile], Problems], Iterator[RecordedRow]]


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """A format that is parsed row by row.

    Attributes:
        name: What configs call it.
        description: What it is told by, for messages.
        own_files: Returns those of a log's files that are of this format; none where it is another.
        rows: Reads them.
    """

    name: str
    description: str
    own_files: Callable[[Sequence[LogFile]], list[LogFile]]
    rows: RowsOf


class BadRowError(ValueError):
    """A row that is not what the format says; the message says why."""


def text_of(row: Mapping[str, object], key: str) -> str:
    """Return a text of a row that must be there; raises BadRowError."""
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise BadRowError(f"{key!r} is {_shown(value)}, must be text")
    return value


def optional_text(row: Mapping[str, object], key: str) -> str | None:
    """Return a text of a row, None where there is none; raises BadRowError for anything else."""
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRowError(f"{key!r} is {_shown(value)}, must be text or null")
    return value


def texts_of(value: object, key: str) -> tuple[str, ...]:
    """Return one value or a list of them as texts; none for null; raises BadRowError for lists of something else."""
    if value is None:
        return ()
    listed = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) or item is None for item in listed):
        raise BadRowError(f"{key!r} is {_shown(value)}, must be text or a list of texts")
    return tuple(str(item) for item in listed)


def id_of(value: object) -> str | None:
    """Return the log's own id of a prompt as text."""
    return None if value is None else str(value)


def object_of(value: object, what: str) -> dict[str, object]:
    """Return a JSON object; raises BadRowError for anything else."""
    if not isinstance(value, dict):
        raise BadRowError(f"{what} is {_shown(value)}, must be an object")
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # noqa: PLR2004 - as much as a message bears
