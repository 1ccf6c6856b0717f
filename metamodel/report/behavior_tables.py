"""What the primary models do, as the tables of the page: a heat map, a matrix and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metamodel.behaviors.cooccurrence import CoOccurrence
from metamodel.behaviors.lines import HeatCell, HeatLine, heat_lines
from metamodel.behaviors.summary import BehaviorSummary
from metamodel.report.numbers import signed
from metamodel.report.visible_text import Shown, plain, show

_TEXT_LIMIT: Final = 400
# The style sheet has a class for each step.
_N_SHADES: Final = 10
_FULL_BITS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class HeatTableCell:
    """A figure, what stands behind it, and the class of its shade."""

    text: str
    detail: str = ""
    css: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatTableLine:
    """A line of the heat map or the matrix."""

    name: str
    cells: Sequence[HeatTableCell]
    n_prompts: int = 0
    entropy: str = ""


@dataclass(frozen=True, kw_only=True)
class HeatTable:
    """One primary model's base rates or co-occurrences."""

    anchor: str
    primary: str
    columns: Sequence[str]
    lines: Sequence[HeatTableLine]


@dataclass(frozen=True, kw_only=True)
class ExampleLine:
    """One output with its label."""

    behavior: str
    outcome: str
    primary: str
    domain: str
    prompt: Shown
    output: Shown | None


@dataclass(frozen=True, kw_only=True)
class BehaviorTables:
    """All that the section shows."""

    maps: Sequence[HeatTable]
    matrices: Sequence[HeatTable]
    examples: Sequence[ExampleLine]


def lay_out_behaviors(summary: BehaviorSummary) -> BehaviorTables:
    """Lay out a run's behaviors for the page."""
    places = {name: place for place, name in enumerate(summary.spaces)}
    return BehaviorTables(
        maps=[
            HeatTable(
                anchor=f"behaviors-{position}",
                primary=plain(primary),
                columns=[plain(domain) for domain in summary.domains],
                lines=[_heat_line(line) for line in heat_lines(summary, primary)],
            )
            for position, primary in enumerate(summary.primaries, start=1)
        ],
        matrices=[_matrix(one, position) for position, one in enumerate(summary.co_occurrences, start=1)],
        examples=[
            ExampleLine(
                behavior=plain(example.behavior),
                outcome=plain(example.outcome),
                primary=plain(example.primary),
                domain=plain(example.domain),
                prompt=show(example.prompt, limit=_TEXT_LIMIT),
                output=None if example.output is None else show(example.output, limit=_TEXT_LIMIT),
            )
            for example in sorted(summary.examples, key=lambda one: places[one.behavior])
        ],
    )


def _heat_line(line: HeatLine) -> HeatTableLine:
    return HeatTableLine(
        name=plain(line.behavior) + (f": {plain(line.outcome)}" if line.outcome else ""),
        n_prompts=line.total.n_prompts,
        entropy=signed(line.entropy_bits, digits=2),
        cells=[_cell(line.total), *(_cell(cell) for cell in line.cells)],
    )


def _cell(cell: HeatCell) -> HeatTableCell:
    return HeatTableCell(text=cell.text, detail=cell.detail, css=_shade(cell.shade))


def _matrix(one: CoOccurrence, position: int) -> HeatTable:
    shown = [row for row in range(len(one.behaviors)) if one.n_labels[row, row] > 0]
    return HeatTable(
        anchor=f"co-occurrence-{position}",
        primary=plain(one.primary),
        columns=[str(row + 1) for row in shown],
        lines=[
            HeatTableLine(
                name=f"{row + 1} {plain(one.behaviors[row])}",
                cells=[_matrix_cell(one, row, column) for column in shown],
            )
            for row in shown
        ],
    )


def _matrix_cell(one: CoOccurrence, row: int, column: int) -> HeatTableCell:
    value = float(one.bits[row, column] if row <= column else one.bits_within_domains[row, column])
    if np.isnan(value):
        return HeatTableCell(text="")
    css = "diagonal" if row == column else _shade(value / _FULL_BITS)
    return HeatTableCell(text=signed(value, digits=2), css=css)


def _shade(share: float | None) -> str:
    return "" if share is None else f"heat-{round(min(max(share, 0.0), 1.0) * _N_SHADES)}"
