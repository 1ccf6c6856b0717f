"""The chart of the output's information: bits by tokens, and the share that each function of the prompt explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.output_information.words import behavior_name, reader_name, shown_rows
from metamodel.report import chart_tools as tools
from metamodel.report.palette import BASELINE_COLORS, INK, TRAINED_COLORS, TRAINED_MARKERS
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.types import IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from metamodel.output_information.results import (
        ExplainedRow,
        Figure,
        OutputInformation,
        PrimaryInformation,
    )

_SHOWN_ROWS: Final = 14
_COLOR, _CHANCE_COLOR = TRAINED_COLORS[0], TRAINED_COLORS[1]


def information_chart(found: OutputInformation) -> tools.Chart:
    """Draw one line of panels a primary model: information by tokens, shares above chance."""
    within = found.ranked_by == "within_share"
    caption = (
        "Left: bits that the first tokens of an output tell about its prompt, among the sampled prompts and at most in "
        "the population, with 95 % intervals; the dashed line is the bound log2 n. Right: share of these bits that a "
        f"function of the prompt explains above chance{', within domains' * within}, at the length of the ring."
    )
    title = "Bits that outputs tell about prompts, and what explains them"
    with drawing_style():
        from matplotlib.lines import Line2D

        figure = tools.new_figure(height=3.6 * len(found.primaries) + 0.4)
        panels = figure.subplots(len(found.primaries), 2, width_ratios=[1, 1.25], squeeze=False)
        for (left, right), one in zip(panels, found.primaries, strict=True):
            _by_tokens(left, one)
            _shares(right, one, within=within)
        handles = [
            Line2D([], [], color=_COLOR, marker="o", markersize=4.5, label="among the sampled prompts"),
            Line2D([], [], color=_CHANCE_COLOR, marker="^", markersize=4.5, label="in the population, at most"),
            Line2D([], [], color=INK, linestyle=(0, (4, 3)), label="bound: log2 n"),
        ]
        tools.legend_below(figure, handles)
        svg = figure_to_svg(figure, name="information", title=title, description=caption)
    return tools.Chart(
        name="information", primary="", behavior=None, title=title, caption=caption, svg=svg, csv=_csv(found)
    )


def _by_tokens(axes: Axes, one: PrimaryInformation) -> None:
    tokens = np.array([length.tokens for length in one.lengths])
    _curve(axes, tokens, [length.bits for length in one.lengths], color=_COLOR, marker="o")
    bounded = [length for length in one.lengths if length.high_bits is not None]
    highs = [length.high_bits for length in bounded if length.high_bits is not None]
    _curve(axes, np.array([length.tokens for length in bounded]), highs, color=_CHANCE_COLOR, marker="^")
    ranked = one.ranked_length
    axes.scatter([ranked.tokens], [ranked.bits.value], s=120, facecolors="none", edgecolors=INK, linewidth=1.3)
    axes.axhline(one.log_n_bits, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xscale("log", base=2)
    axes.set_xticks(tokens, [str(number) for number in tokens])
    axes.minorticks_off()
    # An upper bound has no limit of its own and would press the other curve flat.
    axes.set_ylim(0, 2.2 * one.log_n_bits)
    axes.grid(visible=True)
    axes.set(xlabel="first tokens of the output", ylabel="bits", title=f"I(Y; X), {tools.short(one.primary)}")


def _curve(axes: Axes, tokens: IntArray, figures: Sequence[Figure], *, color: str, marker: str) -> None:
    axes.plot(tokens, [one.value for one in figures], color=color, marker=marker, markersize=4, linewidth=1.2)
    for place, one in zip(tokens, figures, strict=True):
        if one.low is not None and one.high is not None:
            axes.vlines(place, one.low, one.high, color=color, linewidth=0.9, alpha=0.6)


def _shares(axes: Axes, one: PrimaryInformation, *, within: bool) -> None:
    rows = [row for row in shown_rows(one) if _share(row, within=within) is not None][:_SHOWN_ROWS]
    for place, row in enumerate(rows):
        share = _share(row, within=within)
        if share is None:
            continue
        color = BASELINE_COLORS[0] if row.reader != "metamodel" else _COLOR
        marker = TRAINED_MARKERS[0] if row.reader == "metamodel" else TRAINED_MARKERS[1]
        if share.low is not None and share.high is not None:
            axes.hlines(place, share.low, share.high, color=color, linewidth=1.2, alpha=0.7)
        axes.plot([share.value], [place], color=color, marker=marker, markersize=4.5, linestyle="")
    tools.zero_line(axes)
    axes.set_yticks(range(len(rows)), [f"{behavior_name(row)}, {reader_name(row)}" for row in rows])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.grid(visible=True, axis="x")
    title = f"Share explained above chance{', within domains' * within}"
    axes.set(title=f"{title}, {tools.short(one.primary)}")


def _share(row: ExplainedRow, *, within: bool) -> Figure | None:
    return row.within_share if within else row.share


def _csv(found: OutputInformation) -> str:
    """Return all figures, a line each: information by tokens, then rows, then labels."""
    header = ["primary", "what", "metamodel", "behavior", "tokens", "n_bins", "value", "low", "high", "chance_bits"]
    header += ["p_value"]
    lines: list[list[tools.CsvCell]] = []

    def add(start: Sequence[tools.CsvCell], figure: Figure | None, *end: tools.CsvCell) -> None:
        if figure is not None:
            lines.append([*start, figure.value, figure.low, figure.high, *(end or (None, None))])

    for one in found.primaries:
        for length in one.lengths:
            add([one.primary, "I(Y;X) bits", None, None, length.tokens, None], length.bits)
            add([one.primary, "I(Y;X) upper bound bits", None, None, length.tokens, None], length.high_bits)
            add([one.primary, "H(Y|X) bits", None, None, length.tokens, None], length.conditional_entropy_bits)
        for row in one.rows:
            about = [row.metamodel or row.reader, row.behavior, one.ranked_tokens, row.n_bins]
            add([one.primary, "I(Y;B(X)) bits", *about], row.bits, row.chance_bits, row.p_value)
            add([one.primary, "share above chance", *about], row.share, None, row.p_value)
            add([one.primary, "share above chance within domains", *about], row.within_share, None, row.within_p_value)
        for label in one.labels:
            add([one.primary, "H(F) bits", None, label.behavior, None, None], label.entropy_bits)
    return tools.to_csv(header, lines)
