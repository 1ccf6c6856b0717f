"""What a table's scaling leaves in a folder: charts as SVG and CSV, and all rows and notes as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from metamodel.errors import DataError
from metamodel.scaling.charts import mirage_chart, scaling_charts
from metamodel.scaling.mirage import Mirage
from metamodel.scaling.stage import Scaling


def write_scaling(folder: Path, found: Scaling, mirages: Sequence[Mirage]) -> list[Path]:
    """Write scaling.json and the charts, replacing older ones.

    Returns:
        The files, the charts' SVGs first.

    Raises:
        DataError: The folder cannot be made or written.
    """
    charts = [*scaling_charts(found), *([mirage_chart(mirages)] if mirages else [])]
    document = {
        "source": found.table.source,
        "columns": dict(found.table.columns),
        "guessed": list(found.table.guessed),
        "n_read": found.table.n_read,
        "n_rows": len(found.table.scores),
        "dropped": dict(found.table.dropped),
        "errors": found.errors,
        "adjust": found.adjust,
        "alpha": found.alpha,
        "skipped": dict(found.skipped),
        "notes": found.notes(),
        "rows": [row.to_dict() for row in found.rows],
        "mirage": [one.to_dict() for one in mirages],
    }
    contents = {f"{chart.name}.svg": f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n' for chart in charts}
    contents |= {f"{chart.name}.csv": chart.csv for chart in charts}
    contents["scaling.json"] = json.dumps(document, indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from error
    return [folder / name for name in contents]
