"""Do the Newformer protocol and write all of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from metamodel.errors import DataError
from metamodel.newformer.charts import learning_chart
from metamodel.newformer.results import Newformer
from metamodel.newformer.sections import sections_of
from metamodel.newformer.stage import Plan, newformer
from metamodel.report.elements import write_page

if TYPE_CHECKING:
    from metamodel.console import OnProgress


def newformer_into(plan: Plan, folder: Path, *, on_progress: OnProgress | None = None) -> Newformer:
    """Do it, and write newformer.json, newformer.html and plots/.

    Args:
        plan: What is done.
        folder: Made if it is not there; what is kept on the way stays in its folder `cache`.
        on_progress: Told what is done.

    Raises:
        DataError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = newformer(plan, folder=folder, on_progress=on_progress)
        _write(folder / "newformer.json", json.dumps(found.to_dict(), indent=1) + "\n")
        chart = learning_chart(found)
        if chart is not None:
            (folder / "plots").mkdir(exist_ok=True)
            _write(folder / "plots" / "newformer.svg", f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n')
            _write(folder / "plots" / "newformer.csv", chart.csv)
        write_page(folder / "newformer.html", f"What is known of {found.primary}", sections_of(found))
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from error
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
