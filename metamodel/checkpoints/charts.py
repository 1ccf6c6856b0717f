"""Charts over training: rates by size, and how early metamodels fare on later checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from metamodel.checkpoints.lasting import ChainKey, Pair
from metamodel.checkpoints.rates import MEAN_OVER_DOMAINS, Rate
from metamodel.checkpoints.stage import CheckpointsFound
from metamodel.report import chart_tools as tools
from metamodel.report.numbers import SHORT_SPLIT_NAMES
from metamodel.report.palette import INK, PROBLEM, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS: Final = 24
_COLUMNS: Final = 4
_RATES_CAPTION: Final = (
    "Rate of each behavior over log10 tokens with 95 % intervals over prompts, a line a size; darker is larger. Red "
    "title: the score falls over training, after adjustment."
)
_BITS_CAPTION: Final = (
    "Bits gained over the best constant by metamodels trained on one checkpoint (a line each, its own checkpoint "
    "ringed), judged on that and every later one, with 95 % intervals. The dashed line is the metamodel trained on the "
    "judged checkpoint itself. Red: wrong there, because behavior moved, after adjustment."
)


def checkpoint_charts(found: CheckpointsFound) -> list[tools.Chart]:
    """Draw rates, and bits where metamodels were tested; the strongest of many panels, while the CSV holds all."""
    charts = [_rates_chart(found)]
    if found.pairs:
        charts.append(_bits_chart(found))
    return charts


def _rates_chart(found: CheckpointsFound) -> tools.Chart:
    strength = {(one.behavior, one.domain): abs(one.tokens.t) if one.tokens else 0.0 for one in found.movements}
    falling = {(one.behavior, one.domain) for one in found.movements if one.is_inverse}
    places = list(dict.fromkeys((rate.behavior, rate.domain) for rate in found.rates))
    ranked = sorted(places, key=lambda place: (place not in falling, -strength.get(place, -1.0), place))[:MOST_PANELS]
    title = "Behaviors over training"
    if len(ranked) < len(places):
        title += f" ({len(ranked)} of {len(places)})"
    with drawing_style():
        figure = tools.new_figure(height=0.8 + 1.9 * -(-len(ranked) // _COLUMNS))
        grid = figure.subplots(-(-len(ranked) // _COLUMNS), min(_COLUMNS, len(ranked)), squeeze=False).ravel()
        for axes, place in zip(grid, ranked, strict=False):
            mine = [rate for rate in found.rates if (rate.behavior, rate.domain) == place]
            _rate_panel(axes, mine, is_falling=place in falling)
        for axes in grid[len(ranked) :]:
            axes.set_axis_off()
        _size_legend(figure, found.rates)
        svg = figure_to_svg(figure, name="checkpoint-rates", title=title, description=_RATES_CAPTION)
    header = ["behavior", "domain", "primary", "parameters", "tokens", "n_prompts", "rate", "low", "high"]
    csv = tools.to_csv(header, [[rate.to_dict()[name] for name in header] for rate in found.rates])
    return _chart("checkpoint-rates", title, _RATES_CAPTION, svg, csv)


def _rate_panel(axes: Axes, rates: Sequence[Rate], *, is_falling: bool) -> None:
    for size, share in _shares_of(rates).items():
        mine = sorted((rate for rate in rates if rate.parameters == size), key=lambda rate: rate.tokens)
        errors = [[one.rate - one.low for one in mine], [one.high - one.rate for one in mine]]
        axes.errorbar(
            [one.tokens for one in mine],
            [one.rate for one in mine],
            yerr=errors,
            color=TRAINED_COLORS[0],
            alpha=share,
            marker="o",
            markersize=3,
            linewidth=1.1,
            elinewidth=0.8,
        )
    domain = "" if rates[0].domain == MEAN_OVER_DOMAINS else f", {rates[0].domain}"
    axes.set_title(tools.short(f"{rates[0].behavior}{domain}"), fontsize=8, color=PROBLEM if is_falling else INK)
    _token_axis(axes)


def _size_legend(figure: object, rates: Sequence[Rate]) -> None:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if isinstance(figure, Figure):
        handles = [
            Line2D(
                [], [], color=TRAINED_COLORS[0], alpha=share, marker="o", markersize=3, label=f"{size:,.0f} parameters"
            )
            for size, share in _shares_of(rates).items()
        ]
        tools.legend_below(figure, handles)


def _shares_of(rates: Sequence[Rate]) -> dict[float, float]:
    """Return how dark each size is drawn."""
    sizes = sorted({rate.parameters for rate in rates})
    return {size: 0.35 + 0.65 * (place + 1) / len(sizes) for place, size in enumerate(sizes)}


def _bits_chart(found: CheckpointsFound) -> tools.Chart:
    by_key: dict[ChainKey, list[Pair]] = {}
    for pair in found.pairs:
        by_key.setdefault(pair.key, []).append(pair)
    strength = {
        key: max((pair.test.gain.value for pair in pairs if pair.source is pair.target), default=0.0)
        for key, pairs in by_key.items()
    }
    ranked = sorted(by_key, key=lambda key: -strength[key])[:MOST_PANELS]
    title = "Metamodels of early checkpoints on later ones"
    if len(ranked) < len(by_key):
        title += f" ({len(ranked)} of {len(by_key)}, where most is gained)"
    with drawing_style():
        figure = tools.new_figure(height=0.6 + 2.2 * -(-len(ranked) // _COLUMNS))
        grid = figure.subplots(-(-len(ranked) // _COLUMNS), min(_COLUMNS, len(ranked)), squeeze=False).ravel()
        for axes, key in zip(grid, ranked, strict=False):
            _bits_panel(axes, key, by_key[key])
        for axes in grid[len(ranked) :]:
            axes.set_axis_off()
        svg = figure_to_svg(figure, name="checkpoint-bits", title=title, description=_BITS_CAPTION)
    lines = [pair.to_dict() for pair in found.pairs]
    return _chart(
        "checkpoint-bits",
        title,
        _BITS_CAPTION,
        svg,
        tools.to_csv(list(lines[0]), [list(line.values()) for line in lines]),
    )


def _bits_panel(axes: Axes, key: ChainKey, pairs: Sequence[Pair]) -> None:
    axes.axhline(0, color=INK, linewidth=1.0)
    native = sorted((pair for pair in pairs if pair.source is pair.target), key=lambda pair: pair.target.tokens)
    axes.plot(
        [pair.target.tokens for pair in native],
        [pair.test.gain.value for pair in native],
        color=INK,
        linewidth=1.0,
        linestyle=(0, (4, 3)),
    )
    for home in native:
        mine = sorted(
            (pair for pair in pairs if pair.source.primary == home.source.primary), key=lambda pair: pair.target.tokens
        )
        share = 0.3 + 0.7 * (native.index(home) + 1) / len(native)
        tokens, bits = [pair.target.tokens for pair in mine], [pair.test.gain.value for pair in mine]
        axes.plot(tokens, bits, color=TRAINED_COLORS[0], alpha=share, linewidth=1.1)
        axes.plot(tokens[0], bits[0], marker="o", markersize=5, markerfacecolor="none", color=TRAINED_COLORS[0])
        for pair in mine:
            gain = pair.test.gain
            color = PROBLEM if pair.is_wrong else TRAINED_COLORS[0]
            axes.vlines(pair.target.tokens, gain.low, gain.high, color=color, linewidth=0.8, alpha=0.6)
            axes.plot(pair.target.tokens, gain.value, marker="o", markersize=2.5, color=color)
    where = SHORT_SPLIT_NAMES[key.split]
    axes.set_title(
        f"{tools.short(key.behavior)}, {tools.short(key.metamodel)}\n{tools.short(key.series)}, {where}", fontsize=7
    )
    _token_axis(axes)


def _token_axis(axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 4.0)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)


def _chart(name: str, title: str, caption: str, svg: str, csv: str) -> tools.Chart:
    return tools.Chart(name=name, primary="", behavior=None, title=title, caption=caption, svg=svg, csv=csv)
