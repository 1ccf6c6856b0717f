"""Charts as the JSON that the page's script draws from; names are made visible here, so that no script need."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

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
from metamodel.report.elements import JSONValue
from metamodel.report.html_tables import sample_rows
from metamodel.report.table_elements import Facets, Number
from metamodel.report.visible_text import plain

MAX_POINTS: Final = 2000
_DIGITS: Final = 5
_FIRST_PAIR: Final = 0x10000  # JSON writes characters from here on as two halves
# What ends a script, opens a comment or a tag, and what a reader of the file could not see or would see reordered.
_UNSAFE: Final = re.compile(
    "[<>&\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\ue000-\uf8ff"
    "\U000e0000-\U000e0fff]"
)


def to_safe_json(value: JSONValue) -> str:
    r"""Return JSON that stays data inside a script element: no `<`, no character that cannot be seen.

    >>> to_safe_json({"a": "</script>"})
    '{"a":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: _escaped(found.group()), text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < _FIRST_PAIR:
        return f"\\u{code:04x}"
    high, low = divmod(code - _FIRST_PAIR, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def chart_to_json(chart: Chart) -> dict[str, JSONValue]:
    """Return a chart as JSON, its numbers rounded to what a screen can show."""
    shared: dict[str, JSONValue] = {"title": plain(chart.title), "facets": facets_to_json(chart.facets)}
    match chart:
        case Bars():
            return shared | _bars(chart)
        case Lines():
            return shared | _lines(chart)
        case Points():
            return shared | _points(chart)
        case Heatmap():
            return shared | _heatmap(chart)
        case Tree():
            return shared | _tree(chart)


def series_of(chart: Chart) -> Sequence[BarSeries | LineSeries | PointSeries]:
    """Return the series of a chart that has a legend."""
    return chart.series if isinstance(chart, Bars | Lines | Points) else ()


def facets_to_json(facets: Facets) -> dict[str, JSONValue]:
    """Return facets with visible names."""
    return {facet: plain(name) for facet, name in facets.items()}


def _bars(chart: Bars) -> dict[str, JSONValue]:
    return {
        "kind": "bars",
        "unit": plain(chart.unit),
        "categories": _names(chart.categories),
        "categoryFacet": chart.category_facet,
        "series": [_bar_series(series) for series in chart.series],
        "references": [_bar_series(series) for series in chart.references],
        "isPoints": chart.is_points,
        "limits": None if chart.limits is None else numbers_to_json(chart.limits),
    }


def _bar_series(series: BarSeries) -> dict[str, JSONValue]:
    return _named(series) | {"values": numbers_to_json(series.values)}


def _lines(chart: Lines) -> dict[str, JSONValue]:
    return {
        "kind": "lines",
        "x": plain(chart.x_label),
        "y": plain(chart.y_label),
        "isLogX": chart.is_log_x,
        "hasDiagonal": chart.has_diagonal,
        "xLimits": None if chart.x_limits is None else numbers_to_json(chart.x_limits),
        "yLimits": None if chart.y_limits is None else numbers_to_json(chart.y_limits),
        "xMarks": _marks(chart.x_marks),
        "yMarks": _marks(chart.y_marks),
        "series": [
            _named(series)
            | {
                "xs": numbers_to_json(series.xs),
                "ys": numbers_to_json(series.ys),
                "weights": numbers_to_json(series.weights),
            }
            for series in chart.series
        ],
    }


def _marks(marks: Mapping[str, float]) -> list[JSONValue]:
    return [[plain(name), _number(value)] for name, value in marks.items()]


def _points(chart: Points) -> dict[str, JSONValue]:
    n_points = sum(len(series.xs) for series in chart.series)
    limit = MAX_POINTS // max(len(chart.series), 1)
    return {
        "kind": "points",
        "x": plain(chart.x_label),
        "y": plain(chart.y_label),
        "isLogX": chart.is_log_x,
        "hasDiagonal": chart.has_diagonal,
        "nTotal": n_points,
        "series": [_point_series(series, sample_rows(len(series.xs), limit=limit)) for series in chart.series],
    }


def _point_series(series: PointSeries, kept: Sequence[int]) -> dict[str, JSONValue]:
    def chosen(values: Numbers) -> list[JSONValue]:
        return numbers_to_json([values[row] for row in kept]) if len(values) else []

    return {
        "name": plain(series.name),
        "isBaseline": series.is_baseline,
        "facets": facets_to_json(series.facets),
        "xs": chosen(series.xs),
        "ys": chosen(series.ys),
        "xLows": chosen(series.x_lows),
        "xHighs": chosen(series.x_highs),
        "lows": chosen(series.lows),
        "highs": chosen(series.highs),
        "labels": _names([series.labels[row] for row in kept]) if series.labels else [],
    }


def _heatmap(chart: Heatmap) -> dict[str, JSONValue]:
    return {
        "kind": "heatmap",
        "unit": plain(chart.unit),
        "rows": _names(chart.row_names),
        "columns": _names(chart.column_names),
        "rowAxis": plain(chart.row_axis),
        "columnAxis": plain(chart.column_axis),
        "rowFacet": chart.row_facet,
        "columnFacet": chart.column_facet,
        "values": [numbers_to_json(row) for row in chart.values],
        "texts": [_names(row) for row in chart.texts],
        "isDiverging": chart.is_diverging,
        "limits": None if chart.limits is None else numbers_to_json(chart.limits),
    }


def _tree(chart: Tree) -> dict[str, JSONValue]:
    return {
        "kind": "tree",
        "unit": plain(chart.unit),
        "names": _names(chart.names),
        "merges": [_merge(merge) for merge in chart.merges],
    }


def _merge(merge: Merge) -> list[JSONValue]:
    return [merge.left, merge.right, _number(merge.height), _number(merge.support)]


def _named(series: BarSeries | LineSeries) -> dict[str, JSONValue]:
    return {
        "name": plain(series.name),
        "isBaseline": series.is_baseline,
        "facets": facets_to_json(series.facets),
        "lows": numbers_to_json(series.lows),
        "highs": numbers_to_json(series.highs),
        "ns": numbers_to_json(series.ns),
    }


def _names(names: Sequence[str]) -> list[JSONValue]:
    return [plain(name) for name in names]


def numbers_to_json(values: Numbers) -> list[JSONValue]:
    """Return numbers rounded to five digits, gaps as null.

    >>> numbers_to_json([0.1234567, None, float("nan"), 120])
    [0.12346, None, None, 120]
    """
    return [_number(value) for value in values]


def _number(value: Number) -> int | float | None:
    if value is None or not math.isfinite(value):
        return None
    if float(value).is_integer() and abs(value) < 2**53:
        return int(value)
    return float(f"{value:.{_DIGITS}g}")
