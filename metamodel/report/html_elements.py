"""Elements laid out for the page's templates: every one gets an id, charts and widgets leave their data behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from metamodel.report.chart_elements import Bars, Chart, Heatmap, Lines, Points, Tree
from metamodel.report.chart_json import chart_to_json, facets_to_json, series_of
from metamodel.report.chart_tables import table_of
from metamodel.report.elements import (
    Bullets,
    Drawing,
    Element,
    Group,
    JSONValue,
    Panels,
    Section,
    Terms,
    Widget,
    Words,
)
from metamodel.report.html_tables import TableView, lay_out_table
from metamodel.report.palette import looks
from metamodel.report.table_elements import POOLED, Badge, DataTable, Facet
from metamodel.report.visible_text import plain

FACETS: Final[tuple[Facet, ...]] = ("primary", "behavior", "metamodel", "split", "domain")
_ID: Final = re.compile(r"[a-z][a-z0-9-]*")
_ACTING_KEYS: Final = re.compile(r"(on.*|style|.*script.*)", re.IGNORECASE)
_ACTING_TAGS: Final = frozenset({"script", "foreignobject", "style", "iframe", "image", "a", "animate", "set"})


@dataclass(frozen=True, kw_only=True)
class View:
    """An element ready for a template.

    Attributes:
        kind: Name of the template's macro.
        id: Its address in the page.
        title: Its heading or caption, hidden characters named.
        summary: The text beside it.
        facets: What it is about, as JSON for the script; empty for everything.
        children: What stands in it.
        tables: The figures behind a chart, or the table itself.
        lines: Paragraphs, list entries with their grades, or pairs.
        svg: A drawing.
        n_columns: Charts side by side.
        is_folded: Whether it is closed at first.
    """

    kind: str
    id: str = ""
    title: str = ""
    summary: str = ""
    facets: Mapping[str, JSONValue] = field(default_factory=dict)
    children: Sequence[View] = ()
    tables: Sequence[TableView] = ()
    lines: Sequence[Sequence[str]] = ()
    svg: str = ""
    n_columns: int = 1
    is_folded: bool = False


Framed: TypeAlias = Bars | Lines | Points | Heatmap | Tree | Panels


@dataclass(kw_only=True)
class Layout:
    """What has been laid out so far.

    Attributes:
        figures: JSON of each figure's charts, by the figure's id.
        widgets: Each widget's name and data, by its id.
        series: Whether each name in a legend is a baseline's, in order of first use.
        names: Names that the page's filters can choose, facet by facet.
        n_used: How many ids were given.
    """

    figures: dict[str, JSONValue] = field(default_factory=dict)
    widgets: dict[str, JSONValue] = field(default_factory=dict)
    series: dict[str, bool] = field(default_factory=dict)
    names: dict[Facet, dict[str, None]] = field(default_factory=lambda: {facet: {} for facet in FACETS})
    n_used: int = 0

    def section(self, section: Section) -> View:
        """Lay out a section.

        Raises:
            ValueError: Its id cannot be an address.
        """
        if not _ID.fullmatch(section.id):
            raise ValueError(f"a section's id is {section.id!r}; it takes lower-case letters, digits and hyphens")
        return View(
            kind="section",
            id=section.id,
            title=plain(section.title),
            summary=plain(section.lead),
            facets=self._facets(section.facets),
            children=[self.element(element) for element in section.elements],
        )

    def element(self, element: Element) -> View:
        """Lay out one element and all that stands in it."""
        match element:
            case DataTable():
                view = self._table(element)
            case Panels() | Bars() | Lines() | Points() | Heatmap() | Tree():
                view = self._figure(element)
            case Group():
                view = self._group(element)
            case Widget():
                view = self._widget(element)
            case Drawing():
                view = _drawing(element)
            case Words():
                view = View(kind="words", lines=[[plain(text)] for text in element.paragraphs])
            case Bullets():
                view = View(kind="bullets", lines=[_bullet(line) for line in element.lines])
            case Terms():
                view = View(kind="terms", lines=[[plain(term), plain(text)] for term, text in element.pairs])
        return view

    def looks(self) -> dict[str, JSONValue]:
        """Return color and shape of every name in a legend, by number: the same in every chart of the page."""
        names = list(self.series)
        found = looks(names, baselines=[name for name in names if self.series[name]])
        places = {True: 0, False: 0}
        numbered: dict[str, JSONValue] = {}
        for name, look in found.items():
            numbered[name] = [places[look.is_baseline], look.is_baseline]
            places[look.is_baseline] += 1
        return numbered

    def _group(self, group: Group) -> View:
        return View(
            kind="group",
            id=self._new_id("part"),
            title=plain(group.title),
            facets=self._facets(group.facets),
            children=[self.element(child) for child in group.elements],
            is_folded=group.is_folded,
        )

    def _table(self, table: DataTable) -> View:
        laid_out = lay_out_table(table)
        for place, column in enumerate(table.columns):
            if column.facet:
                self._name(column.facet, [row[place].text for row in laid_out.rows])
        return View(
            kind="table",
            id=self._new_id("table"),
            title=laid_out.title,
            facets=self._facets(table.facets),
            tables=[laid_out],
        )

    def _figure(self, element: Framed) -> View:
        charts: Sequence[Chart] = element.charts if isinstance(element, Panels) else [element]
        found = element.table if isinstance(element, Panels) else None
        tables = [lay_out_table(found)] if found else [lay_out_table(table_of(chart)) for chart in charts]
        for chart in charts:
            self._note_names(chart)
        figure = self._new_id("figure")
        self.figures[figure] = [chart_to_json(chart) for chart in charts]
        return View(
            kind="figure",
            id=figure,
            title=plain(element.title),
            summary=plain(element.summary),
            facets=self._facets(element.facets),
            tables=tables,
            n_columns=min(element.n_columns, len(charts)) if isinstance(element, Panels) else 1,
        )

    def _note_names(self, chart: Chart) -> None:
        for series in series_of(chart):
            self.series.setdefault(plain(series.name), series.is_baseline)
            self._facets(series.facets)
        self._facets(chart.facets)
        if isinstance(chart, Bars) and chart.category_facet:
            self._name(chart.category_facet, map(plain, chart.categories))
        if isinstance(chart, Heatmap):
            for facet, names in ((chart.row_facet, chart.row_names), (chart.column_facet, chart.column_names)):
                if facet:
                    self._name(facet, map(plain, names))

    def _widget(self, widget: Widget) -> View:
        place = self._new_id("widget")
        self.widgets[place] = {"name": widget.name, "data": widget.data}
        return View(
            kind="widget",
            id=place,
            title=plain(widget.title),
            summary=plain(widget.summary),
            facets=self._facets(widget.facets),
        )

    def _facets(self, facets: Mapping[Facet, str]) -> dict[str, JSONValue]:
        for facet, name in facets.items():
            self._name(facet, [plain(name)])
        return facets_to_json(facets)

    def _name(self, facet: Facet, names: Iterable[str]) -> None:
        self.names[facet].update(dict.fromkeys(name for name in names if name != POOLED))

    def _new_id(self, stem: str) -> str:
        self.n_used += 1
        return f"{stem}-{self.n_used}"


def _bullet(line: str | tuple[Badge, str]) -> list[str]:
    if isinstance(line, str):
        return ["", "", plain(line)]
    badge, text = line
    return [badge.grade, plain(badge.text), plain(text)]


def _drawing(drawing: Drawing) -> View:
    """Lay out a drawing.

    Raises:
        ValueError: It holds what could act or be fetched.
    """
    root = ET.fromstring(drawing.svg)  # noqa: S314  # written by our own charts; checked all the same
    for node in root.iter():
        tag = node.tag.rsplit("}", 1)[-1].lower()
        links = [value for key, value in node.attrib.items() if key.rsplit("}", 1)[-1].lower() in ("href", "src")]
        if (
            tag in _ACTING_TAGS
            or any(_ACTING_KEYS.fullmatch(key) for key in node.attrib)
            or any(not link.startswith("#") for link in links)
        ):
            raise ValueError(f"the drawing {drawing.title!r} holds <{tag}> with {sorted(node.attrib)}: refused")
    return View(kind="drawing", title=plain(drawing.title), summary=plain(drawing.summary), svg=drawing.svg)
