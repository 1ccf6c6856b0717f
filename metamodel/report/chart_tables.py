"""The figures behind a chart as a table: for screen readers, for print, and where no script runs."""

from __future__ import annotations

from collections.abc import Sequence

from metamodel.report.chart_elements import (
    Bars,
    BarSeries,
    Chart,
    Heatmap,
    Lines,
    LineSeries,
    Numbers,
    Points,
    PointSeries,
    Tree,
)
from metamodel.report.table_elements import Cell, Column, DataTable, Estimate, Number


def table_of(chart: Chart) -> DataTable:
    """Return the figures of a chart."""
    title = f"Figures: {chart.title}"
    match chart:
        case Bars():
            return DataTable(title=title, columns=_bar_columns(chart), rows=_bar_rows(chart), facets=chart.facets)
        case Lines():
            return _lines_table(chart, title)
        case Points():
            return _points_table(chart, title)
        case Heatmap():
            return _heat_table(chart, title)
        case Tree():
            return _tree_table(chart, title)


def at(values: Numbers, place: int) -> Number:
    """Return one of the values, or None where there are none."""
    return values[place] if len(values) else None


def _estimate(series: BarSeries | LineSeries | PointSeries, values: Numbers, place: int) -> Cell:
    if not len(series.lows):
        return at(values, place)
    return Estimate(value=at(values, place), low=at(series.lows, place), high=at(series.highs, place))


def _bar_columns(chart: Bars) -> list[Column]:
    columns = [Column(name=chart.category_facet or "category", facet=chart.category_facet)]
    for series in (*chart.references, *chart.series):
        columns.append(Column(name=series.name, kind="number", digits=3))
        if len(series.ns):
            columns.append(Column(name="n", kind="number"))
    return columns


def _bar_rows(chart: Bars) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for place, category in enumerate(chart.categories):
        row: list[Cell] = [category]
        for series in (*chart.references, *chart.series):
            row.append(_estimate(series, series.values, place))
            if len(series.ns):
                row.append(at(series.ns, place))
        rows.append(row)
    return rows


def _lines_table(chart: Lines, title: str) -> DataTable:
    has_n = any(len(series.ns) for series in chart.series)
    columns = [
        Column(name="curve"),
        Column(name=chart.x_label, kind="number"),
        Column(name=chart.y_label, kind="number"),
        *([Column(name="n", kind="number")] if has_n else []),
    ]
    rows: list[list[Cell]] = [
        [
            series.name,
            series.xs[place],
            _estimate(series, series.ys, place),
            *([at(series.ns, place)] if has_n else []),
        ]
        for series in chart.series
        for place in range(len(series.xs))
    ]
    return DataTable(title=title, columns=columns, rows=rows, facets=chart.facets)


def _points_table(chart: Points, title: str) -> DataTable:
    columns = [
        Column(name="point"),
        Column(name="kind"),
        Column(name=chart.x_label, kind="number"),
        Column(name=chart.y_label, kind="number"),
    ]
    rows: list[list[Cell]] = [
        [series.labels[place] if series.labels else "", series.name, _across(series, place), _up(series, place)]
        for series in chart.series
        for place in range(len(series.xs))
    ]
    return DataTable(title=title, columns=columns, rows=rows, facets=chart.facets)


def _across(series: PointSeries, place: int) -> Cell:
    return Estimate(value=series.xs[place], low=at(series.x_lows, place), high=at(series.x_highs, place))


def _up(series: PointSeries, place: int) -> Cell:
    return _estimate(series, series.ys, place)


def _heat_table(chart: Heatmap, title: str) -> DataTable:
    columns = [
        Column(name=chart.row_axis or "row", facet=chart.row_facet),
        *(Column(name=name, kind="number", digits=3) for name in chart.column_names),
    ]
    rows: list[list[Cell]] = [[name, *values] for name, values in zip(chart.row_names, chart.values, strict=True)]
    return DataTable(title=title, columns=columns, rows=rows, facets=chart.facets)


def _tree_table(chart: Tree, title: str) -> DataTable:
    members: list[Sequence[str]] = [[name] for name in chart.names]
    rows: list[list[Cell]] = []
    for merge in chart.merges:
        left, right = members[merge.left], members[merge.right]
        members.append([*left, *right])
        rows.append([", ".join(left), ", ".join(right), merge.height, merge.support])
    columns = [
        Column(name="these"),
        Column(name="join these"),
        Column(name=chart.unit, kind="number"),
        Column(name="support", kind="share"),
    ]
    return DataTable(title=title, columns=columns, rows=rows, facets=chart.facets)
