"""What discover leaves in a run: discoveries.json and the chart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from metamodel.discovery.charts import discoveries_chart
from metamodel.report.chart_files import write_chart

if TYPE_CHECKING:
    from metamodel.discovery.found import Discoveries
    from metamodel.store.run_directory import RunDirectory

FILE_NAME = "discoveries.json"


def write_discoveries(run: RunDirectory, found: Discoveries) -> list[str]:
    """Write discoveries.json and plots/discoveries.{svg,csv}; returns their paths below the run directory."""
    run.write_text(FILE_NAME, json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return [FILE_NAME, write_chart(run, discoveries_chart(found))]
