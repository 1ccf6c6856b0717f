"""The chart of the ladder: bits gained against bits of description."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from metamodel.ladder.curve import LadderPoint
from metamodel.ladder.stage import AS_SAVED, Ladder
from metamodel.report import chart_tools as tools
from metamodel.report.palette import INK, Look, looks
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_CAPTION: Final = (
    "Across: bits that describe what predicts, by ratio. Up: mean bits gained on domains never trained on, "
    "with 95 % intervals; below the zero line is worse than a constant. A line joins one metamodel's variants; filled "
    "is the one that was saved. The dashed stairs are the front: no shorter description gains as much. The ring is its "
    "knee, farthest above the chord between its ends. A dotted line leads to the size with borrowed pretrained parts. "
    "An arrow marks a point below the axis."
)
_VARIANT_MARKERS: Final = ("o", "s", "D", "^", "v", "P", "<", ">")
_CARET_DOWN: Final = 7  # matplotlib's number for a triangle that points down, its tip on the point


def ladder_chart(ladder: Ladder, *, baselines: Sequence[str], behavior: str | None, primary: str | None) -> tools.Chart:
    """Draw a ladder.

    Args:
        ladder: At least one point.
        baselines: Names of the metamodels to draw in grey.
        behavior: The one that was asked for, if one was.
        primary: The same for the primary model.
    """
    names = list(dict.fromkeys(point.metamodel for point in ladder.points))
    known = looks(sorted(names), baselines=baselines)
    variants = sorted({point.variant for point in ladder.points}, key=lambda name: (name != AS_SAVED, name))
    markers = {name: _VARIANT_MARKERS[place % len(_VARIANT_MARKERS)] for place, name in enumerate(variants)}
    parts = [part for part in (primary, behavior) if part is not None]
    name = tools.safe_name("ladder", *parts)
    title = "Bits gained against bits of description"
    with drawing_style():
        figure = tools.new_figure(height=5.0, width=8.6)
        axes = figure.subplots()
        _draw(axes, ladder, known, markers)
        axes.set_title(", ".join([title, *(tools.short(part) for part in parts)]))
        tools.legend_below(figure, _handles(known, markers))
        svg = figure_to_svg(figure, name=name, title=title, description=_CAPTION)
    header = [item.name for item in fields(LadderPoint)]
    table = tools.to_csv(header, [list(point.to_dict().values()) for point in ladder.points])
    return tools.Chart(
        name=name, primary=primary or "", behavior=behavior, title=title, caption=_CAPTION, svg=svg, csv=table
    )


def _draw(axes: Axes, ladder: Ladder, known: Mapping[str, Look], markers: Mapping[str, str]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    # matplotlib's own labels are formulas, which the style forbids.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(EngFormatter(unit="bit"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = _limits(ladder.points)
    axes.set_ylim(low, high)
    axes.grid(visible=True)
    axes.axhline(0, color=INK, linewidth=1.1, zorder=2)
    for metamodel, look in known.items():
        mine = [point for point in ladder.points if point.metamodel == metamodel]
        sizes, gains = [one.description_bits for one in mine], [one.reduction_bits for one in mine]
        axes.plot(sizes, gains, color=look.color, linewidth=0.9, alpha=0.55, zorder=3)
        for point in mine:
            _draw_point(axes, point, look, markers[point.variant], low=low)
    front = [point for point in ladder.points if point.is_on_front]
    axes.step(
        [point.description_bits for point in front],
        [point.reduction_bits for point in front],
        where="post",
        color=INK,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        alpha=0.8,
        zorder=2.5,
    )
    if ladder.knee is not None:
        place = (ladder.knee.description_bits, ladder.knee.reduction_bits)
        axes.scatter(*place, s=150, facecolors="none", edgecolors=INK, linewidth=1.4, zorder=6)
        axes.annotate("knee", place, xytext=(9, 8), textcoords="offset points", fontsize=8.5, fontweight="bold")
    axes.set(xlabel="description", ylabel="bits gained a prompt and behavior, held-out domains")


def _draw_point(axes: Axes, point: LadderPoint, look: Look, marker: str, *, low: float) -> None:
    size, gain = point.description_bits, point.reduction_bits
    if gain < low:
        axes.plot([size], [low], marker=_CARET_DOWN, color=look.color, markersize=5, clip_on=False, zorder=5)
        return
    if point.low_bits is not None and point.high_bits is not None:
        axes.vlines(size, point.low_bits, point.high_bits, color=look.color, linewidth=0.8, alpha=0.5, zorder=3)
    face = look.color if point.variant == AS_SAVED else "white"
    axes.plot([size], [gain], marker=marker, markersize=5, color=look.color, markerfacecolor=face, zorder=5)
    if point.borrowed_bits:
        whole = size + point.borrowed_bits
        axes.plot([size, whole], [gain, gain], color=look.color, linewidth=0.9, linestyle=":", zorder=3)
        axes.plot([whole], [gain], marker="|", markersize=7, color=look.color, zorder=4)


def _limits(points: Sequence[LadderPoint]) -> tuple[float, float]:
    """Return the ends of the axis of bits: one metamodel that fails badly does not press all others together."""
    gains = [point.reduction_bits for point in points]
    highs = [point.high_bits for point in points if point.high_bits is not None]
    lows = [point.low_bits for point in points if point.low_bits is not None]
    high = max([*gains, *highs, 0.01])
    least = min([*gains, *lows, 0.0])
    best = max(gains)
    # Below, so much room as the gains above need, and never less than the best point needs to be seen.
    low = max(least, -1.5 * high, 2.5 * min(best, 0.0) - high) if best > 0 else least
    span = high - low
    return low - 0.05 * span, high + 0.08 * span


def _handles(known: Mapping[str, Look], markers: Mapping[str, str]) -> list[Artist]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=look.color, linewidth=2, label=tools.short(name)) for name, look in known.items()
    ]
    handles += [
        Line2D([], [], color=INK, marker=marker, markersize=4.5, linestyle="", label=name, markerfacecolor=face)
        for name, marker in markers.items()
        for face in [INK if name == AS_SAVED else "white"]
    ]
    return handles
