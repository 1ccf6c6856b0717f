"""Training data against outputs, as a part of the report: from corpus.json to sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metamodel.report.elements import Badge, Bullets, Cell, Column, DataTable, Detailed, Element, Grade, Section
from metamodel.report.stored_rows import estimate_of, number_of, rows_under, text_of, texts_under

_GRADES: Final[Mapping[str, Grade]] = {"shared": "good", "contingent": "mixed", "idiosyncratic": "bad"}


def sections_of_file(content: object) -> list[Section]:
    """Return the section of what corpus.json holds."""
    floor = number_of(content, "floor")
    shown = f"{floor:.0%}" if floor is not None else "a floor"
    table = DataTable(
        title="Behaviors in the corpus and in the outputs",
        summary=f"Present: in more than {shown} of the texts, shown by a test adjusted over all behaviors and places.",
        columns=[
            Column(name="behavior", facet="behavior"),
            Column(name="primary model", facet="primary"),
            Column(name="class"),
            Column(name="in the corpus", kind="share"),
            Column(name="in outputs of", help="Domains whose outputs hold it, and those that lack it."),
        ],
        rows=[_row(row) for row in rows_under(content, "rows")],
    )
    elements: list[Element] = [table]
    notes = texts_under(content, "notes")
    if notes:
        elements.append(Bullets(lines=notes))
    lead = (
        "shared: in the corpus and in the outputs of every domain; contingent: of some; unexpressed: of none; "
        "idiosyncratic: in outputs, not in the corpus; undecided: the texts are too few to tell."
    )
    return [Section(id="corpus", title="Training data against outputs", lead=lead, elements=elements)]


def _row(row: Mapping[str, object]) -> list[Cell]:
    kind = text_of(row, "kind")
    contexts = rows_under(row, "contexts")
    present, absent = (
        [text_of(one, "place") for one in contexts if text_of(one, "state") == state] for state in ("present", "absent")
    )
    return [
        text_of(row, "behavior"),
        text_of(row, "primary"),
        Badge(text=kind, grade=_GRADES.get(kind, "undefined")),
        estimate_of(row.get("corpus"), "rate", "low", "high"),
        Detailed(
            text=", ".join(present) or "none shown",
            detail=f"not in {', '.join(absent)}" if absent else f"{len(contexts) - len(present)} cannot be told",
        ),
    ]
