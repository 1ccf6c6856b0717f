"""What changed weights move, as a part of the report: from perturb.json to sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from metamodel.report.elements import Badge, Bullets, Cell, Column, DataTable, Element, Grade, Section
from metamodel.report.stored_rows import estimate_of, flag_of, number_of, rows_under, text_of, texts_under

_GRADES: Final[Mapping[str, Grade]] = {"lost": "bad", "weaker": "mixed", "stronger": "good"}
_WHO: Final = (
    Column(name="derived", help="The primary model with changed weights."),
    Column(name="original", facet="primary"),
    Column(name="change"),
    Column(name="behavior", facet="behavior"),
)


def sections_of_file(content: object) -> list[Section]:
    """Return the section of what perturb.json holds."""
    elements: list[Element] = [
        DataTable(
            title="Behaviors that move",
            summary="The same prompts, original and derived; sign-flip test paired by prompt, adjusted over all rows.",
            columns=[
                *_WHO,
                Column(name="domain", facet="domain"),
                Column(name="moves"),
                Column(name="before", kind="number", digits=3),
                Column(name="after", kind="number", digits=3),
                Column(name="difference", kind="number", digits=3),
                Column(name="p", kind="number", digits=4),
            ],
            rows=[_behavior_row(row) for row in rows_under(content, "behaviors")],
        )
    ]
    predictions = rows_under(content, "predictions")
    if predictions:
        elements.append(
            DataTable(
                title="Predictions that stop holding",
                summary="Metamodels that were trained on the original, judged on the derived model's labels.",
                columns=[
                    *_WHO,
                    Column(name="metamodel", facet="metamodel"),
                    Column(name="split", facet="split"),
                    Column(name="verdict"),
                    Column(name="on the original", kind="bits"),
                    Column(name="on the derived", kind="bits"),
                    Column(name="its own", kind="bits", help="Bits of the derived model's own metamodel."),
                    Column(name="p", kind="number", digits=4),
                ],
                rows=[_prediction_row(row) for row in predictions],
            )
        )
    notes = texts_under(content, "notes")
    if notes:
        elements.append(Bullets(lines=notes))
    lead = "Derived primary models beside their originals: which behaviors and which metamodels' predictions move."
    return [Section(id="perturbations", title="Changed weights", lead=lead, elements=elements)]


def _who(row: Mapping[str, object]) -> Sequence[Cell]:
    outcome = text_of(row, "outcome")
    behavior = f"{text_of(row, 'behavior')}: {outcome}" if outcome else text_of(row, "behavior")
    return [text_of(row, "derived"), text_of(row, "original"), text_of(row, "label"), behavior]


def _behavior_row(row: Mapping[str, object]) -> list[Cell]:
    moves = flag_of(row, "moves")
    return [
        *_who(row),
        text_of(row, "domain") or "all domains",
        Badge(text="moves" if moves else "not shown to move", grade="mixed" if moves else "undefined"),
        number_of(row, "original_mean"),
        number_of(row, "derived_mean"),
        estimate_of(row, "change", "low", "high"),
        number_of(row, "p_adjusted"),
    ]


def _prediction_row(row: Mapping[str, object]) -> list[Cell]:
    verdict = text_of(row, "verdict")
    return [
        *_who(row),
        text_of(row, "metamodel"),
        text_of(row, "split"),
        Badge(text=verdict, grade=_GRADES.get(verdict, "undefined")),
        number_of(row, "original_bits"),
        estimate_of(row, "derived_bits", "derived_low_bits", "derived_high_bits"),
        number_of(row, "native_bits"),
        number_of(row, "p_adjusted"),
    ]
