"""Charts of bits gained: all behaviors at a glance, and one behavior domain by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from metamodel.metric_rows import (
    ROW_KEYS,
    SPLITS,
    MetricsRow,
    Split,
    best_row,
    domain_rows,
    mean_rows,
    names,
    reduction,
    select,
)
from metamodel.report import chart_tools as tools
from metamodel.report.numbers import SPLIT_NAMES
from metamodel.report.palette import INK, Look
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_COLUMNS: Final = 3
_MEAN_LABEL: Final = "all domains"
_SUMMARY_CAPTION: Final = (
    "Bars: bits gained over the best constant, H(F) less cross-entropy, with 95 % intervals; longer is better. Hatched "
    "bars left of the zero line mean worse than that constant. Grey bars are baselines. The line in a band is the "
    "noise ceiling, which no function of the prompt can pass; the band, its interval. Axes differ by panel; an "
    "arrow at the left edge carries a value too low for the axis."
)
_DOMAIN_CAPTION: Final = (
    "Points: bits gained in each domain, with 95 % intervals; left of the zero line is worse than a constant. Left "
    "panel: the domain was never trained on. Right panel: it was. Upright ticks: the noise ceiling of the domain, the "
    "band its interval. Baselines are grey. Domains are ordered by the best trained metamodel. An arrow at the left "
    "edge carries a value too low for the axis."
)


def summary_chart(rows: Sequence[MetricsRow], *, primary: str, looks: Mapping[str, Look]) -> tools.Chart | None:
    """Draw the bits gained by every metamodel on every behavior, a panel a behavior; None without any figure.

    Args:
        rows: Rows of one primary model.
        primary: Its name.
        looks: Look of each metamodel.
    """
    means = [row for row in mean_rows(rows) if row.reduction_bits is not None]
    behaviors = names(means, "behavior")
    if not behaviors:
        return None
    name = tools.safe_name("bits-summary", primary)
    title = f"Bits gained on every behavior of {plain(primary)}"
    with drawing_style():
        n_columns = min(_COLUMNS, len(behaviors))
        n_lines = -(-len(behaviors) // n_columns)
        figure = tools.new_figure(height=0.5 + n_lines * (0.75 + 0.165 * 2 * (len(looks) + 1)))
        grid = figure.subplots(n_lines, n_columns, squeeze=False)
        for index, axes in enumerate(grid.flat):
            if index >= len(behaviors):
                axes.set_axis_off()
                continue
            _summary_panel(axes, select(means, behavior=behaviors[index]), looks=looks)
            axes.set_title(tools.short(behaviors[index]), fontweight="bold")
            axes.tick_params(axis="y", labelleft=index % n_columns == 0)
        tools.legend_below(figure, _mark_handles())
        svg = figure_to_svg(figure, name=name, title=title, description=_SUMMARY_CAPTION)
    table = tools.to_csv(ROW_KEYS, [list(row.to_dict().values()) for row in means])
    return tools.Chart(
        name=name, primary=primary, behavior=None, title=title, caption=_SUMMARY_CAPTION, svg=svg, csv=table
    )


def domain_chart(
    rows: Sequence[MetricsRow], *, primary: str, behavior: str, looks: Mapping[str, Look], baselines: Sequence[str]
) -> tools.Chart | None:
    """Draw the bits gained on one behavior, a line a domain, a panel a split; None without any figure."""
    shown = [row for row in select(rows, behavior=behavior) if row.reduction_bits is not None]
    if not domain_rows(shown):
        return None
    domains = _ordered_domains(shown, baselines=baselines)
    name = tools.safe_name("bits-domains", primary, behavior)
    title = f"Bits gained on {plain(behavior)} of {plain(primary)}, domain by domain"
    with drawing_style():
        height = 1.15 + len(domains) * max(0.26, 0.075 * len(looks))
        figure = tools.new_figure(height=height)
        panels = figure.subplots(1, 2, sharey=True, sharex=True)
        limits = tools.bit_limits(shown)
        for axes, split in zip(panels, SPLITS, strict=True):
            axes.set_xlim(*limits)
            axes.set_title(SPLIT_NAMES[split], fontweight="bold")
            _domain_panel(axes, select(shown, split=split), domains=domains, looks=looks)
        handles = tools.metamodel_handles(looks, names(shown, "metamodel"), line=False)
        tools.legend_below(figure, [*handles, _ceiling_handle()])
        svg = figure_to_svg(figure, name=name, title=title, description=_DOMAIN_CAPTION)
    table = tools.to_csv(ROW_KEYS, [list(row.to_dict().values()) for row in shown])
    return tools.Chart(
        name=name, primary=primary, behavior=behavior, title=title, caption=_DOMAIN_CAPTION, svg=svg, csv=table
    )


def _summary_panel(axes: Axes, rows: Sequence[MetricsRow], *, looks: Mapping[str, Look]) -> None:
    axes.set_xlim(*tools.bit_limits(rows))
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for split in SPLITS:
        ticks.append((y, SPLIT_NAMES[split]))
        group = {row.metamodel: row for row in select(rows, split=split)}
        middle = y + (len(looks) + 1) / 2
        known = [row for row in group.values() if row.ceiling_bits is not None]
        _ceilings(axes, [(row, middle) for row in known[:1]], half_height=len(looks) / 2)
        for offset, (metamodel, look) in enumerate(looks.items(), start=1):
            ticks.append((y + offset, tools.short(metamodel)))
            if metamodel in group:
                _bar(axes, group[metamodel], y=y + offset, look=look, split=split)
        y += len(looks) + 1.35
    axes.set_ylim(y - 0.75, -0.45)
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    for label in axes.get_yticklabels()[:: len(looks) + 1]:
        label.set_fontweight("bold")
    _finish(axes)


def _bar(axes: Axes, row: MetricsRow, *, y: float, look: Look, split: Split) -> None:
    value = reduction(row)
    is_negative = value < 0
    axes.barh(
        y,
        value,
        height=0.72,
        facecolor="none" if is_negative else look.color,
        edgecolor=look.color,
        hatch="//////" if is_negative else None,
        alpha=1.0 if split == "held_out_domain" else 0.6,
        linewidth=0.7,
    )
    _whisker(axes, row, y=y, color=INK)


def _whisker(axes: Axes, row: MetricsRow, *, y: float, color: str) -> None:
    if row.reduction_low_bits is not None and row.reduction_high_bits is not None:
        axes.hlines(y, row.reduction_low_bits, row.reduction_high_bits, color=color, linewidth=1.0, zorder=4)
    _mark_if_beyond(axes, row, y=y, color=color)


def _mark_if_beyond(axes: Axes, row: MetricsRow, *, y: float, color: str) -> None:
    if row.reduction_bits is not None and row.reduction_bits < axes.get_xlim()[0]:
        tools.mark_beyond(axes, value=row.reduction_bits, y=y, color=color)


def _domain_panel(
    axes: Axes, rows: Sequence[MetricsRow], *, domains: Sequence[str | None], looks: Mapping[str, Look]
) -> None:
    lines = {domain: line for line, domain in enumerate(domains)}
    ceilings = list({row.domain: (row, lines[row.domain]) for row in rows if row.ceiling_bits is not None}.values())
    _ceilings(axes, ceilings, half_height=0.42)
    step = 0.78 / max(len(looks), 1)
    for place, (metamodel, look) in enumerate(looks.items()):
        offset = step * (place + 0.5) - 0.39
        _domain_points(axes, [(row, lines[row.domain] + offset) for row in rows if row.metamodel == metamodel], look)
    for line in range(0, len(domains), 2):
        axes.axhspan(line - 0.5, line + 0.5, color=INK, alpha=0.035, linewidth=0, zorder=0)
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.set_yticks(range(len(domains)), [_MEAN_LABEL if name is None else tools.short(name) for name in domains])
    if domains[0] is None:
        axes.axhline(0.5, color=INK, linewidth=0.6)
        for label in axes.get_yticklabels()[:1]:  # none on the panel that shares its neighbor's labels
            label.set_fontweight("bold")
    _finish(axes)


def _domain_points(axes: Axes, placed: Sequence[tuple[MetricsRow, float]], look: Look) -> None:
    """Draw one metamodel's points and intervals, all in one stroke each: a chart has hundreds."""
    ends = [
        (y, row.reduction_low_bits, row.reduction_high_bits)
        for row, y in placed
        if row.reduction_low_bits is not None and row.reduction_high_bits is not None
    ]
    if ends:
        heights, lows, highs = zip(*ends, strict=True)
        axes.hlines(heights, lows, highs, color=look.color, linewidth=1.0, zorder=4)
    axes.plot(
        [reduction(row) for row, _ in placed],
        [y for _, y in placed],
        linestyle="",
        marker=look.marker,
        color=look.color,
        markersize=3.9,
        zorder=5,
    )
    for row, y in placed:
        _mark_if_beyond(axes, row, y=y, color=look.color)


