"""The heat map, the co-occurrence matrix and the examples, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.behaviors.cooccurrence import CoOccurrence
from metamodel.behaviors.lines import HeatCell, HeatLine, heat_lines
from metamodel.behaviors.summary import BehaviorSummary
from metamodel.report.visible_text import plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_CAPTION: Final = (
    "Percent of outputs, every prompt weighing the same, in brackets the 95 % interval; of counts and reals the mean. "
    "n: prompts with a label. bits: the label's entropy."
)
_MATRIX_CAPTION: Final = (
    "Above the diagonal: mutual information over all outputs; below: once the domain is known; on it: the label's "
    "entropy."
)
_NAME_COLUMNS: Final = 32
_DOMAIN_COLUMNS: Final = 9
_TOTALS: Final = {"all": 15, "n": 7, "bits": 4}  # columns of each
_BETWEEN: Final = 2  # blanks between columns, and at the table's edges
_MATRIX_COLUMNS: Final = 5
_TEXT_LIMIT: Final = 200
# Pale to the palette's first color; the letters on it are black up to the middle, white above.
_PALE: Final = (232, 240, 247)
_FULL: Final = (10, 110, 189)
_DARK_FROM: Final = 0.55
# From so many bits on, a matrix cell has its full shade.
_FULL_BITS: Final = 1.0


def heat_tables(summary: BehaviorSummary, *, width: int) -> Iterator[Table]:
    """Yield the heat map of each primary model, in as many tables as its domains need."""
    left = width - _BETWEEN - sum(columns + _BETWEEN for columns in (_NAME_COLUMNS, *_TOTALS.values()))
    per_table = max(left // (_DOMAIN_COLUMNS + _BETWEEN), 1)
    for primary in summary.primaries:
        lines = heat_lines(summary, primary)
        for begin in range(0, max(len(summary.domains), 1), per_table):
            domains = summary.domains[begin : begin + per_table]
            yield _heat_table(primary, domains, lines, begin=begin)


def matrix_tables(summary: BehaviorSummary, *, width: int) -> Iterator[Table]:
    """Yield the co-occurrence matrix of each primary model, in as many tables as its columns need."""
    per_table = max((width - _NAME_COLUMNS - 4 - 2 * _BETWEEN) // (_MATRIX_COLUMNS + _BETWEEN), 1)
    for one in summary.co_occurrences:
        shown = [row for row in range(len(one.behaviors)) if one.n_labels[row, row] > 0]
        for begin in range(0, len(shown), per_table):
            yield _matrix_table(one, shown, shown[begin : begin + per_table])


def example_table(summary: BehaviorSummary) -> Table:
    """Return one output a behavior and outcome, of the first primary model that has it."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="One output for each label", title_justify="left")
    for heading, ratio in (("behavior", None), ("label", None), ("prompt", 3), ("output", 3)):
        table.add_column(heading, ratio=ratio, overflow="fold", max_width=18 if ratio is None else None)
    seen: set[tuple[str, str]] = set()
    places = {name: place for place, name in enumerate(summary.spaces)}
    for example in sorted(summary.examples, key=lambda one: places[one.behavior]):
        if (example.behavior, example.outcome) in seen:
            continue
        is_first = not any(behavior == example.behavior for behavior, _ in seen)
        seen.add((example.behavior, example.outcome))
        table.add_row(
            _text(plain(example.behavior) if is_first else "", "bold"),
            _text(plain(example.outcome)),
            _text(plain(example.prompt, limit=_TEXT_LIMIT), "dim"),
            _text("unknown" if example.output is None else plain(example.output, limit=_TEXT_LIMIT)),
        )
    return table


def _heat_table(primary: str, domains: Sequence[str], lines: Sequence[HeatLine], *, begin: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=_text(f"What {plain(primary)} does" + (" (more domains)" if begin else "")),
        title_justify="left",
        caption_justify="left",
        caption=None if begin else _text(_CAPTION),
    )
    table.add_column("behavior", width=_NAME_COLUMNS, no_wrap=True, overflow="ellipsis")
    if not begin:
        for heading, columns in _TOTALS.items():
            table.add_column(heading, justify="right", no_wrap=True, width=columns)
    for domain in domains:
        table.add_column(
            _text(plain(domain).replace("_", "_\n")),
            justify="right",
            width=_DOMAIN_COLUMNS,
            overflow="fold",
        )
    for line in lines:
        cells = line.cells[begin : begin + len(domains)]
        totals = [] if begin else _totals(line)
        table.add_row(_text(_name(line)), *totals, *(_shaded(cell, _DOMAIN_COLUMNS) for cell in cells))
    return table


def _name(line: HeatLine) -> str:
    return plain(line.behavior) + (f": {plain(line.outcome)}" if line.outcome else "")


def _totals(line: HeatLine) -> list[Text]:
    low, to, high = line.total.detail.partition(" to ")
    interval = f" [{low}, {high}]" if to else ""
    return [
        _text(line.total.text + interval),
        _text(str(line.total.n_prompts), "dim"),
        _text(f"{line.entropy_bits:.2f}", "dim"),
    ]


def _matrix_table(one: CoOccurrence, rows: Sequence[int], columns: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=_text(f"Bits that two behaviors of {plain(one.primary)} share"),
        title_justify="left",
        caption_justify="left",
        caption=_text(_MATRIX_CAPTION),
    )
    table.add_column("", width=_NAME_COLUMNS + 4, no_wrap=True, overflow="ellipsis")
    for column in columns:
        table.add_column(str(column + 1), justify="right", width=_MATRIX_COLUMNS, no_wrap=True)
    for row in rows:
        cells = []
        for column in columns:
            value = one.bits[row, column] if row <= column else one.bits_within_domains[row, column]
            text = "" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
            shade = None if np.isnan(value) or row == column else min(max(float(value) / _FULL_BITS, 0.0), 1.0)
            cells.append(_shaded(HeatCell(text=text, shade=shade), _MATRIX_COLUMNS))
        table.add_row(_text(f"{row + 1:>3} {plain(one.behaviors[row])}"), *cells)
    return table


def _shaded(cell: HeatCell, width: int) -> Text:
    """Return a figure on its shade; without a shade, on none."""
    if cell.shade is None:
        return _text(cell.text, "dim")
    red, green, blue = (round(pale + (full - pale) * cell.shade) for pale, full in zip(_PALE, _FULL, strict=True))
    ink = "rgb(255,255,255)" if cell.shade > _DARK_FROM else "rgb(20,24,30)"
    return _text(cell.text.rjust(width), f"{ink} on rgb({red},{green},{blue})")


def _text(text: str, style: str = "") -> Text:
    """Return text that is never read as markup: names may hold brackets."""
    from rich.text import Text

    return Text(text, style=style)
