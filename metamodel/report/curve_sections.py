"""The report's curves: reliability, and risk against coverage, a panel a behavior and split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from metamodel.metric_rows import SPLITS
from metamodel.report.elements import Column, DataTable, Element, Estimate, Group, Lines, LineSeries, Panels
from metamodel.report.inputs import ReliabilityCurve, ReportInputs, RiskCoverageCurve
from metamodel.report.numbers import SPLIT_NAMES
from metamodel.report.table_elements import Cell

Curve = TypeVar("Curve", ReliabilityCurve, RiskCoverageCurve)

_COLUMNS: Final = 4
# A page holds hundreds of curves: more points than these no eye tells apart, and plots/ has them all.
_MOST_POINTS: Final = 50
_MOST_TABLE_ROWS: Final = 400
_TABLE_COVERAGES: Final = (0.25, 0.5, 0.75, 1.0)
_RELIABILITY_WORDS: Final = (
    "Across: the predicted probability, in bins. Up: how often it came true, with its interval. A calibrated metamodel "
    "follows the dashed diagonal; below it, the metamodel promises too much. Larger points hold more labels."
)
_RISK_WORDS: Final = (
    "Prompts are taken from the most to the least confident prediction. Across: the share of prompts taken. Up: the "
    "share of wrong predictions among them. The right end is the plain error rate; a curve that rises to it from low "
    "on the left knows when it is right."
)


def curve_group(inputs: ReportInputs, primary: str) -> Group | None:
    """Return a primary model's curves; None without any."""
    reliability = [one for one in inputs.reliability if one.primary == primary and len(one.predicted)]
    risk = [one for one in inputs.risk_coverage if one.primary == primary and len(one.coverage)]
    elements: list[Element] = []
    if reliability:
        elements.append(
            Panels(
                title=f"Reliability of the predictions about {primary}",
                summary=_RELIABILITY_WORDS,
                charts=[_reliability(here, inputs) for here in _cells(reliability)],
                table=_reliability_table(reliability),
                n_columns=_COLUMNS,
            )
        )
    if risk:
        elements.append(
            Panels(
                title=f"Risk against coverage for {primary}",
                summary=_RISK_WORDS,
                charts=[_risk(here, inputs) for here in _cells(risk)],
                table=_risk_table(risk),
                n_columns=_COLUMNS,
            )
        )
    return Group(title="Calibration and confidence", elements=elements) if elements else None


def _cells(curves: Sequence[Curve]) -> list[list[Curve]]:
    places = [(name, split) for name in dict.fromkeys(one.behavior for one in curves) for split in SPLITS]
    found = [[one for one in curves if (one.behavior, one.split) == place] for place in places]
    return [here for here in found if here]


def _reliability(curves: Sequence[ReliabilityCurve], inputs: ReportInputs) -> Lines:
    first = curves[0]
    return Lines(
        title=f"{first.behavior}, {SPLIT_NAMES[first.split]}",
        summary="",
        x_label="predicted",
        y_label="observed",
        has_diagonal=True,
        x_limits=(0.0, 1.0),
        y_limits=(0.0, 1.0),
        facets={"behavior": first.behavior, "split": SPLIT_NAMES[first.split]},
        series=[
            LineSeries(
                name=one.metamodel,
                xs=one.predicted,
                ys=one.observed,
                lows=one.low,
                highs=one.high,
                weights=one.weight,
                is_baseline=one.metamodel in inputs.baselines,
                facets={"metamodel": one.metamodel},
            )
            for one in _trained_first(curves, inputs)
        ],
    )


def _risk(curves: Sequence[RiskCoverageCurve], inputs: ReportInputs) -> Lines:
    first = curves[0]
    return Lines(
        title=f"{first.behavior}, {SPLIT_NAMES[first.split]}",
        summary="",
        x_label="coverage",
        y_label="risk",
        x_limits=(0.0, 1.0),
        y_limits=(0.0, max(0.05, *(max(one.risk) for one in curves))),
        facets={"behavior": first.behavior, "split": SPLIT_NAMES[first.split]},
        series=[
            LineSeries(
                name=one.metamodel,
                xs=[one.coverage[place] for place in _thinned(len(one.coverage))],
                ys=[one.risk[place] for place in _thinned(len(one.risk))],
                is_baseline=one.metamodel in inputs.baselines,
                facets={"metamodel": one.metamodel},
            )
            for one in _trained_first(curves, inputs)
        ],
    )


def _trained_first(curves: Sequence[Curve], inputs: ReportInputs) -> list[Curve]:
    return sorted(curves, key=lambda one: one.metamodel in inputs.baselines)


def _place_columns() -> list[Column]:
    return [
        Column(name="Behavior", facet="behavior"),
        Column(name="Split", facet="split"),
        Column(name="Metamodel", facet="metamodel"),
    ]


def _thinned(n_points: int, most: int = _MOST_POINTS) -> range:
    """Return the places of at most so many points, evenly spread, the last one always."""
    step = max(-(-n_points // most), 1)
    return range((n_points - 1) % step, n_points, step)


def _reliability_table(curves: Sequence[ReliabilityCurve]) -> DataTable:
    n_bins = sum(len(one.predicted) for one in curves)
    rows: list[list[Cell]] = []
    for one in curves:
        for place in _thinned(len(one.predicted), max(_MOST_TABLE_ROWS // len(curves), 3)):
            ends = (one.low[place], one.high[place]) if len(one.low) and len(one.high) else (None, None)
            observed = Estimate(value=one.observed[place], low=ends[0], high=ends[1])
            rows.append(
                [one.behavior, SPLIT_NAMES[one.split], one.metamodel, one.predicted[place], observed, one.weight[place]]
            )
    columns = [
        Column(name="Predicted", kind="number", digits=3),
        Column(name="Observed", kind="number", digits=3),
        Column(name="Of the labels", kind="share"),
    ]
    title = "Reliability, bin by bin"
    return DataTable(title=title, columns=[*_place_columns(), *columns], rows=rows, n_total=n_bins)


def _risk_table(curves: Sequence[RiskCoverageCurve]) -> DataTable:
    columns = [Column(name=f"Risk at {wanted:.0%}".replace("%", " %"), kind="share") for wanted in _TABLE_COVERAGES]
    rows: list[list[Cell]] = [
        [one.behavior, SPLIT_NAMES[one.split], one.metamodel, *(_risk_at(one, wanted) for wanted in _TABLE_COVERAGES)]
        for one in curves
    ]
    return DataTable(
        title="Risk against coverage",
        summary="The risk at the first point of the curve that answers at least so many prompts.",
        columns=[*_place_columns(), *columns],
        rows=rows,
    )


def _risk_at(curve: RiskCoverageCurve, wanted: float) -> float:
    reached = (risk for coverage, risk in zip(curve.coverage, curve.risk, strict=True) if coverage >= wanted - 1e-9)
    return next(reached, curve.risk[-1])
