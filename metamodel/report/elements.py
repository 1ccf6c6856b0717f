"""What a page is made of: tables, charts, words and widgets, as plain data that names no library.

A page is a sequence of sections; `write_page` turns them into one HTML file that opens from disk, makes no request and
runs no script but its own. Every name and text is untrusted: it is escaped, and characters that cannot be seen are
shown by their number. None and NaN are gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from metamodel.report.chart_elements import (
    Bars,
    BarSeries,
    Chart,
    Heatmap,
    Lines,
    LineSeries,
    Merge,
    Numbers,
    Points,
    PointSeries,
    Tree,
)
from metamodel.report.table_elements import (
    POOLED,
    Badge,
    Cell,
    Column,
    ColumnKind,
    DataTable,
    Detailed,
    Estimate,
    Excerpt,
    Facet,
    Facets,
    Grade,
    Number,
    Shaded,
)

__all__ = [
    "POOLED",
    "Badge",
    "BarSeries",
    "Bars",
    "Bullets",
    "Cell",
    "Chart",
    "Column",
    "ColumnKind",
    "DataTable",
    "Detailed",
    "Drawing",
    "Element",
    "Estimate",
    "Excerpt",
    "Facet",
    "Facets",
    "Grade",
    "Group",
    "Heatmap",
    "JSONValue",
    "LineSeries",
    "Lines",
    "Merge",
    "Number",
    "Numbers",
    "Panels",
    "PointSeries",
    "Points",
    "Section",
    "Shaded",
    "Terms",
    "TextStore",
    "Tree",
    "Widget",
    "Words",
    "write_page",
]

JSONValue: TypeAlias = "bool | int | float | str | Sequence[JSONValue] | Mapping[str, JSONValue] | None"


@dataclass(frozen=True, kw_only=True)
class Words:
    """Paragraphs of plain text."""

    paragraphs: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list; a line may begin with a badge."""

    lines: Sequence[str | tuple[Badge, str]]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Terms with what they mean."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Widget:
    """A part of the page that has a script of its own.

    The script sets `window.metamodelWidgets[name] = (root, data) => {...}`, which fills `root`, an empty element. It is
    one file, `assets/NAME.js` or `NAME/NAME.js` below this folder, with NAME.css beside it if there is one;
    it stands in the page once, however many widgets of its name there are. It must build text with `textContent`: the
    page's policy refuses style attributes, event attributes, eval and every request. While the page's filters hide
    something, `root` receives the event "facets", whose detail maps facets to the names that are wanted.

    Attributes:
        name: Name of its script.
        data: What the script is given, as JSON.
        summary: What it is and does: read out, printed, and shown alone where no script runs.
        title: Its heading, if it has one.
        facets: What it is about.
    """

    name: str
    data: JSONValue
    summary: str
    title: str = ""
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Panels:
    """Small charts side by side that are read together.

    Attributes:
        title: What they show.
        summary: How to read them.
        charts: The charts, each with a short title.
        table: The figures behind all of them; None gives each chart a table of its own.
        n_columns: How many stand side by side where there is room.
        facets: What they are about.
    """

    title: str
    summary: str
    charts: Sequence[Chart]
    table: DataTable | None = None
    n_columns: int = 3
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart drawn before, shown where no script runs.

    Attributes:
        title: What it shows.
        summary: How to read it.
        svg: Text of one `<svg>` element, as `metamodel.report.svg.figure_to_svg` writes it; what could act is refused.
    """

    title: str
    summary: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Elements under a heading of their own within a section, listed in the contents.

    Attributes:
        title: The heading.
        elements: What stands below it.
        is_folded: Shown behind a control that opens it, for what few readers need.
        facets: What the group is about.
    """

    title: str
    elements: Sequence[Element]
    is_folded: bool = False
    facets: Facets = field(default_factory=dict)


Element: TypeAlias = "Chart | DataTable | Panels | Drawing | Words | Bullets | Terms | Widget | Group"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        id: Its address in the page: lower-case letters, digits and hyphens, unique.
        title: Its heading.
        lead: One sentence on what it shows and how to read it.
        elements: What stands in it.
        facets: What the whole section is about.
    """

    id: str
    title: str
    lead: str = ""
    elements: Sequence[Element] = ()
    facets: Facets = field(default_factory=dict)


class TextStore(Protocol):
    """Where a page can be written: a run directory, for instance."""

    def write_text(self, name: str, text: str) -> None:
        """Write a text under a name."""


def write_page(
    target: Path | TextStore, title: str, sections: Sequence[Section], *, name: str = "report.html", lead: str = ""
) -> None:
    """Write a page of sections.

    Args:
        target: The file to write; or a run directory, in which the file is called `name`.
        title: Heading of the page.
        sections: What it shows, in order.
        name: Name of the file below a run directory.
        lead: One sentence below the heading.
    """
    from metamodel.report.html_page import render_page

    text = render_page(title, sections, lead=lead)
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    else:
        target.write_text(name, text)
