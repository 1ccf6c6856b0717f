"""What the charts of a page are made of, whichever library draws them. None and NaN are gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from metamodel.report.table_elements import Facet, Facets, Number

Numbers: TypeAlias = Sequence[Number]


@dataclass(frozen=True, kw_only=True)
class BarSeries:
    """One value a category.

    Attributes:
        name: Its name in the legend; series of one name look alike and are switched together within a chart.
        values: One a category.
        lows: Lower ends of the 95 % intervals; empty where there are none.
        highs: Upper ends of them.
        ns: Number of prompts (or runs) behind each value, shown with it; empty where unknown.
        is_baseline: Drawn in grey.
        facets: What the series is about, if the page's filters shall hide it.
    """

    name: str
    values: Numbers
    lows: Numbers = ()
    highs: Numbers = ()
    ns: Numbers = ()
    is_baseline: bool = False
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Categories down, values across, with intervals: bars from zero, or points.

    Attributes:
        title: What it shows.
        summary: How to read it, in words: the caption, and the text alternative.
        unit: Label of the axis of values.
        categories: Names of the categories, from the top.
        series: One bar or point in each category.
        references: Values that no series can pass or is compared with, such as ceilings: a tick in each category.
        is_points: Points in place of bars, for values whose zero means little.
        limits: Ends of the axis; None takes those of the data. What lies outside is drawn at the edge, and said.
        category_facet: What the categories name, if the page's filters shall narrow them.
        facets: What the chart is about.
    """

    title: str
    summary: str
    unit: str
    categories: Sequence[str]
    series: Sequence[BarSeries]
    references: Sequence[BarSeries] = ()
    is_points: bool = False
    limits: tuple[float, float] | None = None
    category_facet: Facet | None = None
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LineSeries:
    """A curve. All sequences have the length of `xs`, or none.

    Attributes:
        name: Its name in the legend.
        xs: Positions across, rising.
        ys: Values.
        lows: Lower ends of the 95 % intervals.
        highs: Upper ends of them.
        ns: Number of prompts (or labels) behind each value.
        weights: Share of the labels behind each value: larger points.
        is_baseline: Drawn in grey.
        facets: What the series is about, if the page's filters shall hide it.
    """

    name: str
    xs: Numbers
    ys: Numbers
    lows: Numbers = ()
    highs: Numbers = ()
    ns: Numbers = ()
    weights: Numbers = ()
    is_baseline: bool = False
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Curves.

    Attributes:
        title: What it shows.
        summary: How to read it: the caption, and the text alternative.
        x_label: Label of the axis across.
        y_label: Label of the axis up.
        series: The curves.
        is_log_x: Logarithmic axis across.
        has_diagonal: Draw y = x, for a reliability diagram.
        x_limits: Ends of the axis across; None takes those of the data.
        y_limits: Ends of the axis up.
        x_marks: Upright lines by name, such as a threshold.
        y_marks: Level lines by name, such as a risk that was asked for.
        facets: What the chart is about.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    series: Sequence[LineSeries]
    is_log_x: bool = False
    has_diagonal: bool = False
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_marks: Mapping[str, float] = field(default_factory=dict)
    y_marks: Mapping[str, float] = field(default_factory=dict)
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PointSeries:
    """Points of one kind. All sequences have the length of `xs`, or none.

    Attributes:
        name: Its name in the legend.
        xs: Positions across.
        ys: Positions up.
        labels: Name of each point.
        x_lows: Lower ends of the 95 % intervals across.
        x_highs: Upper ends of them.
        lows: Lower ends of the 95 % intervals up.
        highs: Upper ends of them.
        is_baseline: Drawn in grey.
        facets: What the series is about, if the page's filters shall hide it.
    """

    name: str
    xs: Numbers
    ys: Numbers
    labels: Sequence[str] = ()
    x_lows: Numbers = ()
    x_highs: Numbers = ()
    lows: Numbers = ()
    highs: Numbers = ()
    is_baseline: bool = False
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Points:
    """A scatter of named points.

    Attributes:
        title: What it shows.
        summary: How to read it: the caption, and the text alternative.
        x_label: Label of the axis across.
        y_label: Label of the axis up.
        series: The kinds of points.
        is_log_x: Logarithmic axis across.
        has_diagonal: Draw y = x.
        facets: What the chart is about.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    series: Sequence[PointSeries]
    is_log_x: bool = False
    has_diagonal: bool = False
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """A matrix of values as shades.

    Attributes:
        title: What it shows.
        summary: How to read it: the caption, and the text alternative.
        unit: Label of the scale.
        row_names: Names of the r rows, from the top.
        column_names: Names of the c columns.
        values: r rows of c values; None or NaN is an empty cell.
        texts: What a cell says in full when pointed at, such as its interval; r rows of c, or empty.
        is_diverging: Two colors around zero, else one from the least to the largest.
        limits: Values of the ends of the scale; None takes those of the data.
        row_axis: What the rows are.
        column_axis: What the columns are.
        row_facet: What the rows name, if the page's filters shall narrow them.
        column_facet: What the columns name, likewise.
        facets: What the chart is about.
    """

    title: str
    summary: str
    unit: str
    row_names: Sequence[str]
    column_names: Sequence[str]
    values: Sequence[Numbers]
    texts: Sequence[Sequence[str]] = ()
    is_diverging: bool = False
    limits: tuple[float, float] | None = None
    row_axis: str = ""
    column_axis: str = ""
    row_facet: Facet | None = None
    column_facet: Facet | None = None
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Two branches of a dendrogram that join.

    Attributes:
        left: A leaf's number below n, or n plus the number of an earlier merge (as SciPy's linkage numbers them).
        right: The other one.
        height: Distance at which they join.
        support: Share of the bootstrap's draws that join exactly these leaves; None if unknown.
    """

    left: int
    right: int
    height: float
    support: Number = None


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A dendrogram of n leaves, n - 1 merges.

    Attributes:
        title: What it shows.
        summary: How to read it: the caption, and the text alternative.
        unit: Label of the axis of heights.
        names: Names of the n leaves.
        merges: The joins, from the lowest.
        facets: What the chart is about.
    """

    title: str
    summary: str
    unit: str
    names: Sequence[str]
    merges: Sequence[Merge]
    facets: Facets = field(default_factory=dict)


Chart: TypeAlias = Bars | Lines | Points | Heatmap | Tree
