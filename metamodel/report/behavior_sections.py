"""The report's section on what the primary models do: base rates, what comes together, and examples."""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.behaviors.cooccurrence import CoOccurrence
from metamodel.behaviors.lines import HeatCell, HeatLine, heat_lines
from metamodel.behaviors.summary import BehaviorSummary
from metamodel.report.elements import (
    Column,
    DataTable,
    Element,
    Excerpt,
    Group,
    Heatmap,
    Numbers,
    Section,
    Shaded,
)
from metamodel.report.table_elements import Cell

_TEXT_LIMIT: Final = 400
_LEAD: Final = (
    "Percent of outputs with each label, every prompt weighing the same, in small print the 95 % interval (Wilson's, "
    "prompts as trials); of counts and reals the mean, in small print the median. The darker, the more often; of "
    "counts, the domain with the most is the darkest. An empty cell has no label. Changed versions of prompts are left "
    "out. Bits: the label's entropy over all domains."
)
_TOGETHER: Final = (
    "Mutual information in bits between two labels of the same output: above the diagonal over all outputs, below it "
    "once the domain is known, on it the label's own entropy. Zero: one label says nothing about the other. Estimates "
    "are corrected for their bias (Miller and Madow) and may fall below zero by chance. The scale ends at the largest "
    "figure beside the diagonal."
)


def behavior_section(summary: BehaviorSummary) -> Section:
    """Return the section on a run's labels by themselves."""
    elements: list[Element] = [
        Group(title=f"Base rates of {primary}", elements=[_rates(summary, primary)], facets={"primary": primary})
        for primary in summary.primaries
    ]
    together = [_matrix(one) for one in summary.co_occurrences if len(one.behaviors)]
    if together:
        elements.append(Group(title="Which behaviors come together", elements=together))
    if summary.examples:
        elements.append(Group(title="One output for each label", elements=[_examples(summary)], is_folded=True))
    return Section(id="behaviors", title="What the primary models do", lead=_LEAD, elements=elements)


def _rates(summary: BehaviorSummary, primary: str) -> DataTable:
    return DataTable(
        title=f"Base rates of {primary}",
        columns=[
            Column(name="Behavior"),
            Column(name="Prompts", kind="number"),
            Column(name="Bits", kind="bits", digits=2),
            Column(name="All domains", kind="number"),
            *(Column(name=domain, kind="number") for domain in summary.domains),
        ],
        rows=[_rate_row(line) for line in heat_lines(summary, primary)],
    )


def _rate_row(line: HeatLine) -> list[Cell]:
    name = line.behavior + (f": {line.outcome}" if line.outcome else "")
    return [name, line.total.n_prompts, line.entropy_bits, _shaded(line.total), *map(_shaded, line.cells)]


def _shaded(cell: HeatCell) -> Shaded:
    return Shaded(text=cell.text, detail=cell.detail, shade=cell.shade, value=_leading_number(cell.text))


def _leading_number(text: str) -> float | None:
    """Return the number that a printed figure begins with.

    >>> _leading_number("12.5 %"), _leading_number("")
    (12.5, None)
    """
    word = text.replace("\N{MINUS SIGN}", "-").replace(",", "").partition(" ")[0].rstrip("%")
    try:
        return float(word)
    except ValueError:
        return None


def _matrix(one: CoOccurrence) -> Heatmap:
    shown = [row for row in range(len(one.behaviors)) if one.n_labels[row, row] > 0]
    upper = np.triu(np.ones(one.bits.shape, dtype=bool))
    bits = np.where(upper, one.bits, one.bits_within_domains)[np.ix_(shown, shown)]
    beside = bits[~np.eye(len(shown), dtype=bool)]
    known = beside[np.isfinite(beside)]
    values: list[Numbers] = [[None if np.isnan(value) else float(value) for value in row] for row in bits]
    names = [one.behaviors[row] for row in shown]
    return Heatmap(
        title=f"Which behaviors of {one.primary} come together",
        summary=_TOGETHER,
        unit="bits",
        row_names=names,
        column_names=names,
        values=values,
        texts=[
            [_place_text(row, column, int(one.n_labels[shown[row], shown[column]])) for column in range(len(shown))]
            for row in range(len(shown))
        ],
        limits=(0.0, max(float(known.max()) if len(known) else 0.0, 0.01)),
        facets={"primary": one.primary},
    )


def _place_text(row: int, column: int, n_labels: int) -> str:
    outputs = f"{n_labels:,} outputs"
    if row == column:
        return f"its own entropy; {outputs}"
    return f"over all outputs; {outputs}" if row < column else f"once the domain is known; {outputs}"


def _examples(summary: BehaviorSummary) -> DataTable:
    places = {name: place for place, name in enumerate(summary.spaces)}
    return DataTable(
        title="One output for each label",
        columns=[
            Column(name="Behavior", facet="behavior"),
            Column(name="Label"),
            Column(name="Primary model", facet="primary"),
            Column(name="Domain", facet="domain"),
            Column(name="Prompt"),
            Column(name="Output"),
        ],
        rows=[
            [
                example.behavior,
                example.outcome,
                example.primary,
                example.domain,
                Excerpt(text=example.prompt, limit=_TEXT_LIMIT),
                "unknown" if example.output is None else Excerpt(text=example.output, limit=_TEXT_LIMIT),
            ]
            for example in sorted(summary.examples, key=lambda one: places[one.behavior])
        ],
    )
