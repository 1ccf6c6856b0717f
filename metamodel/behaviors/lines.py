"""The heat map's lines: one a behavior, one a class of a categorical one, each cell a figure and a shade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metamodel.behaviors.rates import Rate
from metamodel.behaviors.summary import BehaviorSummary
from metamodel.labels import Categorical, Count, LabelSpace, Real


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One figure of the heat map.

    Attributes:
        text: The figure as printed; empty where there is no label.
        detail: What stands behind it: the interval, or the median.
        n_prompts: Prompts with a label.
        n_labels: Outputs with a label.
        shade: From 0 to 1; None where there is no label.
    """

    text: str = ""
    detail: str = ""
    n_prompts: int = 0
    n_labels: int = 0
    shade: float | None = None


@dataclass(frozen=True, kw_only=True)
class HeatLine:
    """One line of a primary model's heat map.

    Attributes:
        behavior: Name of the behavior.
        outcome: Class of a categorical one; empty for others.
        unit: What the figures are.
        entropy_bits: H(F) over all domains.
        total: Over all domains.
        cells: One a domain, in the summary's order.
    """

    behavior: str
    outcome: str
    unit: str
    entropy_bits: float
    total: HeatCell
    cells: Sequence[HeatCell]


def heat_lines(summary: BehaviorSummary, primary: str) -> list[HeatLine]:
    """Return the lines of one primary model; behaviors without any label have none."""
    return [line for name, space in summary.spaces.items() for line in _lines(summary, primary, name, space)]


def _lines(summary: BehaviorSummary, primary: str, behavior: str, space: LabelSpace) -> Iterator[HeatLine]:
    total = summary.rate(behavior, primary, None)
    if total is None:
        return
    by_domain = [summary.rate(behavior, primary, domain) for domain in summary.domains]
    largest = max((rate.mean or 0.0 for rate in by_domain if rate), default=0.0)
    for outcome in space.classes if isinstance(space, Categorical) else ("",):
        yield HeatLine(
            behavior=behavior,
            outcome=outcome,
            unit=_unit(space),
            entropy_bits=total.entropy_bits,
            total=_cell(total, space, outcome, largest),
            cells=[_cell(rate, space, outcome, largest) for rate in by_domain],
        )


def _unit(space: LabelSpace) -> str:
    return {"binary": "% of outputs", "categorical": "% of outputs", "count": "mean", "real": "mean"}[space.kind]


def _cell(rate: Rate | None, space: LabelSpace, outcome: str, largest: float) -> HeatCell:
    if rate is None:
        return HeatCell()
    text, detail, shade = _figure(rate, space, outcome, largest)
    return HeatCell(text=text, detail=detail, n_prompts=rate.n_prompts, n_labels=rate.n_labels, shade=shade)


def _figure(rate: Rate, space: LabelSpace, outcome: str, largest: float) -> tuple[str, str, float]:
    mean = rate.mean or 0.0
    if isinstance(space, Count):
        # Counts have no upper end: the domain with the most is the darkest.
        return f"{mean:.1f}", f"median {rate.median:g}", mean / largest if largest > 0 else 0.0
    if isinstance(space, Real):
        shade = (mean - space.low) / (space.high - space.low)
        return f"{mean:.2f}", f"median {rate.median:.2g}", min(max(shade, 0.0), 1.0)
    share = rate.shares.get(outcome, 0.0) if isinstance(space, Categorical) else mean
    # Only base rates of binary labels have an interval.
    detail = "" if rate.low is None or rate.high is None else f"{100 * rate.low:.0f} to {100 * rate.high:.0f}"
    return f"{100 * share:.0f}", detail, share
