"""One chart beside those of the report: its SVG and the CSV of its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metamodel.report.chart_tools import Chart
    from metamodel.store.run_directory import RunDirectory


def write_chart(run: RunDirectory, chart: Chart) -> str:
    """Write a chart to plots/ below a run directory and return the path of its SVG there."""
    path = f"plots/{chart.name}.svg"
    run.write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n')
    run.write_text(f"plots/{chart.name}.csv", chart.csv)
    return path
