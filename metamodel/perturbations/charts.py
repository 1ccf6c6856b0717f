"""Dose and response: how behaviors and metamodels' bits move with the strength of a perturbation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from metamodel.perturbations.lineage import Derived
from metamodel.perturbations.rows import BehaviorChange, Moved, PredictionChange
from metamodel.report import chart_tools as tools
from metamodel.report.chart_files import write_chart
from metamodel.report.palette import INK, PROBLEM, TRAINED_COLORS, TRAINED_MARKERS
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from metamodel.store.run_directory import RunDirectory

MOST_PANELS: Final = 12
_COLUMNS: Final = 3
_BEHAVIOR_CAPTION: Final = (
    "Change of each behavior's mean label (a rate, where labels are yes or no) against the original, with 95 % "
    "intervals; stronger perturbations stand further right. Filled: significant after adjustment."
)
_PREDICTION_CAPTION: Final = (
    "Bits explained of the derived model's labels by metamodels trained on the original; at the left, of the "
    "original's own. Below zero the best constant would do better. Red rings: lost."
)


def write_moved(run: RunDirectory, found: Moved) -> list[str]:
    """Write perturb.json and the charts; returns their paths below the run directory."""
    run.write_text("perturb.json", json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return ["perturb.json", *(write_chart(run, chart) for chart in moved_charts(found))]


def moved_charts(found: Moved) -> list[tools.Chart]:
    """Draw, for each original and kind of perturbation, its behaviors and the metamodels' bits."""
    charts = []
    for original, kind in dict.fromkeys((one.original, one.kind) for one in found.derived):
        models = [one for one in found.derived if (one.original, one.kind) == (original, kind)]
        names = {one.name for one in models}
        charts.append(_behavior_chart([row for row in found.behaviors if row.derived in names], models))
        predictions = [row for row in found.predictions if row.derived in names]
        if predictions:
            charts.append(_prediction_chart(predictions, models))
    return charts


def _behavior_chart(rows: Sequence[BehaviorChange], models: Sequence[Derived]) -> tools.Chart:
    pooled = [row for row in rows if row.domain is None]
    panels: dict[str, list[BehaviorChange]] = {}
    for row in pooled:
        panels.setdefault(row.behavior if row.outcome is None else f"{row.behavior}={row.outcome}", []).append(row)
    # What moves most, for its noise, comes first.
    ranked = sorted(panels, key=lambda name: (min(row.p for row in panels[name]), name))[:MOST_PANELS]
    title = f"Behaviors of {tools.short(models[0].original)} under {models[0].kind}{_of_all(ranked, panels)}"
    name = tools.safe_name("perturb", "behaviors", models[0].original, models[0].kind)
    with drawing_style():
        figure, grid = _grid(len(ranked))
        for axes, panel in zip(grid, ranked, strict=True):
            _behavior_panel(axes, panels[panel], models)
            axes.set_title(tools.short(panel))
        svg = figure_to_svg(figure, name=name, title=title, description=_BEHAVIOR_CAPTION)
    header = [item.name for item in fields(BehaviorChange)]
    return tools.Chart(
        name=name,
        primary=models[0].original,
        behavior=None,
        title=title,
        caption=_BEHAVIOR_CAPTION,
        svg=svg,
        csv=tools.to_csv(header, [[getattr(row, item) for item in header] for row in rows]),
    )


def _behavior_panel(axes: Axes, rows: Sequence[BehaviorChange], models: Sequence[Derived]) -> None:
    place_of = {one.name: place for place, one in enumerate(models, start=1)}
    axes.axhline(0, color=INK, linewidth=1.1, zorder=2)
    places = [place_of[row.derived] for row in rows]
    axes.plot([0, *places], [0.0, *(row.change for row in rows)], color=TRAINED_COLORS[0], linewidth=1.0, alpha=0.6)
    for row, place in zip(rows, places, strict=True):
        if row.low is not None and row.high is not None:
            axes.vlines(place, row.low, row.high, color=TRAINED_COLORS[0], linewidth=1.2)
        face = TRAINED_COLORS[0] if row.moves else "white"
        axes.plot([place], [row.change], marker="o", markersize=4.5, color=TRAINED_COLORS[0], markerfacecolor=face)
    _dose_axis(axes, models)


