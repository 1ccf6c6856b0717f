"""The chart of a corpus against outputs: each behavior's rate in the corpus and in every context."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from metamodel.corpus.decision import CLASSES
from metamodel.corpus.rows import Classified, CorpusComparison, PlaceRate
from metamodel.report import chart_tools as tools
from metamodel.report.chart_files import write_chart
from metamodel.report.palette import INK, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from metamodel.store.run_directory import RunDirectory

MOST_ROWS: Final = 40
_LEAST_RATE: Final = 1e-4
_CAPTION: Final = (
    "Rate of each behavior in the corpus (squares) and in the outputs of every domain (circles), with 95 % intervals; "
    "the dashed line is the floor. Filled: present; hollow: absent; faint: the data cannot tell. Rates below 0.0001 "
    "stand at the left edge."
)


def write_comparison(run: RunDirectory, found: CorpusComparison) -> list[str]:
    """Write corpus.json and a chart for each primary model; returns their paths below the run directory."""
    run.write_text("corpus.json", json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    primaries = dict.fromkeys(row.primary for row in found.rows)
    return ["corpus.json", *(write_chart(run, corpus_chart(found, primary)) for primary in primaries)]


def corpus_chart(found: CorpusComparison, primary: str) -> tools.Chart:
    """Draw one primary model's behaviors, sorted by class; those that are nowhere come last."""
    rows = sorted(
        (row for row in found.rows if row.primary == primary),
        key=lambda row: (CLASSES.index(row.kind), -(row.corpus.rate or 0.0), row.behavior),
    )
    shown = rows[:MOST_ROWS]
    title = f"Training data against outputs of {tools.short(primary)}"
    if len(shown) < len(rows):
        title += f" (the first {len(shown)} of {len(rows)} behaviors)"
    name = tools.safe_name("corpus", primary)
    with drawing_style():
        from matplotlib.lines import Line2D

        figure = tools.new_figure(height=1.4 + 0.34 * len(shown))
        axes = figure.subplots()
        for y, row in enumerate(reversed(shown)):
            _row(axes, row, y)
        axes.axvline(found.floor, color=INK, linestyle=(0, (4, 3)), linewidth=1.0)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(_LEAST_RATE * 0.8, 1.3)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        labels = [f"{tools.short(row.behavior)}: {row.kind}" for row in reversed(shown)]
        axes.set_yticks(range(len(shown)), labels)
        axes.grid(visible=True, axis="x")
        axes.set(xlabel="share of texts that show it")
        handles = [
            Line2D([], [], color=TRAINED_COLORS[1], marker="s", linestyle="", markersize=5, label="corpus"),
            Line2D([], [], color=TRAINED_COLORS[0], marker="o", linestyle="", markersize=5, label="outputs, by domain"),
        ]
        tools.legend_below(figure, handles)
        svg = figure_to_svg(figure, name=name, title=title, description=_CAPTION)
    return tools.Chart(
        name=name, primary=primary, behavior=None, title=title, caption=_CAPTION, svg=svg, csv=_csv(rows)
    )


def _row(axes: Axes, row: Classified, y: int) -> None:
    places = [(row.corpus, "s", TRAINED_COLORS[1], 0.18)]
    step = 0.36 / max(len(row.contexts), 1)
    places += [(context, "o", TRAINED_COLORS[0], 0.05 - step * number) for number, context in enumerate(row.contexts)]
    for place, marker, color, shift in places:
        rate = max(place.rate or 0.0, _LEAST_RATE)
        alpha = 0.35 if place.state == "unclear" else 1.0
        ends = (max(place.low, _LEAST_RATE), max(place.high, _LEAST_RATE))
        axes.plot(ends, [y + shift] * 2, color=color, linewidth=0.8, alpha=0.5 * alpha)
        face = color if place.state == "present" else "white"
        axes.plot(
            [rate], [y + shift], marker=marker, markersize=4, color=color, markerfacecolor=face, alpha=alpha, zorder=4
        )


def _csv(rows: Sequence[Classified]) -> str:
    header = ["behavior", "primary", "kind", *(item.name for item in fields(PlaceRate))]
    lines = [
        [row.behavior, row.primary, row.kind, *(getattr(place, item.name) for item in fields(PlaceRate))]
        for row in rows
        for place in (row.corpus, *row.contexts)
    ]
    return tools.to_csv(header, lines)
