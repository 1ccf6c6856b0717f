"""The chart of a search: what each trial gained, and which fields mattered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.report import chart_tools as tools
from metamodel.report.palette import BASELINE_COLORS, INK, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.report.visible_text import plain
from metamodel.tune.trials import TuneResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION: Final = (
    "Left: the mean bits that each trial gained on left-out domains, in the order of the trials; open points were "
    "given up after some folds; the line is the best so far, the dashed one what the config's own fields gain. Right: "
    "the share of the variance between trials that each field explains."
)


def tune_chart(result: TuneResult) -> tools.Chart | None:
    """Draw a search; None where no trial has a figure."""
    judged = [trial for trial in result.trials if trial.bits]
    if not judged:
        return None
    name = tools.safe_name("tune", result.metamodel)
    title = f"Trials of {plain(result.metamodel)}"
    with drawing_style():
        figure = tools.new_figure(height=3.2)
        shares = result.importances
        panels = figure.subplots(1, 2 if shares else 1, squeeze=False, width_ratios=[2.4, 1] if shares else [1])[0]
        _trial_panel(panels[0], result)
        tools.legend_below(figure, panels[0].get_legend_handles_labels()[0])
        if shares:
            _importance_panel(panels[1], result)
        svg = figure_to_svg(figure, name=name, title=title, description=_CAPTION)
    header = ("trial", "state", "bits", "n_folds", "seconds", *result.trials[0].fields)
    lines = [
        (
            trial.number,
            trial.state,
            trial.worth_bits,
            len(trial.bits),
            trial.seconds,
            *(json.dumps(value) for value in trial.fields.values()),
        )
        for trial in result.trials
    ]
    return tools.Chart(
        name=name, primary="", behavior=None, title=title, caption=_CAPTION, svg=svg, csv=tools.to_csv(header, lines)
    )


def _trial_panel(axes: Axes, result: TuneResult) -> None:
    complete = [trial for trial in result.trials if trial.state == "complete"]
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    color, faint = TRAINED_COLORS[0], BASELINE_COLORS[1]
    axes.set_title(f"{tools.short(result.metamodel)}: bits gained on left-out domains")
    axes.grid(visible=True, axis="y")
    if complete:
        numbers = [trial.number for trial in complete]
        worths = [trial.bits[-1] for trial in complete]
        axes.step(numbers, np.maximum.accumulate(worths), where="post", color=color, linewidth=1.2, label="best so far")
        axes.scatter(numbers, worths, s=22, color=color, linewidth=0, zorder=4, label="trial")
    if pruned:
        axes.scatter(
            [trial.number for trial in pruned],
            [trial.bits[-1] for trial in pruned],
            s=20,
            facecolors="none",
            edgecolors=faint,
            zorder=3,
            label="given up",
        )
    if result.own is not None:
        axes.axhline(result.own.bits[-1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="the config's own")
    axes.set(xlabel="trial", ylabel="bits gained a prompt")
    axes.locator_params(axis="x", integer=True)


def _importance_panel(axes: Axes, result: TuneResult) -> None:
    shares = dict(sorted(result.importances.items(), key=lambda item: item[1]))
    axes.set_title("importance of the fields")
    axes.barh([tools.short(name) for name in shares], list(shares.values()), color=TRAINED_COLORS[0], height=0.6)
    axes.set(xlim=(0, 1), xlabel="share of variance")
