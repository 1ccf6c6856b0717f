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
    "bars left of the zero line mean worse than that constant. Grey bars are baselines. The black line is the noise "
    "ceiling, which no function of the prompt can pass, the band its interval. Axes differ from panel to panel; an "
    "arrow at the left edge carries a value too low for the axis."
)
_DOMAIN_CAPTION: Final = (
    "Points: bits gained in each domain, with 95 % intervals; left of the zero line is worse than a constant. Left "
    "panel: the domain was never trained on. Right panel: it was. Black ticks: the noise ceiling of the domain, the "
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
        _ceiling(axes, list(group.values()), top=y + 0.5, bottom=y + len(looks) + 0.5)
        for offset, (metamodel, look) in enumerate(looks.items(), start=1):
            ticks.append((y + offset, tools.short(metamodel)))
            if metamodel in group:
                _bar(axes, group[metamodel], y=y + offset, look=look, split=split)
        y += len(looks) + 1.35
    axes.set_ylim(y - 0.75, -0.45)
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis="y", length=0)
    for label in axes.get_yticklabels()[:: len(looks) + 1]:
        label.set_fontweight("bold")
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    tools.zero_line(axes)
    axes.set_xlabel("bits gained")


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
    if row.reduction_bits is not None and row.reduction_bits < axes.get_xlim()[0]:
        tools.mark_beyond(axes, value=row.reduction_bits, y=y, color=color)


def _ceiling(axes: Axes, rows: Sequence[MetricsRow], *, top: float, bottom: float) -> None:
    """Draw the noise ceiling that all rows of one cell share."""
    known = next((row for row in rows if row.ceiling_bits is not None), None)
    if known is None or known.ceiling_bits is None:
        return
    if known.ceiling_low_bits is not None and known.ceiling_high_bits is not None:
        ends = (known.ceiling_low_bits, known.ceiling_high_bits)
        axes.fill_betweenx([top, bottom], ends[0], ends[1], color=INK, alpha=0.14, linewidth=0, zorder=1)
    axes.vlines(known.ceiling_bits, top, bottom, color=INK, linewidth=1.3, zorder=2)


def _domain_panel(
    axes: Axes, rows: Sequence[MetricsRow], *, domains: Sequence[str | None], looks: Mapping[str, Look]
) -> None:
    step = 0.78 / max(len(looks), 1)
    for line, domain in enumerate(domains):
        cell = {row.metamodel: row for row in rows if row.domain == domain}
        if line % 2 == 0:
            axes.axhspan(line - 0.5, line + 0.5, color=INK, alpha=0.035, linewidth=0, zorder=0)
        _ceiling(axes, list(cell.values()), top=line - 0.42, bottom=line + 0.42)
        for place, (metamodel, look) in enumerate(looks.items()):
            if metamodel in cell:
                row = cell[metamodel]
                y = line - 0.39 + step * (place + 0.5)
                _whisker(axes, row, y=y, color=look.color)
                axes.plot(reduction(row), y, marker=look.marker, color=look.color, markersize=3.9, zorder=5)
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.set_yticks(range(len(domains)), [_MEAN_LABEL if name is None else tools.short(name) for name in domains])
    if domains[0] is None:
        axes.axhline(0.5, color=INK, linewidth=0.6)
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
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
