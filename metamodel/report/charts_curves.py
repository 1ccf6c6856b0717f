"""Charts of curves: reliability, and risk against coverage, a panel a behavior and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from metamodel.metric_rows import SPLITS
from metamodel.report import chart_tools as tools
from metamodel.report.inputs import ReliabilityCurve, RiskCoverageCurve
from metamodel.report.numbers import SHORT_SPLIT_NAMES
from metamodel.report.palette import INK, Look
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve: TypeAlias = ReliabilityCurve | RiskCoverageCurve
AnyCurve = TypeVar("AnyCurve", ReliabilityCurve, RiskCoverageCurve)

_COLUMNS: Final = 4
_RELIABILITY_CAPTION: Final = (
    "Across: the predicted probability, in bins. Up: how often it came true, with its interval. A calibrated metamodel "
    "follows the dashed diagonal; below it, the metamodel promises too much. Larger points hold more labels. Each "
    "behavior has two panels: domains never trained on (held out), and in distribution."
)
_RISK_CAPTION: Final = (
    "Prompts are taken from the most to the least confident prediction. Across: the share of prompts taken. Up: the "
    "share of wrong predictions among them. The right end is the plain error rate; a curve that rises to it from low "
    "on the left knows when it is right. Each behavior has two panels: domains never trained on (held out), and in "
    "distribution."
)


def reliability_chart(
    curves: Sequence[ReliabilityCurve], *, primary: str, looks: Mapping[str, Look]
) -> tools.Chart | None:
    """Draw predicted against observed frequencies; None without curves of this primary model."""
    mine = [curve for curve in curves if curve.primary == primary and len(curve.predicted)]
    lines = [line for curve in mine for line in _reliability_lines(curve)]
    header = ("metamodel", "behavior", "primary", "split", "predicted", "observed", "weight", "low", "high")
    return _small_multiples(
        mine,
        draw=_reliability_panel,
        looks=looks,
        name=tools.safe_name("reliability", primary),
        title=f"Reliability of the predictions about {plain(primary)}",
        caption=_RELIABILITY_CAPTION,
        table=tools.to_csv(header, lines),
    )


def risk_coverage_chart(
    curves: Sequence[RiskCoverageCurve], *, primary: str, looks: Mapping[str, Look]
) -> tools.Chart | None:
    """Draw error rates among the most confident prompts; None without curves of this primary model."""
    mine = [curve for curve in curves if curve.primary == primary and len(curve.coverage)]
    lines = [
        (curve.metamodel, curve.behavior, curve.primary, curve.split, coverage, risk)
        for curve in mine
        for coverage, risk in zip(curve.coverage, curve.risk, strict=True)
    ]
    header = ("metamodel", "behavior", "primary", "split", "coverage", "risk")
    return _small_multiples(
        mine,
        draw=_risk_panel,
        looks=looks,
        name=tools.safe_name("risk-coverage", primary),
        title=f"Risk against coverage for {plain(primary)}",
        caption=_RISK_CAPTION,
        table=tools.to_csv(header, lines),
    )


def _reliability_lines(curve: ReliabilityCurve) -> list[tuple[tools.CsvCell, ...]]:
    absent = [None] * len(curve.predicted)
    ends = (curve.low or absent, curve.high or absent)
    bins = zip(curve.predicted, curve.observed, curve.weight, *ends, strict=True)
    return [(curve.metamodel, curve.behavior, curve.primary, curve.split, *values) for values in bins]


def _small_multiples(
    curves: Sequence[AnyCurve],
    *,
    draw: Callable[[Axes, Sequence[AnyCurve], Mapping[str, Look]], None],
    looks: Mapping[str, Look],
    name: str,
    title: str,
    caption: str,
    table: str,
) -> tools.Chart | None:
    if not curves:
        return None
    cells = [(behavior, split) for behavior in dict.fromkeys(curve.behavior for curve in curves) for split in SPLITS]
    with drawing_style():
        n_lines = -(-len(cells) // _COLUMNS)
        figure = tools.new_figure(height=0.4 + 2.35 * n_lines)
        grid = figure.subplots(n_lines, _COLUMNS, squeeze=False)
        for axes in grid.flat[len(cells) :]:
            axes.set_axis_off()
        for axes, (behavior, split) in zip(grid.flat, cells, strict=False):
            here = [curve for curve in curves if (curve.behavior, curve.split) == (behavior, split)]
            axes.set_title(f"{tools.short(behavior)}, {SHORT_SPLIT_NAMES[split]}")
            axes.grid(visible=True)
            if here:
                # Trained metamodels last, on top of the greys.
                draw(axes, sorted(here, key=lambda curve: not looks[curve.metamodel].is_baseline), looks)
            else:
                axes.text(0.5, 0.5, "no curve", ha="center", va="center", transform=axes.transAxes)
        tools.legend_below(figure, tools.metamodel_handles(looks, {c.metamodel for c in curves}, line=True))
        svg = figure_to_svg(figure, name=name, title=title, description=caption)
    return tools.Chart(
        name=name, primary=curves[0].primary, behavior=None, title=title, caption=caption, svg=svg, csv=table
    )


def _reliability_panel(axes: Axes, curves: Sequence[ReliabilityCurve], looks: Mapping[str, Look]) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6, zorder=1)
    for curve in curves:
        look = looks[curve.metamodel]
        axes.plot(curve.predicted, curve.observed, color=look.color, linewidth=1.1, zorder=3)
        if curve.low and curve.high:
            axes.vlines(curve.predicted, curve.low, curve.high, color=look.color, linewidth=0.9, alpha=0.7, zorder=3)
        sizes = [5 + 45 * weight for weight in curve.weight]
        axes.scatter(
            curve.predicted, curve.observed, s=sizes, color=look.color, marker=look.marker, linewidth=0, zorder=4
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set(xlabel="predicted", ylabel="observed")


def _risk_panel(axes: Axes, curves: Sequence[RiskCoverageCurve], looks: Mapping[str, Look]) -> None:
    for curve in curves:
        look = looks[curve.metamodel]
        axes.plot(
            curve.coverage,
            curve.risk,
            color=look.color,
            linewidth=1.2,
            marker=look.marker,
            markersize=3.4,
            markevery=(0.05, 0.3),
        )
    highest = max(max(curve.risk) for curve in curves)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.03 * max(highest, 0.05), 1.1 * max(highest, 0.05)))
    axes.set(xlabel="coverage", ylabel="risk", xticks=(0, 0.5, 1))
    axes.locator_params(axis="y", nbins=4)
