"""What the stage leaves in a folder: all figures as JSON, tables as CSV, charts as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from metamodel.checkpoints.charts import checkpoint_charts
from metamodel.checkpoints.sections import sections_of
from metamodel.checkpoints.stage import CheckpointsFound, summary_of
from metamodel.errors import DataError
from metamodel.report.chart_tools import to_csv
from metamodel.report.elements import write_page


def write_checkpoints(folder: Path, found: CheckpointsFound) -> list[Path]:
    """Write checkpoints.json, checkpoints.html, lasting.csv and plots/, replacing older ones.

    Returns:
        The files.

    Raises:
        DataError: The folder cannot be made or written.
    """
    charts = checkpoint_charts(found)
    contents = {"checkpoints.json": json.dumps(found.to_dict(), indent=1) + "\n"}
    if found.lasting:
        contents["lasting.csv"] = _csv([one.to_dict() for one in found.lasting])
    contents |= {
        f"plots/{chart.name}.svg": f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n' for chart in charts
    }
    contents |= {f"plots/{chart.name}.csv": chart.csv for chart in charts}
    try:
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        page = folder / "checkpoints.html"
        write_page(page, "Checkpoints", sections_of(found), lead=summary_of(found))
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from error
    return [page, *(folder / name for name in contents)]


def _csv(rows: Sequence[Mapping[str, str | float | bool | None]]) -> str:
    return to_csv(list(rows[0]), [list(row.values()) for row in rows])
