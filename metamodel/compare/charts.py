"""The plot of a comparison: the differences with their intervals, the greatest first."""

from __future__ import annotations

from typing import Final

from metamodel.compare.rows import ComparedRow, Verdict
from metamodel.compare.stage import RunComparison
from metamodel.compare.tables import what
from metamodel.report import chart_tools as tools
from metamodel.report.numbers import SHORT_SPLIT_NAMES
from metamodel.report.palette import BASELINE_COLORS, PROBLEM, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg

MOST_DRAWN: Final = 40
_CAPTION: Final = (
    "Points: bits gained by the new run less those of the old one, with 95 % interval. Blue discs: better. Red "
    "diamonds: worse. Grey circles: no difference seen. Crosses: the labels differ, no verdict."
)
_LOOKS: Final[dict[Verdict, tuple[str, str]]] = {
    "better": (TRAINED_COLORS[0], "o"),
    "worse": (PROBLEM, "D"),
    "no difference seen": (BASELINE_COLORS[1], "o"),
    "too few prompts": (BASELINE_COLORS[2], "o"),
    "different data": (BASELINE_COLORS[0], "X"),
}
_ROW_INCHES: Final = 0.24


def compare_chart(found: RunComparison) -> tools.Chart:
    """Draw the greatest differences over domains; the CSV holds all rows, single domains too."""
    ranked = sorted(found.summaries, key=lambda row: -abs(row.difference.value))
    shown = ranked[:MOST_DRAWN]
    title = "Difference of two runs in bits"
    title += f" (the {len(shown)} greatest of {len(ranked)})" if len(shown) < len(ranked) else ""
    with drawing_style():
        figure = tools.new_figure(height=1.4 + _ROW_INCHES * len(shown), width=9.0)
        axes = figure.subplots()
        tools.zero_line(axes)
        for place, row in enumerate(reversed(shown)):
            color, marker = _LOOKS[row.verdict]
            ends = [end for end in (row.difference.low, row.difference.high) if end is not None]
            axes.plot(ends, [place] * len(ends), color=color, linewidth=1.6)
            face = "none" if row.verdict in ("no difference seen", "too few prompts") else color
            axes.plot([row.difference.value], [place], marker=marker, color=color, markerfacecolor=face, markersize=5)
        axes.set_yticks(range(len(shown)), [row_label(row) for row in reversed(shown)], fontsize=7)
        axes.set_xlabel("new run less old run, bits a label")
        svg = figure_to_svg(figure, name="compare", title=title, description=_CAPTION)
    keys = list(found.rows[0].to_dict()) if found.rows else []
    flat = [key for key in keys if key != "rates"]
    lines = [[_cell(row.to_dict()[key]) for key in flat] for row in found.rows]
    return tools.Chart(
        name="compare", primary="", behavior=None, title=title, caption=_CAPTION, svg=svg,
        csv=tools.to_csv(flat, lines),
    )  # fmt: skip


def row_label(row: ComparedRow) -> str:
    """Return a name that fits beside an axis."""
    return f"{tools.short(str(row.behavior))}, {tools.short(what(row))}, {SHORT_SPLIT_NAMES[row.split]}"


def _cell(value: object) -> tools.CsvCell:
    return value if value is None or isinstance(value, str | int | float) else str(value)
