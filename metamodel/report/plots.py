"""The files that carry a report's charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from metamodel.report.chart_tools import Chart
from metamodel.report.charts import draw_charts
from metamodel.report.inputs import ReportInputs

_XML_HEADER: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


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