def _prediction_chart(rows: Sequence[PredictionChange], models: Sequence[Derived]) -> tools.Chart:
    # Held-out domains are the claim; the other split is drawn only where there is no other.
    has_held_out = any(row.split == "held_out_domain" for row in rows)
    shown = [row for row in rows if (row.split == "held_out_domain") == has_held_out]
    panels: dict[str, list[PredictionChange]] = {}
    for row in shown:
        panels.setdefault(row.behavior, []).append(row)
    ranked = sorted(panels, key=lambda name: (min(row.p for row in panels[name]), name))[:MOST_PANELS]
    where = "held-out domains" if has_held_out else "in distribution"
    title = (
        f"Metamodels of {tools.short(models[0].original)} on its perturbations by {models[0].kind} "
        f"({where}){_of_all(ranked, panels)}"
    )
    name = tools.safe_name("perturb", "predictions", models[0].original, models[0].kind)
    metamodels = sorted({row.metamodel for row in shown})
    looks = {
        metamodel: (TRAINED_COLORS[place % len(TRAINED_COLORS)], TRAINED_MARKERS[place % len(TRAINED_MARKERS)])
        for place, metamodel in enumerate(metamodels)
    }
    with drawing_style():
        from matplotlib.lines import Line2D

        figure, grid = _grid(len(ranked))
        for axes, panel in zip(grid, ranked, strict=True):
            _prediction_panel(axes, panels[panel], models, looks)
            axes.set_title(tools.short(panel))
        handles = [
            Line2D([], [], color=color, marker=marker, markersize=4.5, label=tools.short(metamodel))
            for metamodel, (color, marker) in looks.items()
        ]
        tools.legend_below(figure, handles)
        svg = figure_to_svg(figure, name=name, title=title, description=_PREDICTION_CAPTION)
    header = [item.name for item in fields(PredictionChange)]
    return tools.Chart(
        name=name,
        primary=models[0].original,
        behavior=None,
        title=title,
        caption=_PREDICTION_CAPTION,
        svg=svg,
        csv=tools.to_csv(header, [[getattr(row, item) for item in header] for row in rows]),
    )


def _prediction_panel(
    axes: Axes, rows: Sequence[PredictionChange], models: Sequence[Derived], looks: dict[str, tuple[str, str]]
) -> None:
    place_of = {one.name: place for place, one in enumerate(models, start=1)}
    axes.axhline(0, color=INK, linewidth=1.1, zorder=2)
    for number, (metamodel, (color, marker)) in enumerate(looks.items()):
        mine = [row for row in rows if row.metamodel == metamodel]
        if not mine:
            continue
        shift = 0.06 * (number - (len(looks) - 1) / 2)
        places = [place_of[row.derived] + shift for row in mine]
        axes.plot(
            [shift, *places],
            [mine[0].original_bits, *(row.derived_bits for row in mine)],
            color=color,
            marker=marker,
            markersize=4,
            linewidth=1.0,
        )
        for row, place in zip(mine, places, strict=True):
            axes.vlines(place, row.derived_low_bits, row.derived_high_bits, color=color, linewidth=0.8, alpha=0.6)
            if row.verdict == "lost":
                axes.plot([place], [row.derived_bits], marker="o", markersize=9, markerfacecolor="none", color=PROBLEM)
    # A metamodel that fails badly would press all others together.
    high = max(0.02, *(max(row.original_bits, row.derived_high_bits) for row in rows)) * 1.1
    low = min(0.0, *(min(row.original_bits, row.derived_low_bits) for row in rows)) * 1.1
    axes.set_ylim(max(low, -3 * high), high)
    _dose_axis(axes, models)


def _dose_axis(axes: Axes, models: Sequence[Derived]) -> None:
    labels = ["original", *(one.label for one in models)]
    axes.set_xticks(range(len(labels)), [tools.short(label) for label in labels], rotation=30, ha="right", fontsize=7)
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.grid(visible=True, axis="y")


def _grid(n_panels: int) -> tuple[Figure, list[Axes]]:
    n_lines = -(-n_panels // _COLUMNS)
    figure = tools.new_figure(height=0.8 + 2.6 * n_lines)
    grid = figure.subplots(n_lines, min(_COLUMNS, n_panels), squeeze=False).ravel()
    for axes in grid[n_panels:]:
        axes.set_axis_off()
    return figure, list(grid[:n_panels])


def _of_all(shown: Sequence[str], panels: dict[str, list[BehaviorChange]] | dict[str, list[PredictionChange]]) -> str:
    return f" (the {len(shown)} strongest of {len(panels)})" if len(shown) < len(panels) else ""
