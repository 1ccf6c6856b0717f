"""All charts of a report, and the files that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from metamodel.metric_rows import names, select
from metamodel.report.chart_tools import Chart
from metamodel.report.charts_bits import domain_chart, summary_chart
from metamodel.report.charts_curves import reliability_chart, risk_coverage_chart
from metamodel.report.inputs import ReportInputs
from metamodel.report.palette import looks

_XML_HEADER: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


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


def write_plots(inputs: ReportInputs, folder: Path, *, charts: Sequence[Chart] | None = None) -> list[Path]:
    """Write each chart as SVG beside the CSV of its figures.

    Args:
        inputs: What to draw.
        folder: Made if it is not there.
        charts: What `draw_charts` gave for the same inputs, to save drawing twice.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in draw_charts(inputs) if charts is None else charts:
        for ending, text in (("svg", f"{_XML_HEADER}{chart.svg}\n"), ("csv", chart.csv)):
            path = folder / f"{chart.name}.{ending}"
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written
