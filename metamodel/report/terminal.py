"""The table that a run prints when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from metamodel.comparisons import PairedDifference
from metamodel.metric_rows import MetricsRow, mean_rows, names, select
from metamodel.report.inputs import DEFAULT_BASELINES
from metamodel.report.numbers import SHORT_SPLIT_NAMES, interval, percent, signed
from metamodel.report.verdicts import Grade, SummaryLine, summarize
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_GRADE_STYLES: Final[dict[Grade, str]] = {"good": "green", "mixed": "yellow", "bad": "red", "undefined": "dim"}
_NAME_LIMIT: Final = 16
_VERDICT_WIDTHS: Final = (12, 18)


def summary_table(
    rows: Sequence[MetricsRow],
    *,
    baselines: Sequence[str] = DEFAULT_BASELINES,
    comparisons: Sequence[PairedDifference] = (),
    every: bool = True,
) -> Table:
    """Return behavior x split x metamodel, with the verdict on the best trained metamodel's line; 100 columns wide.

    Args:
        rows: Rows of metrics.json; those of single domains are left out.
        baselines: Names of the metamodels that are baselines, shown dimmed.
        comparisons: Paired differences, which verdicts prefer.
        every: Show every metamodel; otherwise only the best trained one and the best baseline.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title="Bits gained over the best constant",
        caption="Bold: the best trained metamodel. Dim: baselines. In brackets: 95 % interval.",
    )
    for heading in ("behavior, split", "metamodel"):
        table.add_column(heading, no_wrap=True)
    for heading in ("bits", "interval", "ceiling", "AUROC", "ECE"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=_VERDICT_WIDTHS[0], max_width=_VERDICT_WIDTHS[1])
    primaries = names(rows, "primary")
    for line in summarize(rows, baselines=baselines, comparisons=comparisons):
        group = select(rows, primary=line.primary, behavior=line.behavior, split=line.split)
        if not every:
            group = [row for row in (line.trained, line.baseline) if row is not None] or group
        _add_group(table, line, mean_rows(group), baselines=baselines, primary=line.primary if primaries[1:] else "")
    return table


def _add_group(
    table: Table, line: SummaryLine, rows: Sequence[MetricsRow], *, baselines: Sequence[str], primary: str
) -> None:
    ordered = [row for row in rows if row.metamodel not in baselines]
    ordered += [row for row in rows if row.metamodel in baselines]
    for position, row in enumerate(ordered):
        is_best = line.trained is not None and row.metamodel == line.trained.metamodel
        style = "bold" if is_best else "dim" if row.metamodel in baselines else ""
        verdict = line.verdict if is_best or (line.trained is None and position == 0) else None
        place = f"{SHORT_SPLIT_NAMES[line.split]} {plain(primary, limit=_NAME_LIMIT)}".rstrip()
        first = {0: plain(line.behavior, limit=_NAME_LIMIT), 1: place}.get(position, "")
        table.add_row(
            _text(first, "" if position == 0 else "italic dim"),
            _text(plain(row.metamodel, limit=_NAME_LIMIT), style),
            _text(signed(row.reduction_bits), "red" if (row.reduction_bits or 0) < 0 else style),
            _text(interval(row), style),
            _text(percent(row.explained), style),
            _text(signed(row.auroc), style),
            _text(signed(row.ece), style),
            _text(verdict.text, _GRADE_STYLES[verdict.grade]) if verdict else _text(""),
            end_section=position == len(ordered) - 1,
        )


def _text(text: str, style: str = "") -> Text:
    """Return text that is never read as markup: names may hold brackets."""
    from rich.text import Text

    return Text(text, style=style)
