"""What a comparison leaves in a folder: compare.json, compare.html and plots/."""

from __future__ import annotations

import json
from pathlib import Path

from metamodel.compare.charts import compare_chart
from metamodel.compare.sections import sections_of
from metamodel.compare.stage import RunComparison
from metamodel.errors import DataError
from metamodel.report.elements import write_page


def write_comparison(folder: Path, found: RunComparison) -> list[Path]:
    """Write all figures, the page and the plot, replacing older ones.

    Returns:
        The files.

    Raises:
        DataError: The folder cannot be made or written.
    """
    chart = compare_chart(found)
    contents = {
        "compare.json": json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n",
        f"plots/{chart.name}.svg": f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n',
        f"plots/{chart.name}.csv": chart.csv,
    }
    try:
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        write_page(folder / "compare.html", "Two runs compared", sections_of(found))
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from error
    return [folder / "compare.html", *(folder / name for name in contents)]
