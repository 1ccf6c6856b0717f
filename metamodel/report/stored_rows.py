"""Read back the rows that a stage stored as JSON, as what they are: somebody's file.

Whatever has another type than asked for is a gap: a page shows what can be shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from metamodel.report.table_elements import Estimate, Number


def rows_under(content: object, key: str) -> list[Mapping[str, object]]:
    """Return the objects of a list; nothing where there is no such list.

    >>> rows_under({"rows": [{"a": 1}, 2]}, "rows")
    [{'a': 1}]
    """
    listed = content.get(key) if isinstance(content, Mapping) else None
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def texts_under(content: object, key: str) -> list[str]:
    """Return the texts of a list."""
    listed = content.get(key) if isinstance(content, Mapping) else None
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []


def text_of(row: Mapping[str, object], key: str) -> str:
    """Return a text, empty where there is none."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def number_of(row: object, key: str) -> Number:
    """Return a number, None where there is none."""
    value = row.get(key) if isinstance(row, Mapping) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def estimate_of(row: object, value: str, low: str, high: str) -> Estimate:
    """Return a figure with its interval."""
    return Estimate(value=number_of(row, value), low=number_of(row, low), high=number_of(row, high))


def flag_of(row: Mapping[str, object], key: str) -> bool:
    """Return whether something is marked."""
    return row.get(key) is True