def _ceilings(axes: Axes, placed: Sequence[tuple[MetricsRow, float]], *, half_height: float) -> None:
    """Draw the noise ceiling, which all rows of one cell share, as a line in a band."""
    from matplotlib.collections import PolyCollection

    bands = [
        [(low, y - half_height), (high, y - half_height), (high, y + half_height), (low, y + half_height)]
        for row, y in placed
        for low, high in [(row.ceiling_low_bits, row.ceiling_high_bits)]
        if low is not None and high is not None
    ]
    axes.add_collection(PolyCollection(bands, facecolor=INK, alpha=0.14, linewidth=0, zorder=1), autolim=False)
    lines = [(row.ceiling_bits, y) for row, y in placed if row.ceiling_bits is not None]
    if lines:
        bits, heights = zip(*lines, strict=True)
        tops, bottoms = [y - half_height for y in heights], [y + half_height for y in heights]
        axes.vlines(bits, tops, bottoms, color=INK, linewidth=1.3, zorder=2)


def _finish(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.locator_params(axis="x", nbins=6)
    tools.zero_line(axes)
    axes.set_xlabel("bits gained")


def _ordered_domains(rows: Sequence[MetricsRow], *, baselines: Sequence[str]) -> list[str | None]:
    """Return the summing row, then domains from most to fewest bits gained by the best trained metamodel."""
    held_out = select(rows, split="held_out_domain") or list(rows)
    means = mean_rows(held_out)
    best = best_row(row for row in means if row.metamodel not in baselines) or best_row(means) or held_out[0]
    gained = {row.domain: row.reduction_bits or 0.0 for row in domain_rows(held_out) if row.metamodel == best.metamodel}
    domains = sorted(names(rows, "domain"), key=lambda domain: -gained.get(domain, float("-inf")))
    return [*([None] if mean_rows(rows) else []), *domains]


def _ceiling_handle() -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=INK, marker="|", markersize=9, markeredgewidth=1.3, linestyle="", label="noise ceiling")


def _mark_handles() -> list[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=INK, linewidth=1, label="95 % interval"),
        Patch(facecolor="none", edgecolor=INK, hatch="//////", label="worse than a constant"),
        Patch(facecolor=INK, alpha=0.14, label="noise ceiling, interval"),
        _ceiling_handle(),
    ]
