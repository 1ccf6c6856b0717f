"""All charts of a report."""

from __future__ import annotations

from metamodel.metric_rows import names, select
from metamodel.report.chart_tools import Chart
from metamodel.report.charts_bits import domain_chart, summary_chart
from metamodel.report.charts_curves import reliability_chart, risk_coverage_chart
from metamodel.report.inputs import ReportInputs
from metamodel.report.palette import looks


def draw_charts(inputs: ReportInputs) -> list[Chart]:
    """Draw every chart of a report, primary model by primary model."""
    known = [curve.metamodel for curve in inputs.reliability] + [curve.metamodel for curve in inputs.risk_coverage]
    styles = looks(list(dict.fromkeys([*inputs.metamodels, *known])), baselines=inputs.baselines)
    charts: list[Chart | None] = []
    for primary in names(inputs.rows, "primary"):
        rows = select(inputs.rows, primary=primary)
        charts.append(summary_chart(rows, primary=primary, looks=styles))
        charts += [
            domain_chart(rows, primary=primary, behavior=behavior, looks=styles, baselines=inputs.baselines)
            for behavior in names(rows, "behavior")
        ]
        charts.append(reliability_chart(inputs.reliability, primary=primary, looks=styles))
        charts.append(risk_coverage_chart(inputs.risk_coverage, primary=primary, looks=styles))
    return [chart for chart in charts if chart is not None]
