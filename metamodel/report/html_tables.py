"""Tables as a page prints them: cells as text, what they sort by, footnotes, and a sample where there are too many."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from metamodel.report.numbers import DASH, MINUS, signed
from metamodel.report.table_elements import (
    Badge,
    Cell,
    Column,
    DataTable,
    Detailed,
    Estimate,
    Excerpt,
    Facets,
    Number,
    Shaded,
)
from metamodel.report.visible_text import Shown, plain, show

# What a page may hold before it grows heavy to open.
MAX_ROWS: Final = 1000
MAX_CELLS: Final = 20_000
_MOST_CHOICES: Final = 40
# Shorter tables are read whole faster than they are filtered.
_FEWEST_ROWS: Final = 7
_N_SHADES: Final = 10
_SAMPLE_SEED: Final = 0


@dataclass(kw_only=True)
class Footnotes:
    """Reasons why numbers of one table are missing, each with a letter."""

    marks: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        """Return the letter of a reason, a new one on its first use."""
        letters = string.ascii_lowercase
        return self.marks.setdefault(reason, letters[len(self.marks) % len(letters)] * (1 + len(self.marks) // 26))

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Letters with their reasons, in order of first use."""
        return [(mark, reason) for reason, mark in self.marks.items()]


@dataclass(frozen=True, kw_only=True)
class CellView:
    """What stands in a cell.

    Attributes:
        text: The figure or the words.
        detail: A second, smaller line.
        mark: Letter of the footnote that says why there is a dash.
        css: Classes.
        grade: Grade of a badge; empty for none.
        value: What the column sorts by, if not the text.
        excerpt: A long text, before its marked rest.
        marked: The marked rest of it.
    """

    text: str = ""
    detail: str = ""
    mark: str = ""
    css: str = ""
    grade: str = ""
    value: str | None = None
    excerpt: Shown | None = None
    marked: Shown | None = None

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing but a text."""
        return not (self.detail or self.mark or self.grade or self.excerpt)

    @property
    def is_isolated(self) -> bool:
        """Whether the text could turn around what stands beside it: letters of ASCII cannot."""
        return not self.text.isascii()


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table ready to be printed.

    Attributes:
        title: What it shows.
        summary: How to read it.
        columns: Its columns.
        groups: Headings over neighbors, with how many columns each spans; empty without any.
        row_head: Which column names the row.
        rows: One cell a column.
        footnotes: Letters with reasons.
        choices: Columns by number whose few names can be chosen from.
        has_search: Whether rows can be narrowed by a text.
        count_text: What is said where rows are left out.
        facets: What the table is about.
    """

    title: str
    summary: str
    columns: Sequence[Column]
    groups: Sequence[tuple[str, int]]
    row_head: int
    rows: Sequence[Sequence[CellView]]
    footnotes: Sequence[tuple[str, str]]
    choices: Mapping[int, Sequence[str]]
    has_search: bool
    count_text: str
    facets: Facets


