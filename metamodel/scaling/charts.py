"""The charts of a table's scaling: terms of all tasks, and the scores over size with the fitted curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.report import chart_tools as tools
from metamodel.report.palette import BASELINE_COLORS, INK, PROBLEM, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.scaling.mirage import Mirage
from metamodel.scaling.stage import Scaling, TermRow
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TASKS: Final = 40
MOST_PANELS: Final = 24
MOST_PAIRS: Final = 8
_COLUMNS: Final = 4
_TITLES: Final = {"parameters": "with size", "tokens": "over training", "interaction": "interaction"}
_TERMS_CAPTION: Final = (
    "t of each term of each task; the band is where |t| is below 2. Filled: significant after adjustment. Red: the "
    "score gets worse."
)
_CURVES_CAPTION: Final = (
    "Points: scores. Lines: the fitted regression at the fewest, a middle and the most tokens; darker is more tokens."
)
_MIRAGE_CAPTION: Final = (
    "The same curve under two metrics: left the linear one, right the thresholded one. The band is the step where the "
    "thresholded metric moves most."
)


def scaling_charts(found: Scaling) -> list[tools.Chart]:
    """Draw the terms and the curves; of many tasks those with the largest t, while the CSV holds all."""
    strength: dict[str, float] = {}
    for row in found.rows:
        strength[row.task] = max(strength.get(row.task, 0.0), abs(row.t))
    ranked = sorted(strength, key=lambda task: (-strength[task], task))
    return [_terms_chart(found, ranked[:MOST_TASKS]), _curves_chart(found, ranked[:MOST_PANELS])]


def mirage_chart(found: Sequence[Mirage]) -> tools.Chart:
    """Draw curves under a linear and a thresholded metric side by side, the first of many, while the CSV holds all."""
    title = "The same curve under a linear and a thresholded metric"
    # What jumps comes first; what never moves has nothing to show.
    order = {"metric": 0, "behavior": 1, "unclear": 2, "none": 3}
    ranked = sorted(found, key=lambda one: (order[one.finding], one.task, one.along))
    moving = [one for one in ranked if one.thresholded_sharpness.range > 0]
    shown = (moving or ranked)[:MOST_PAIRS]
    with drawing_style():
        figure = tools.new_figure(height=1.4 + 2.1 * len(shown), width=9.0)
        grid = figure.subplots(len(shown), 2, squeeze=False)
        for pair, one in zip(grid, shown, strict=True):
            _mirage_panel(pair[0], one, one.linear, one.linear_name)
            _mirage_panel(pair[1], one, one.thresholded, one.thresholded_name)
        svg = figure_to_svg(figure, name="mirage", title=title, description=_MIRAGE_CAPTION)
    header = ("task", "along", "size", "linear", "thresholded", "finding")
    lines = [
        (one.task, one.along, size, float(one.linear[place]), float(one.thresholded[place]), one.finding)
        for one in found
        for place, size in enumerate(one.sizes)
    ]
    return tools.Chart(
        name="mirage",
        primary="",
        behavior=None,
        title=title,
        caption=_MIRAGE_CAPTION,
        svg=svg,
        csv=tools.to_csv(header, lines),
    )


def _terms_chart(found: Scaling, tasks: Sequence[str]) -> tools.Chart:
    title = "Scaling of each task"
    if len(tasks) < len(found.fits):
        title += f" (the {len(tasks)} strongest of {len(found.fits)})"
    order = {task: place for place, task in enumerate(reversed(tasks))}
    terms = list(dict.fromkeys(row.term for row in found.rows))
    with drawing_style():
        figure = tools.new_figure(height=1.5 + 0.22 * len(tasks))
        panels = figure.subplots(1, len(terms), sharey=True, squeeze=False)[0]
        for axes, term in zip(panels, terms, strict=True):
            axes.axvspan(-2, 2, color=BASELINE_COLORS[2], alpha=0.25, linewidth=0)
            tools.zero_line(axes)
            axes.grid(visible=True, axis="x")
            for row in found.rows:
                if row.term == term and row.task in order:
                    _term_point(axes, row, order[row.task])
            axes.set(title=_TITLES[term], xlabel=f"t ({_df_text(found)})", ylim=(-0.7, len(tasks) - 0.3))
        panels[0].set_yticks(list(order.values()), [tools.short(task) for task in order])
        svg = figure_to_svg(figure, name="scaling-terms", title=title, description=_TERMS_CAPTION)
    header = [item.name for item in fields(TermRow)]
    return tools.Chart(
        name="scaling-terms",
        primary="",
        behavior=None,
        title=title,
        caption=_TERMS_CAPTION,
        svg=svg,
        csv=tools.to_csv(header, [list(row.to_dict().values()) for row in found.rows]),
    )


def _df_text(found: Scaling) -> str:
    """Return the degrees of freedom, which may differ between tasks."""
    known = sorted({row.df for row in found.rows})
    return f"df {known[0]}" if len(known) == 1 else f"df {known[0]} to {known[-1]}"


def _term_point(axes: Axes, row: TermRow, y: int) -> None:
    color = PROBLEM if row.direction == "inverse" else TRAINED_COLORS[0]
    axes.plot([0, row.t], [y, y], color=color, linewidth=0.9, alpha=0.5)
    face = color if row.is_significant else "white"
    axes.plot([row.t], [y], marker="o", markersize=4.5, color=color, markerfacecolor=face, zorder=4)


def _curves_chart(found: Scaling, tasks: Sequence[str]) -> tools.Chart:
    title = "Scores and fitted curves"
    if len(tasks) < len(found.fits):
        title += f" (the {len(tasks)} strongest of {len(found.fits)} tasks)"
    n_lines = -(-len(tasks) // _COLUMNS)
    with drawing_style():
        figure = tools.new_figure(height=0.6 + 2.0 * n_lines)
        grid = figure.subplots(n_lines, min(_COLUMNS, len(tasks)), squeeze=False).ravel()
        for axes, task in zip(grid, tasks, strict=False):
            _curve_panel(axes, found, task)
        for axes in grid[len(tasks) :]:
            axes.set_axis_off()
        svg = figure_to_svg(figure, name="scaling-curves", title=title, description=_CURVES_CAPTION)
    return tools.Chart(
        name="scaling-curves",
        primary="",
        behavior=None,
        title=title,
        caption=_CURVES_CAPTION,
        svg=svg,
        csv=_curves_csv(found),
    )


def _curve_panel(axes: Axes, found: Scaling, task: str) -> None:
    table, fit = found.table, found.fits[task]
    mine = table.rows_of[task]
    scores = table.scores[mine]
    across, other = table.log_parameters, table.log_tokens
    if across is None:
        across, other = table.log_tokens, None
    if across is None:
        raise TypeError("a table has parameters or tokens")
    x = across[mine]
    ends = np.linspace(x.min(), x.max(), 40)
    if other is None:
        axes.scatter(x, scores, s=7, color=TRAINED_COLORS[0], linewidth=0)
        given = (ends, None) if table.log_parameters is not None else (None, ends)
        axes.plot(ends, fit.predicted(*given), color=INK, linewidth=1)
    else:
        levels = np.unique(other[mine])
        span = max(float(np.ptp(levels)), np.finfo(float).tiny)
        for level in levels:
            at = other[mine] == level
            share = 0.2 + 0.8 * float(level - levels[0]) / span
            axes.scatter(x[at], scores[at], s=7, color=TRAINED_COLORS[0], alpha=share, linewidth=0)
        for level in dict.fromkeys((levels[0], levels[len(levels) // 2], levels[-1])):
            share = 0.3 + 0.7 * float(level - levels[0]) / span
            axes.plot(ends, fit.predicted(ends, np.full(len(ends), level)), color=INK, linewidth=1, alpha=share)
    axes.set_title(tools.short(task), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("log10 parameters" if table.log_parameters is not None else "log10 tokens", fontsize=7)


def _curves_csv(found: Scaling) -> str:
    table = found.table
    sizes = (table.log_parameters, table.log_tokens)
    values = np.full(len(table.scores), np.nan)
    for task, fit in found.fits.items():
        mine = table.rows_of[task]
        values[mine] = fit.predicted(*(None if one is None else one[mine] for one in sizes))
    fitted = [None if np.isnan(value) else float(value) for value in values]
    logs = [[None] * len(values) if one is None else one.tolist() for one in sizes]
    lines = zip(table.tasks, *logs, table.scores.tolist(), fitted, strict=True)
    return tools.to_csv(("task", "log10_parameters", "log10_tokens", "score", "fitted"), lines)


def _mirage_panel(axes: Axes, one: Mirage, values: FloatArray, name: str) -> None:
    logs = np.log10(one.sizes)
    step = one.thresholded_sharpness.step
    axes.axvspan(logs[step], logs[step + 1], color=BASELINE_COLORS[2], alpha=0.3, linewidth=0)
    axes.plot(logs, values, marker="o", markersize=4, linewidth=1.2, color=TRAINED_COLORS[0])
    axes.set_title(f"{tools.short(one.task)}: {tools.short(name)}", fontsize=8)
    axes.set_xlabel(f"log10 {one.along}", fontsize=7)
    axes.tick_params(labelsize=7)
