"""The report of a run: one HTML file that opens from disk and can make no request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metamodel.metric_rows import names
from metamodel.report.chart_tools import Chart
from metamodel.report.charts import draw_charts
from metamodel.report.elements import Section
from metamodel.report.html_page import render_page
from metamodel.report.inputs import ReportInputs
from metamodel.report.run_sections import run_sections

_LEAD: Final = (
    "How well small models predict, from the prompt alone, what a language model will do: in bits, against baselines "
    "and the noise ceiling, on domains that they never saw and on those that they did."
)


def render_report(inputs: ReportInputs, *, charts: Sequence[Chart] | None = None, extra: Sequence[Section] = ()) -> str:
    """Return the report as the text of one HTML file.

    Args:
        inputs: What to show.
        charts: What `draw_charts` gave for the same inputs, to save drawing twice.
        extra: Sections of other stages.
    """
    drawn = draw_charts(inputs) if charts is None else charts
    return render_page(inputs.title, run_sections(inputs, drawn, extra), lead=_LEAD, overview=_overview(inputs))


def _overview(inputs: ReportInputs) -> list[tuple[str, int]]:
    """Return what was counted, with the count."""
    return [
        ("primary models", len(names(inputs.rows, "primary"))),
        ("behaviors", len(names(inputs.rows, "behavior"))),
        ("domains", len(names(inputs.rows, "domain"))),
        ("trained metamodels", len([name for name in inputs.metamodels if name not in inputs.baselines])),
        ("baselines", len([name for name in inputs.metamodels if name in inputs.baselines])),
    ]
