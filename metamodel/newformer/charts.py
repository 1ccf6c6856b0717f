"""The learning curves as a chart that needs no page."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from metamodel.newformer.results import LearningPoint, Newformer
from metamodel.report import chart_tools as tools
from metamodel.report.palette import looks
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WAYS: Final = ("recalibrated", "adapted", "from scratch")
_MOST_PANELS: Final = 12
_N_COLUMNS: Final = 3
_CAPTION: Final = (
    "Bits gained over the best constant against labeled prompts of the new primary model, mean over draws, with 95 % "
    "intervals over judged prompts. Dashed: the known metamodels' mean, without a label."
)


def learning_chart(found: Newformer) -> tools.Chart | None:
    """Draw a panel for each behavior and split, the first dozen; None where nothing was learned."""
    panels = list(dict.fromkeys((point.behavior, point.split) for point in found.learning))[:_MOST_PANELS]
    if not panels:
        return None
    colors = {name: look.color for name, look in looks(list(_WAYS), baselines=[]).items()}
    n_rows = -(-len(panels) // _N_COLUMNS)
    with drawing_style():
        from matplotlib.lines import Line2D

        figure = tools.new_figure(height=0.6 + 2.3 * n_rows)
        axes = figure.subplots(n_rows, _N_COLUMNS, squeeze=False).ravel()
        for axis, (behavior, split) in zip(axes, panels, strict=False):
            points = [point for point in found.learning if (point.behavior, point.split) == (behavior, split)]
            _panel(axis, points, colors)
            axis.set_title(f"{tools.short(behavior)}, {split.replace('_', ' ')}", fontsize=8)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        tools.legend_below(figure, [Line2D([], [], color=colors[way], label=way) for way in _WAYS])
        title = f"What labels of {found.primary} are worth"
        svg = figure_to_svg(figure, name="newformer", title=title, description=_CAPTION)
    header = [item.name for item in fields(LearningPoint)]
    csv = tools.to_csv(header, [[getattr(point, name) for name in header] for point in found.learning])
    return tools.Chart(
        name="newformer", primary=found.primary, behavior=None, title=title, caption=_CAPTION, svg=svg, csv=csv
    )


def _panel(axis: Axes, points: list[LearningPoint], colors: dict[str, str]) -> None:
    axis.set_xscale("log")
    axis.axhline(0, color="0.7", linewidth=0.8)
    for point in points:
        if point.way == "zero-shot":
            axis.axhline(point.bits, color="0.4", linewidth=1, linestyle="--")
    for way in _WAYS:
        mine = sorted((point for point in points if point.way == way), key=lambda point: point.n_labeled)
        if not mine:
            continue
        xs = [point.n_labeled for point in mine]
        axis.plot(xs, [point.bits for point in mine], color=colors[way], marker="o", markersize=2.5, linewidth=1.2)
        if all(point.low is not None and point.high is not None for point in mine):
            lows, highs = [point.low or 0.0 for point in mine], [point.high or 0.0 for point in mine]
            axis.fill_between(xs, lows, highs, color=colors[way], alpha=0.15, linewidth=0)
    axis.tick_params(labelsize=7)
