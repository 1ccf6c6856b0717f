"""The chart of what was discovered: effects on the half kept aside with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from metamodel.discovery.found import Discoveries, Discovery, Figure
from metamodel.report import chart_tools as tools
from metamodel.report.palette import BASELINE_COLORS, INK, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_ROWS: Final = 24
_HEADER: Final = (
    *("primary", "behavior", "split", "metamodel", "slice", "kind", "measure", "outcome", "direction"),
    *("n_searched", "t_searched", "n_inside", "n_outside", "bits", "bits_low", "bits_high", "rate", "rate_low"),
    *("rate_high", "rate_overall", "observed_inside", "predicted_inside", "observed_outside", "predicted_outside"),
    *("about", "largest_domain", "largest_domain_share", "p", "p_adjusted", "is_verified"),
)


def discoveries_chart(found: Discoveries) -> tools.Chart:
    """Draw the verified slices, or the nearest to it where none is."""
    shown = (found.verified or list(found.candidates))[:_MOST_ROWS]
    title = (
        "Slices in which metamodels are wrong" if found.verified else "No slice was verified; those that were tested"
    )
    caption = (
        "Inside a slice less outside of it, within domains, on prompts that the search did not see, with 95 % "
        "intervals. Left: surprise beyond what the metamodel itself expects, in bits a prompt. Right: rate of the "
        f"outcome beyond what was predicted. {len(found.verified)} of {found.n_tests} candidates hold at "
        f"{100 * found.alpha:g} % for all together (Holm); hollow ones do not."
    )
    with drawing_style():
        figure = tools.new_figure(height=1.6 + 0.36 * max(len(shown), 1))
        left, right = figure.subplots(1, 2, sharey=True)
        _effects(left, shown, [one.bits for one in shown])
        _effects(right, shown, [one.rate for one in shown])
        left.set(xlabel="excess surprise, bits a prompt", title="Surprise")
        right.set(xlabel="observed less predicted", title="Rate or position")
        left.set_yticks(range(len(shown)), [_name(one) for one in shown], fontsize=7)
        left.invert_yaxis()
        svg = figure_to_svg(figure, name="discoveries", title=title, description=caption)
    csv = tools.to_csv(_HEADER, [_line(one) for one in found.candidates])
    return tools.Chart(name="discoveries", primary="", behavior=None, title=title, caption=caption, svg=svg, csv=csv)


def _effects(axes: Axes, shown: list[Discovery], figures: list[Figure]) -> None:
    axes.axvline(0, color=INK, linewidth=1.1, zorder=2)
    axes.grid(visible=True, axis="x")
    for y, (one, figure) in enumerate(zip(shown, figures, strict=True)):
        color = TRAINED_COLORS[0] if one.is_verified else BASELINE_COLORS[1]
        axes.hlines(y, figure.low, figure.high, color=color, linewidth=1.4)
        face = color if one.is_verified else "none"
        axes.plot([figure.value], [y], marker="o", markersize=5, color=color, markerfacecolor=face, linestyle="")


def _name(one: Discovery) -> str:
    return f"{plain(one.slice, limit=52)}\n{plain(one.behavior, limit=18)}, {plain(one.primary, limit=22)}"


def _line(one: Discovery) -> list[tools.CsvCell]:
    values = one.to_dict()
    for name in ("bits", "rate"):
        figure: Figure = getattr(one, name)
        values |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return [value if isinstance(value := values[name], (str, int, float)) else None for name in _HEADER]
