"""The chart of a pre-screen: risk against coverage, failures against fallback calls, and each domain's failure rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from metamodel.report import chart_tools as tools
from metamodel.report.palette import INK, PROBLEM, TRAINED_COLORS
from metamodel.report.svg import drawing_style, figure_to_svg
from metamodel.report.visible_text import plain
from metamodel.thresholds.choice import Choice
from metamodel.thresholds.domains import DomainCheck
from metamodel.thresholds.savings import SavingsRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION: Final = (
    "Left: prompts are let through from the least likely failure up; across their share, up the failure rate among "
    "them, with 95 % intervals for the metamodel. Middle: prompts with the likeliest failures go to the fallback; "
    "across their share, up the failure rate of what the user gets. The grey lines are an oracle, which knows what "
    "came, and the lot. Right: the failure rate among prompts let through, domain by domain, with 95 % intervals; "
    "diamonds are domains that were never trained on, red lies above the risk. Dashed: the risk; dotted: the threshold."
)
_GREYS: Final = {"oracle": ("#5c6470", (0, (1, 1.5))), "random": ("#878f9a", (0, (6, 2)))}
_MOST_DOMAINS: Final = 24


def prescreen_chart(choice: Choice, *, fit: str) -> tools.Chart:
    """Draw what a threshold does and what sorting is worth."""
    name = tools.safe_name("pre-screen", fit, choice.task)
    title = f"Pre-screen for {plain(choice.task)} by {plain(choice.metamodel)}"
    checks = [(check.split, one) for check in choice.checks for one in check.domains if one.rate is not None]
    with drawing_style():
        figure = tools.new_figure(height=max(3.4, 1.2 + 0.16 * min(len(checks), _MOST_DOMAINS)))
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
        _draw_curves(left, choice, is_router=False)
        _draw_curves(middle, choice, is_router=True)
        _draw_domains(right, choice, [(split == "held_out_domain", one) for split, one in checks][-_MOST_DOMAINS:])
        left.set(xlabel="coverage", ylabel="failure rate let through", title="Risk against coverage")
        middle.set(xlabel="share of calls to the fallback", ylabel="failure rate of what the user gets")
        middle.set_title("As a router")
        handles, _ = left.get_legend_handles_labels()
        tools.legend_below(figure, handles)
        svg = figure_to_svg(figure, name=name, title=title, description=_CAPTION)
    return tools.Chart(
        name=name,
        primary=choice.primary,
        behavior=choice.task,
        title=title,
        caption=_CAPTION,
        svg=svg,
        csv=tools.to_csv(*_figures(choice)),
    )


def _draw_curves(axes: Axes, choice: Choice, *, is_router: bool) -> None:
    axes.grid(visible=True)
    highest = choice.request.risk or 0.0
    color = 0
    for row in choice.savings:
        across, up = _points(row, is_router=is_router)
        highest = max(highest, *up)
        if row.name in _GREYS:
            look, style = _GREYS[row.name]
            axes.plot(across, up, color=look, linestyle=style, linewidth=1.2, label=row.name, zorder=2)
            continue
        look = TRAINED_COLORS[color % len(TRAINED_COLORS)]
        is_own = row.name == choice.metamodel
        axes.plot(across, up, color=look, linewidth=2.0 if is_own else 1.1, label=tools.short(row.name), zorder=4)
        if is_own and not is_router:
            axes.fill_between(across, row.risk_low, row.risk_high, color=look, alpha=0.16, linewidth=0)
        color += 1
    if choice.request.risk is not None and not is_router:
        axes.axhline(choice.request.risk, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=3)
    if choice.threshold is not None:
        place = 1 - choice.coverage if is_router else choice.coverage
        axes.axvline(place, color=INK, linewidth=1.0, linestyle=":", zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1.08 * max(highest, 0.01)), xticks=(0, 0.25, 0.5, 0.75, 1))


def _points(row: SavingsRow, *, is_router: bool) -> tuple[Sequence[float], Sequence[float]]:
    return (row.fallback_share, row.failure_rate) if is_router else (row.coverage, row.risk)


def _draw_domains(axes: Axes, choice: Choice, checks: Sequence[tuple[bool, DomainCheck]]) -> None:
    axes.set(title="Failures let through, by domain", xlabel="failure rate let through")
    axes.grid(visible=True, axis="x")
    if not checks:
        text = "no threshold" if choice.threshold is None else "nothing is let through"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        axes.set(yticks=[], xticks=[])
        return
    for y, (is_held_out, check) in enumerate(reversed(checks)):
        rate = check.rate
        if rate is None:
            continue
        color = PROBLEM if check.verdict == "violates" else TRAINED_COLORS[1 if is_held_out else 0]
        axes.hlines(y, rate.low, rate.high, color=color, linewidth=1.2, zorder=3)
        axes.plot([rate.value], [y], marker="D" if is_held_out else "o", color=color, markersize=4, zorder=4)
    labels = [plain(check.domain or "", limit=22) + " (held out)" * held for held, check in reversed(checks)]
    axes.set_yticks(range(len(checks)), labels, fontsize=7)
    if choice.request.risk is not None:
        axes.axvline(choice.request.risk, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1), ylim=(-0.7, len(checks) - 0.3))


def _figures(choice: Choice) -> tuple[list[str], list[list[tools.CsvCell]]]:
    header = ["chart", "name", "across", "up", "low", "high"]
    lines: list[list[tools.CsvCell]] = []
    for row in choice.savings:
        risks = zip(row.coverage, row.risk, row.risk_low, row.risk_high, strict=True)
        lines += [["risk against coverage", row.name, *values] for values in risks]
        routed = zip(row.fallback_share, row.failure_rate, strict=True)
        lines += [["router", row.name, *values, None, None] for values in routed]
    for check in choice.checks:
        for one in (check.total, *check.domains):
            ends = (one.rate.value, one.rate.low, one.rate.high) if one.rate else (None, None, None)
            lines.append([check.split, one.domain or "(all)", one.n_passed / one.n_prompts, *ends])
    return header, lines
