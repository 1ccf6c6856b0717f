"""What a ladder leaves in a run directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from metamodel.config import build_config
from metamodel.ladder.charts import ladder_chart
from metamodel.ladder.stage import Ladder
from metamodel.report.baselines import baseline_names
from metamodel.report.chart_files import write_chart

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory


def write_ladder(run: RunDirectory, ladder: Ladder, *, behavior: str | None = None, primary: str | None = None) -> str:
    """Write plots/ladder.svg, .csv and .json, with the behavior and primary model in their names where one was chosen.

    Returns:
        The path of the SVG below the run directory.
    """
    baselines = baseline_names(build_config(run.config, source=f"{run.path}/run.json"))
    chart = ladder_chart(ladder, baselines=baselines, behavior=behavior, primary=primary)
    run.write_text(f"plots/{chart.name}.json", json.dumps(ladder.to_dict(), indent=1) + "\n")
    return write_chart(run, chart)
