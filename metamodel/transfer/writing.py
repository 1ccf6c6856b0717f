"""Run transfer and write all of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from metamodel.errors import DataError
from metamodel.report.elements import write_page
from metamodel.scaling.adjusting import Adjustment
from metamodel.transfer.charts import matrix_chart, tree_chart
from metamodel.transfer.files import CellWriter, to_document, write_document
from metamodel.transfer.sections import sections_of
from metamodel.transfer.stage import DEFAULT_ALPHA, Transfer, TransferPlan, transfer

if TYPE_CHECKING:
    from metamodel.console import OnProgress
    from metamodel.report.chart_tools import Chart

MOST_CHARTS: Final = 60
MOST_CHARTED_MODELS: Final = 60


def transfer_into(
    plan: TransferPlan,
    folder: Path,
    *,
    adjust: Adjustment = "fdr_bh",
    alpha: float = DEFAULT_ALPHA,
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Score, test and cluster, and write transfer.json, transfer.parquet, transfer.html and plots/.

    Args:
        plan: What to score.
        folder: Made if it is not there; predictions of other runs' prompts are kept in its folder `cache`.
        adjust: How p is adjusted over all cells.
        alpha: Level of the verdicts.
        on_progress: Told what is done.

    Raises:
        DataError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cells = CellWriter(folder / "transfer.parquet")
        try:
            found = transfer(
                plan, folder, adjust=adjust, alpha=alpha, on_matrix=cells.add_domains, on_progress=on_progress
            )
            cells.close(found)
        except BaseException:
            cells.abandon()
            raise
        write_document(folder, to_document(found))
        plots = folder / "plots"
        plots.mkdir(exist_ok=True)
        for chart in _charts(found):
            _write(plots / f"{chart.name}.svg", f'<?xml version="1.0" encoding="UTF-8"?>\n{chart.svg}\n')
            _write(plots / f"{chart.name}.csv", chart.csv)
        title = f"Transfer between {len(plan.targets)} primary models"
        write_page(folder / "transfer.html", title, sections_of(found))
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from error
    return found


def _charts(found: Transfer) -> list[Chart]:
    """Draw trees, and the first of many matrices; transfer.parquet holds all."""
    shown = [one for one in found.tables if len(one.table.targets) <= MOST_CHARTED_MODELS][:MOST_CHARTS]
    return [*(tree_chart(one) for one in found.trees), *(matrix_chart(one) for one in shown)]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
