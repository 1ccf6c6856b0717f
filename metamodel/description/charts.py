"""The chart of description lengths: bits explained against bits of description, and the online codes block by block."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.config import build_config
from metamodel.description.stage import Mdl
from metamodel.description.tables import Described
from metamodel.report import chart_tools as tools
from metamodel.report.baselines import baseline_names
from metamodel.report.chart_files import write_chart
from metamodel.report.palette import INK, looks
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from metamodel.store.run_directory import RunDirectory

_CAPTION: Final = (
    "Left: bits explained of a test prompt, all primary models and behaviors together, with 95 % intervals, against "
    "bits of description by ratio; the dashed stairs are the front, the ring its knee. Right: bits of the online code "
    "for each prompt sent, block by block, less those of the best constant; below zero the prompts pay."
)
_MARKERS: Final = {"two-part": "o", "lossless": "s", "prequential": "D"}


def write_mdl(run: RunDirectory, found: Mdl) -> str:
    """Write plots/mdl.svg, .csv and .json; returns the path of the SVG below the run directory."""
    baselines = baseline_names(build_config(run.config, source=f"{run.path}/run.json"))
    run.write_text("plots/mdl.json", json.dumps(found.to_dict(), indent=1) + "\n")
    return write_chart(run, mdl_chart(found, baselines=baselines))


def mdl_chart(found: Mdl, *, baselines: Sequence[str]) -> tools.Chart:
    """Draw the frontier and the online codes."""
    known = looks(sorted({one.metamodel for one in found.described}), baselines=baselines)
    title = "Bits explained against bits of description"
    with drawing_style():
        from matplotlib.lines import Line2D

        figure = tools.new_figure(height=4.4)
        left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
        _frontier(left, found.described, {name: look.color for name, look in known.items()})
        _online(right, found, {name: look.color for name, look in known.items()})
        handles = [
            Line2D([], [], color=look.color, linewidth=2, label=tools.short(name)) for name, look in known.items()
        ]
        handles += [
            Line2D([], [], color=INK, marker=marker, markersize=4.5, linestyle="", label=measure)
            for measure, marker in _MARKERS.items()
        ]
        tools.legend_below(figure, handles)
        svg = figure_to_svg(figure, name="mdl", title=title, description=_CAPTION)
    header = [*(item.name for item in fields(Described)), "break_even_prompts"]
    lines = [[one.to_dict()[name] for name in header] for one in found.described]
    csv = tools.to_csv(header, lines)
    return tools.Chart(name="mdl", primary="", behavior=None, title=title, caption=_CAPTION, svg=svg, csv=csv)


def _frontier(axes: Axes, described: Sequence[Described], colors: dict[str, str]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=8))
    axes.xaxis.set_major_formatter(EngFormatter(unit="bit"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True)
    axes.axhline(0, color=INK, linewidth=1.1, zorder=2)
    shown = [one for one in described if one.description_bits > 0]
    for one in shown:
        place = (one.description_bits, one.reduction_bits)
        color = colors[one.metamodel]
        if one.low_bits is not None and one.high_bits is not None:
            axes.vlines(place[0], one.low_bits, one.high_bits, color=color, linewidth=0.8, alpha=0.5)
        axes.plot(*place, marker=_MARKERS[one.measure], color=color, markersize=5, linestyle="", zorder=5)
        if one.is_knee:
            axes.scatter(*place, s=150, facecolors="none", edgecolors=INK, linewidth=1.4, zorder=6)
    front = [one for one in shown if one.is_on_front]
    axes.step(
        [one.description_bits for one in front],
        [one.reduction_bits for one in front],
        where="post",
        color=INK,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
    )
    axes.set(xlabel="description", ylabel="bits explained a test prompt", title="Bits explained")


def _online(axes: Axes, found: Mdl, colors: dict[str, str]) -> None:
    """Draw the code's bits a prompt in each block, all primary models and behaviors together."""
    for name, color in colors.items():
        mine = [code for code in found.codes if code.metamodel == name]
        ends = np.array(mine[0].ends)
        steps = np.diff(np.concatenate([[0], ends]))
        bits = sum(np.array(code.block_bits) / steps for code in mine)
        constant = sum(code.constant_bits / ends[-1] for code in mine)
        axes.plot(ends, bits - constant, marker="o", markersize=3, linewidth=1.2, color=color)
    axes.set_xscale("log")
    axes.axhline(0, color=INK, linewidth=1.1, zorder=2)
    axes.grid(visible=True)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="prompts sent", ylabel="bits a prompt over the best constant's", title="Online code")