def lay_out_table(table: DataTable) -> TableView:
    """Lay out a table; of more rows than a page can hold, a sample that is the same every time."""
    footnotes = Footnotes()
    kept = sample_rows(len(table.rows), limit=min(MAX_ROWS, max(MAX_CELLS // max(len(table.columns), 1), 1)))
    rows = [table.rows[row] for row in kept]
    shade = _shader(table, rows)
    cells = [
        [_cell(cell, column, footnotes, shade) for cell, column in zip(row, table.columns, strict=True)] for row in rows
    ]
    n_total = max(table.n_total or 0, len(table.rows))
    return TableView(
        title=plain(table.title),
        summary=plain(table.summary),
        columns=table.columns,
        groups=_groups(table.columns),
        row_head=next((place for place, column in enumerate(table.columns) if column.kind == "text"), -1),
        rows=cells,
        footnotes=footnotes.lines,
        choices=_choices(table.columns, cells),
        has_search=len(cells) > _FEWEST_ROWS,
        count_text=f"{len(rows):,} of {n_total:,} rows shown." if n_total > len(rows) else "",
        facets=table.facets,
    )


def sample_rows(n_rows: int, *, limit: int) -> list[int]:
    """Return at most `limit` of n rows in their order, drawn without replacement, the same ones every time.

    >>> sample_rows(3, limit=5), len(sample_rows(100, limit=5))
    ([0, 1, 2], 5)
    """
    if n_rows <= limit:
        return list(range(n_rows))
    drawn = np.random.default_rng(_SAMPLE_SEED).choice(n_rows, size=limit, replace=False)
    return [int(row) for row in np.sort(drawn)]


def is_gap(value: Number) -> bool:
    """Return whether a number is missing."""
    return value is None or math.isnan(value)


def number_text(value: Number, column: Column) -> str:
    """Return a number as its column prints it, or a dash.

    >>> number_text(0.123, Column(name="share", kind="share")), number_text(12345, Column(name="n", kind="number"))
    ('12.3 %', '12,345')
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if column.kind == "share":
        return f"{signed(100 * value, digits=1 if column.digits is None else column.digits)} %"
    if column.digits is None and column.kind == "number" and float(value).is_integer():
        return f"{value:,.0f}".replace("-", MINUS)
    return signed(float(value), digits=3 if column.digits is None else column.digits)


def _cell(cell: Cell, column: Column, footnotes: Footnotes, shade: Callable[[Number], str]) -> CellView:
    match cell:
        case Badge():
            view = CellView(text=plain(cell.text), grade=cell.grade)
        case Excerpt():
            view = _excerpt(cell)
        case Detailed():
            view = CellView(text=plain(cell.text), detail=plain(cell.detail))
        case Shaded():
            view = _shaded(cell)
        case Estimate():
            view = _estimate(cell, column, footnotes, shade)
        case str():
            view = CellView(text=plain(cell))
        case None if column.kind == "text":
            view = CellView(text=DASH)
        case _:
            view = _number(cell, column, shade)
    return view


def _number(value: Number, column: Column, shade: Callable[[Number], str]) -> CellView:
    css = [shade(value) if column.is_heat else "", "negative" if value is not None and value < 0 else ""]
    return CellView(
        text=number_text(value, column),
        css=" ".join(filter(None, css)),
        value=_order(value),
    )


def _order(value: Number) -> str:
    """Return what a number sorts by, as short as keeps the order that a reader sees; a gap is empty."""
    return "" if value is None or math.isnan(value) else f"{float(value):.6g}"


def _estimate(cell: Estimate, column: Column, footnotes: Footnotes, shade: Callable[[Number], str]) -> CellView:
    shown = _number(cell.value, column, shade)
    has_interval = not (is_gap(cell.low) or is_gap(cell.high))
    ends = f"[{number_text(cell.low, column)}, {number_text(cell.high, column)}]".replace(" %,", ",")
    is_missing = is_gap(cell.value) or not has_interval
    return CellView(
        text=shown.text,
        detail=ends if has_interval else "",
        mark=footnotes.mark(plain(cell.reason)) if cell.reason and is_missing else "",
        css=shown.css,
        value=shown.value,
    )


def _shaded(cell: Shaded) -> CellView:
    return CellView(
        text=plain(cell.text),
        detail=plain(cell.detail),
        css="" if cell.shade is None else f"heat-{round(min(max(cell.shade, 0.0), 1.0) * _N_SHADES)}",
        value=_order(cell.value),
    )


def _excerpt(cell: Excerpt) -> CellView:
    start = len(cell.text) if cell.mark_from is None else cell.mark_from
    rest = max(cell.limit - start, 0)
    return CellView(
        excerpt=show(cell.text[:start], limit=cell.limit),
        marked=None if cell.mark_from is None else show(cell.text[start:], limit=rest),
        detail=plain(cell.note),
        css="text",
    )


def _shader(table: DataTable, rows: Sequence[Sequence[Cell]]) -> Callable[[Number], str]:
    places = [place for place, column in enumerate(table.columns) if column.is_heat]
    found = [_value(row[place]) for row in rows for place in places]
    known = [value for value in found if value is not None and math.isfinite(value)]
    low, high = table.heat_limits or (0.0, max([*known, 0.0]))

    def shade(value: Number) -> str:
        if value is None or not math.isfinite(value) or high <= low:
            return ""
        return f"heat-{round(min(max((value - low) / (high - low), 0.0), 1.0) * _N_SHADES)}"

    return shade


def _value(cell: Cell) -> Number:
    if isinstance(cell, Estimate):
        return cell.value
    return cell if isinstance(cell, int | float) else None


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    if not any(column.group for column in columns):
        return []
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    return groups


def _choices(columns: Sequence[Column], rows: Sequence[Sequence[CellView]]) -> dict[int, list[str]]:
    if len(rows) <= _FEWEST_ROWS:
        return {}
    found = {}
    for place, column in enumerate(columns):
        # What a facet names is chosen once for the whole page.
        if column.kind != "text" or column.facet or any(row[place].excerpt for row in rows):
            continue
        names = list(dict.fromkeys(row[place].text for row in rows))
        # A name on every line is found by typing it; one name on all lines leaves nothing to choose.
        if 1 < len(names) <= _MOST_CHOICES and len(names) < len(rows):
            found[place] = names
    return found
