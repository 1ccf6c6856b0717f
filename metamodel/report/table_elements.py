"""What a table of a page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Number: TypeAlias = float | int | None
ColumnKind: TypeAlias = Literal["text", "number", "bits", "share"]
Grade: TypeAlias = Literal["good", "mixed", "bad", "undefined"]
Facet: TypeAlias = Literal["primary", "behavior", "metamodel", "split", "domain"]
# A row, column or category of this name pools all; the page's filters always keep it.
POOLED: Final = "all domains"
Facets: TypeAlias = Mapping[Facet, str]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval, for a table's cell.

    Attributes:
        value: The figure; None or NaN is undefined and becomes a dash.
        low: Lower end of its interval, in the same unit; None where there is none.
        high: Upper end of it.
        reason: Why the figure or its interval is missing; it becomes a footnote of the table.
    """

    value: Number
    low: Number = None
    high: Number = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """A few words with a grade, for a table's cell or a line: a verdict."""

    text: str
    grade: Grade


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A long untrusted text, set in the type of code, cut where the page cuts and said so.

    Attributes:
        text: The text itself.
        mark_from: First character that is marked, for instance a loop's onset; None marks nothing.
        note: A line below it, such as what the mark means.
        limit: How many characters are shown.
    """

    text: str
    mark_from: int | None = None
    note: str = ""
    limit: int = 600


@dataclass(frozen=True, kw_only=True)
class Detailed:
    """A text with a second line in small print, for a table's cell."""

    text: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Shaded:
    """A printed figure whose shade means something of its own, for a table whose lines have different units.

    Attributes:
        text: The figure as printed; empty where there is none.
        detail: A second line in small print: its interval.
        shade: From 0, the page's color, to 1; None leaves it plain.
        value: What it sorts by; None sorts last.
    """

    text: str
    detail: str = ""
    shade: float | None = None
    value: Number = None


Cell: TypeAlias = str | float | int | Estimate | Badge | Excerpt | Detailed | Shaded | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        kind: "text"; or "number" (any unit), "bits" (three decimals), "share" (0 to 1, printed as percent), which are
            right-aligned and sort as numbers.
        help: What it means, shown below the table.
        facet: What it names, if the page's filters shall narrow the table's rows by it.
        digits: Decimals of numbers; None takes the kind's.
        is_heat: Shade cells by their value between the table's `heat_limits`.
        group: A heading above it that neighbors of the same group share.
    """

    name: str
    kind: ColumnKind = "text"
    help: str = ""
    facet: Facet | None = None
    digits: int | None = None
    is_heat: bool = False
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """A table that sorts by each column and filters by text.

    Attributes:
        title: What it shows.
        summary: How to read it.
        columns: One a column.
        rows: One cell a column in each row; the first text column names the row.
        n_total: How many rows there were before a sample was taken; None if all are here. The page says it.
        heat_limits: Values of the lightest and the darkest shade of `is_heat` columns; None takes 0 and the largest.
        facets: What the whole table is about.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    summary: str = ""
    n_total: int | None = None
    heat_limits: tuple[float, float] | None = None
    facets: Facets = field(default_factory=dict)
